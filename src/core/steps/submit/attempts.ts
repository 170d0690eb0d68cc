/**
 * `work/<job>/attempts/<batch>/<n>.json`: the n-th create of a batch, written once and before OpenAI is asked. The
 * table counts them as well. Where there is one more here than there, the table was restored to an earlier time, and
 * what was begun since must be looked for before anything is created.
 */
import * as z from 'zod';
import type { Layout } from '../../../contract/layout.ts';
import { workKeys } from '../../files/keys.ts';
import { readWorkJson, writeWorkJsonOnce } from '../../files/work-json.ts';
import type { BatchRecord } from '../../model/batch.ts';
import type { ObjectStore } from '../../ports/objects.ts';

export const attemptSchema = z.object({
  v: z.literal(1),
  /** Counts the creates of the batch, from 1. */
  attempt: z.int().min(1),
  nonce: z.string(),
  /** Absent where the provider takes no file. */
  inputFileId: z.exactOptional(z.string()),
  keyVersion: z.exactOptional(z.string()),
  /** Epoch milliseconds. */
  intentAt: z.number(),
});
export type CreateAttempt = z.infer<typeof attemptSchema>;

type Batch = Pick<BatchRecord, 'jobId' | 'batchId' | 'history'>;

/** The last create that was begun and that the record does not know of; `undefined` if it knows of all. */
export async function unknownAttempt(
  objects: Pick<ObjectStore, 'get'>,
  layout: Layout,
  { jobId, batchId, history }: Batch,
): Promise<CreateAttempt | undefined> {
  const { attempt: keyOf } = workKeys(layout, jobId);
  let last: CreateAttempt | undefined;
  for (let attempt = (history?.attempts ?? 0) + 1; ; attempt++) {
    const current = await readWorkJson(objects, keyOf(batchId, attempt), attemptSchema);
    if (current === undefined) return last;
    last = current;
  }
}

/**
 * Records a create that is about to begin; returns the one on record, which is another worker's if the nonce differs.
 */
export function writeAttemptOnce(
  objects: Pick<ObjectStore, 'get' | 'put'>,
  layout: Layout,
  { jobId, batchId }: Batch,
  attempt: CreateAttempt,
): Promise<CreateAttempt> {
  const key = workKeys(layout, jobId).attempt(batchId, attempt.attempt);
  return writeWorkJsonOnce(objects, key, attemptSchema, attempt);
}
