/**
 * What is recorded of a step that failed or has to wait.
 *
 * A failure: the queue brings its message back quickly for the first few times, from then on the sweep does, ever more
 * slowly, so that a lasting fault costs little and is seen in the batch's record.
 *
 * A wait: its message is done with, and the record says when it is over. A delayed message looks at it then, and the sweep
 * should that be lost; so no wait uses up the receives of a message, however long it takes.
 */
import { HOUR_MS, MINUTE_MS } from '../../contract/time.ts';
import { type Backoff, waitAfter } from '../base/backoff.ts';
import { BatchdropError, NotYetError } from '../base/errors.ts';
import type { BatchRecord } from '../model/batch.ts';
import type { Log } from '../ports/log.ts';
import type { Delivery } from '../ports/outbox.ts';
import type { BatchChanges, JobStore } from '../ports/records.ts';

/** Failures that the queue's own backoff deals with. */
const QUICK_FAILURES = 3;
const REST_BACKOFF: Backoff = { firstMs: 5 * MINUTE_MS, maxMs: HOUR_MS };
const MAX_REASON_CHARS = 300;
/** A longer wait is left to the sweep. Source: SQS API reference, SendMessage: a message is delayed by 15 minutes at most. */
const MAX_DELAY_MS = 15 * MINUTE_MS;

/** What clears the traces of failure once a step succeeds. */
export const SUCCEEDED = { failures: undefined, notBefore: undefined, lastError: undefined } as const;

/** How long a batch rests after so many failures in a row; `undefined`: the queue tries again. */
export function restAfter(failures: number): number | undefined {
  if (failures <= QUICK_FAILURES) return undefined;
  return waitAfter(REST_BACKOFF, failures - QUICK_FAILURES);
}

/** What {@link recordFailure} works with. */
export interface FailureDeps {
  jobs: Pick<JobStore, 'getBatch' | 'updateBatch'>;
  ambient: { now(): number };
  log: Log;
}

/**
 * Gives a claimed batch back after an error.
 * @param sendAgain puts the same message on its queue once more.
 * @returns whether the message is done with, because something else brings the batch back; otherwise the caller throws the
 * error.
 */
export async function recordFailure(
  { jobs, ambient, log }: FailureDeps,
  key: Pick<BatchRecord, 'jobId' | 'batchId'>,
  claim: string,
  error: unknown,
  sendAgain: (delivery: Delivery) => Promise<void>,
): Promise<boolean> {
  const { jobId, batchId } = key;
  const batch = await jobs.getBatch(jobId, batchId);
  const isWait = error instanceof NotYetError;
  if (batch === undefined || batch.claim !== claim) {
    // It was given back, or another worker has it and brings it to its end.
    if (isWait) log.info('the batch is left to another worker', { jobId, batchId, reason: error.message });
    return isWait;
  }
  const now = ambient.now();
  const released = { claim: undefined, claimedUntil: undefined };
  const expected = { state: batch.state, claim };
  if (isWait) {
    const { delayMs } = error;
    const waits = { ...released, notBefore: now + delayMs, lastError: reasonOf(error) };
    if ((await jobs.updateBatch(batch, expected, waits, now)) === undefined) return true;
    log.info('the step has to wait and is tried again', { jobId, batchId, reason: error.message, delayMs });
    if (delayMs <= MAX_DELAY_MS) await sendAgain({ delayMs });
    return true;
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
  if (rest === undefined) return false;
  log.warn('a step failed again; the batch waits before the next try', {
    jobId,
    batchId,
    state: batch.state,
    failures,
    restMs: rest,
    reason: reasonOf(error),
  });
  return true;
}

/** Our own messages never hold content; of other errors only the name is kept. */
export function reasonOf(error: unknown): string {
  const { name, message } = error as Error;
  return error instanceof BatchdropError ? message.slice(0, MAX_REASON_CHARS) : name;
}

/** When what rests goes on: the nearer a deadline, the sooner, so that the time for another tier is not slept through. */
export function restedAt({ ladder }: Pick<BatchRecord, 'ladder'>, restMs: number, now: number): number {
  const leftMs = (ladder?.deadlineAt ?? Number.POSITIVE_INFINITY) - now;
  return now + (leftMs > 0 ? Math.floor(Math.min(restMs, leftMs / 4)) : restMs);
}
