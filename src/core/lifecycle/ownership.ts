import type { BatchRecord } from '../model/batch.ts';
import type { RemoteBatch } from '../ports/provider.ts';

const STACK_KEY = 'batchdrop_stack';
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
    [NONCE_KEY]: batch.nonce!,
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

function prefixOf(stackId: string): string {
  return `batchdrop-${stackId}-`;
}
