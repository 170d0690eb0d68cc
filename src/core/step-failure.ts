/**
 * What is recorded of a step that failed: the queue brings its message back quickly for the first few times, from then on
 * the sweep does, ever more slowly, so that a lasting fault costs little and is seen in the batch's record.
 */
import { BatchdropError, NotYetError } from './errors.ts';
import { restedAt } from './ladder/ladder.ts';
import type { BatchRecord } from './model.ts';
import type { BatchChanges, JobStore } from './ports.ts';

/** Failures that the queue's own backoff deals with. */
const QUICK_FAILURES = 3;
const FIRST_WAIT_MS = 5 * 60_000;
const MOST_WAIT_MS = 60 * 60_000;
const MAX_REASON_CHARS = 300;

/** What clears the traces of failure once a step succeeds. */
export const SUCCEEDED = { failures: undefined, notBefore: undefined, lastError: undefined } as const;

/** How long a batch rests after so many failures in a row; `undefined`: the queue tries again. */
function restAfter(failures: number): number | undefined {
  if (failures <= QUICK_FAILURES) return undefined;
  return Math.min(FIRST_WAIT_MS * 2 ** (failures - QUICK_FAILURES - 1), MOST_WAIT_MS);
}

/**
 * Gives a claimed batch back after an error.
 * @returns whether the message is done with, because the sweep tries again; otherwise the caller throws the error.
 */
export async function recordFailure(
  jobs: Pick<JobStore, 'getBatch' | 'updateBatch'>,
  key: Pick<BatchRecord, 'jobId' | 'batchId'>,
  claim: string,
  error: unknown,
  now: number,
): Promise<boolean> {
  const batch = await jobs.getBatch(key.jobId, key.batchId);
  if (batch === undefined || batch.claim !== claim) return false;
  const released = { claim: undefined, claimedUntil: undefined };
  const expected = { state: batch.state, claim };
  if (error instanceof NotYetError) {
    await jobs.updateBatch(batch, expected, released, now);
    return false;
  }
  const failures = (batch.failures ?? 0) + 1;
  const rest = restAfter(failures);
  const changes: { [Key in keyof BatchChanges]: BatchChanges[Key] | undefined } = {
    ...released,
    failures,
    lastError: reasonOf(error),
    // What has ended is in no hurry: after many failures it is taken for unreadable.
    ...(rest === undefined
      ? {}
      : { notBefore: batch.state === 'ended' ? now + rest : restedAt(batch, rest, now) }),
  };
  await jobs.updateBatch(batch, expected, changes, now);
  return rest !== undefined;
}

/** Our own messages never hold content; of other errors only the name is kept. */
function reasonOf(error: unknown): string {
  const { name, message } = error as Error;
  return error instanceof BatchdropError ? message.slice(0, MAX_REASON_CHARS) : name;
}
