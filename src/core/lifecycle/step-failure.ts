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
import { NotYetError } from '../base/errors.ts';
import { reasonOf } from '../base/own-text.ts';
import type { BatchRecord } from '../model/batch.ts';
import type { Delivery } from '../ports/outbox.ts';
import type { BatchChanges, JobStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';

/** Failures that the queue's own backoff deals with. */
const QUICK_FAILURES = 3;
const REST_BACKOFF: Backoff = { firstMs: 5 * MINUTE_MS, maxMs: HOUR_MS };
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
  telemetry: Telemetry;
}

/**
 * Gives a claimed batch back after an error.
 * @param sendAgain puts the same message on its queue once more.
 * @returns whether the message is done with, because something else brings the batch back; otherwise the caller throws the
 * error.
 */
export async function recordFailure(
  { jobs, ambient, telemetry }: FailureDeps,
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
    if (isWait) telemetry.record('step.skipped', { jobId, batchId, reason: reasonOf(error) });
    return isWait;
  }
  const now = ambient.now();
  const released = { claim: undefined, claimedUntil: undefined };
  const expected = { state: batch.state, claim };
  if (isWait) {
    const { delayMs } = error;
    const waits = { ...released, notBefore: now + delayMs, lastError: reasonOf(error) };
    if ((await jobs.updateBatch(batch, expected, waits, now)) === undefined) return true;
    telemetry.record('step.postponed', { jobId, batchId, reason: reasonOf(error), waitMs: delayMs });
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
  telemetry.record('batch.delayed', {
    jobId,
    batchId,
    state: batch.state,
    failures,
    waitMs: rest,
    reason: reasonOf(error),
  });
  return true;
}

/** When what rests goes on: the nearer a deadline, the sooner, so that the time for another tier is not slept through. */
export function restedAt({ ladder }: Pick<BatchRecord, 'ladder'>, restMs: number, now: number): number {
  const leftMs = (ladder?.deadlineAt ?? Number.POSITIVE_INFINITY) - now;
  return now + (leftMs > 0 ? Math.floor(Math.min(restMs, leftMs / 4)) : restMs);
}
