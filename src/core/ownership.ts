/**
 * What marks a batch at OpenAI as ours. The project is shared with other applications and with other stages of
 * batchdrop; nothing without the mark of this very stack is ever touched.
 *
 * OpenAI allows 16 pairs, keys of 64 and values of 512 characters (openai 7.55.0 `resources/shared.ts`, `Metadata`).
 */
import type { BatchRecord } from './model.ts';
import type { RemoteBatch } from './ports.ts';

const STACK_KEY = 'batchdrop_stack';
/** Marks one attempt to create. */
export const NONCE_KEY = 'batchdrop_nonce';

export function metadataOf(stackId: string, batch: BatchRecord): Record<string, string> {
  return {
    [STACK_KEY]: stackId,
    batchdrop_job: batch.jobId,
    batchdrop_batch: batch.batchId,
    [NONCE_KEY]: batch.nonce!,
  };
}

export function isOurs(stackId: string, remote: Pick<RemoteBatch, 'metadata'>): boolean {
  return remote.metadata[STACK_KEY] === stackId;
}
