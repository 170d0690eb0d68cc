import { BatchdropError } from '../base/errors.ts';
import type { BatchRecord } from '../model/batch.ts';
import type { RemoteBatch } from '../ports/provider.ts';
import type { ProviderRules } from '../ports/provider-rules.ts';

/** Metadata of batches and responses that names their stack. */
export const STACK_KEY = 'batchdrop_stack';
const JOB_KEY = 'batchdrop_job';
const BATCH_KEY = 'batchdrop_batch';
/** Marks one attempt to create. */
export const NONCE_KEY = 'batchdrop_nonce';

type BatchKey = Pick<BatchRecord, 'jobId' | 'batchId'>;

export function metadataOf(stackId: string, batch: BatchRecord): Record<string, string> {
  return {
    [STACK_KEY]: stackId,
    [JOB_KEY]: batch.jobId,
    [BATCH_KEY]: batch.batchId,
    [NONCE_KEY]: batch.attempt!.nonce,
  };
}

export function isOurs(stackId: string, remote: Pick<RemoteBatch, 'metadata'>): boolean {
  return remote.metadata[STACK_KEY] === stackId;
}

/** Whose batch and attempt one of ours is; `undefined` if its metadata does not say. */
export function recordKeyOf({
  metadata,
}: Pick<RemoteBatch, 'metadata'>): (BatchKey & { nonce: string }) | undefined {
  const { [JOB_KEY]: jobId, [BATCH_KEY]: batchId, [NONCE_KEY]: nonce } = metadata;
  return jobId && batchId && nonce ? { jobId, batchId, nonce } : undefined;
}

/** A provider with which the same requests could be paid for twice. A person must not deploy it. */
export class UnprovenOwnershipError extends BatchdropError {}

/**
 * To be asked wherever a provider is put together with the core. A create whose answer was lost is looked up before
 * another one is begun, by the nonce in its metadata: without that, or another proof in its place, "never pay twice"
 * does not hold.
 * @returns the rules as they are.
 * @throws {UnprovenOwnershipError} if nothing proves whose a batch is.
 */
export function requireOwnershipProof<Rules extends Pick<ProviderRules, 'name' | 'ownership'>>(
  rules: Rules,
): Rules {
  if (rules.ownership !== 'none') return rules;
  throw new UnprovenOwnershipError(
    `the provider ${rules.name} says ownership "none": it keeps no metadata with its batches, so a create whose answer was lost could not be found and might be paid for twice. Expected is "metadata", or a provider with another proof, such as an idempotency key, that ProviderRules.ownership and look-up.ts know of.`,
  );
}

/** The name of an input file. */
export function inputFilename(stackId: string, { jobId, batchId }: BatchKey, nonce: string): string {
  return `${prefixOf(stackId)}${jobId}-${batchId}-${nonce}.jsonl`;
}

/** Whose input file it is; `undefined` if it is not one of ours. */
export function inputFileOf(stackId: string, filename: string): BatchKey | undefined {
  const prefix = prefixOf(stackId);
  if (!filename.startsWith(prefix)) return undefined;
  const match = /^([^-]+)-(\d+-[\d.]+)-([^-.]+)\.jsonl$/.exec(filename.slice(prefix.length));
  return match === null ? undefined : { jobId: match[1]!, batchId: match[2]! };
}

/** Whether an input file is the one that its record names and may still need. @param batch of the file's name. */
export function needsInputFile(batch: BatchRecord | undefined, fileId: string): boolean {
  return batch?.attempt?.inputFileId === fileId && batch.state !== 'collected';
}

function prefixOf(stackId: string): string {
  return `batchdrop-${stackId}-`;
}
