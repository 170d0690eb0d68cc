/**
 * What is recorded of a step that failed or has to wait.
 *
 * A failure: the queue brings its message back quickly for the first few times, from then on the sweep does, ever more
 * slowly, so that a lasting fault costs little and is seen in the batch's record.
 *
 * A wait: its message is done with, and the record says when it is over. A delayed message looks at it then, and the
 * sweep should that be lost; so no wait uses up the receives of a message, however long it takes.
 */

import { HOUR_MS, MINUTE_MS } from '../../contract/time.ts';
import { type Backoff, waitAfter } from '../base/backoff.ts';
import { NotYetError } from '../base/errors.ts';
import { reasonOf } from '../base/own-text.ts';
import type { BatchKey, BatchRecord } from '../model/batch.ts';
import { type Delivery, MAX_DELAY_MS } from '../ports/outbox.ts';
import type { JobStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { toPostponed } from './batch-transitions.ts';

/** Failures that the queue's own backoff deals with. */
const QUICK_FAILURES = 3;
const REST_BACKOFF: Backoff = { firstMs: 5 * MINUTE_MS, maxMs: HOUR_MS };

/** How long a batch waits after so many failures in a row; `undefined`: the queue tries again. */
export function restAfter(failures: number): number | undefined {
  if (failures <= QUICK_FAILURES) return undefined;
  return waitAfter(REST_BACKOFF, failures - QUICK_FAILURES);
}

/** What {@link recordFailure} works with. */
export interface FailureDeps {
  jobs: Pick<JobStore, 'getBatch' | 'moveBatch'>;
  ambient: { now(): number };
  telemetry: Telemetry;
}

/**
 * Gives a leased batch back after an error.
 * @param sendAgain puts the same message on its queue once more.
 * @returns whether the message is done with, because something else brings the batch back; otherwise the caller
 * throws the error.
 */
export async function recordFailure(
  { jobs, ambient, telemetry }: FailureDeps,
  { jobId, batchId }: BatchKey,
  holder: string,
  error: unknown,
  sendAgain: (delivery: Delivery) => Promise<void>,
): Promise<boolean> {
  const batch = await jobs.getBatch(jobId, batchId);
  const isWait = error instanceof NotYetError;
  if (batch === undefined || batch.lease?.holder !== holder) {
    // It was given back, or another worker has it and brings it to its end.
    if (isWait) telemetry.record('step.skipped', { jobId, batchId, reason: reasonOf(error) });
    return isWait;
  }
  const now = ambient.now();
  const lastError = reasonOf(error);
  if (isWait) {
    const { delayMs } = error;
    const waits = toPostponed(batch, { notBefore: now + delayMs, lastError });
    if ((await jobs.moveBatch(batch, waits, now, holder)) === undefined) return true;
    telemetry.record('step.postponed', { jobId, batchId, reason: lastError, waitMs: delayMs });
    if (delayMs <= MAX_DELAY_MS) await sendAgain({ delayMs });
    return true;
  }
  const failures = (batch.wait?.failures ?? 0) + 1;
  const restMs = restAfter(failures);
  if (restMs === undefined) {
    await jobs.moveBatch(batch, toPostponed(batch, { failures, lastError }), now, holder);
    return false;
  }
  // What has ended is in no hurry: after many failures it is taken for unreadable.
  const notBefore = batch.state === 'ended' ? now + restMs : retryAt(batch, restMs, now);
  await jobs.moveBatch(batch, toPostponed(batch, { failures, lastError, notBefore }), now, holder);
  telemetry.record('batch.delayed', {
    jobId,
    batchId,
    state: batch.state,
    failures,
    waitMs: notBefore - now,
    reason: lastError,
  });
  return true;
}

/** When to try again: the nearer the deadline, the sooner, so that time for another tier is left. */
export function retryAt({ ladder }: Pick<BatchRecord, 'ladder'>, restMs: number, now: number): number {
  const leftMs = (ladder?.deadlineAt ?? Number.POSITIVE_INFINITY) - now;
  return now + (leftMs > 0 ? Math.floor(Math.min(restMs, leftMs / 4)) : restMs);
}
