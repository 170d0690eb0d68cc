/**
 * What is recorded of a step of a job (ingest, finalize) that fails. What gives up is the record, not the queue: the
 * queue also counts deliveries that are throttled and workers that are lost, which say nothing about the job.
 */

import { HOUR_MS } from '../../contract/time.ts';
import { NotYetError } from '../base/errors.ts';
import { reasonOf } from '../base/own-text.ts';
import type { Failing, Job, Rejection } from '../model/job.ts';
import type { JobStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { toFailed } from './job-transitions.ts';
import { restAfter } from './step-failure.ts';

/** After failing for so long, a step is given up; an outage of a region has been shorter. */
const GIVEN_UP_AFTER_MS = 24 * HOUR_MS;
/** And after so many tries at the least: a stack that was stopped for a day has not tried. */
const MIN_TRIES = 10;
/** How often what cannot be given up is tried, once it has failed for that long: a person may have fixed it. */
const HELD_TRY_MS = 6 * HOUR_MS;

/** What {@link recordJobFailure} works with. */
export interface JobFailureDeps {
  jobs: Pick<JobStore, 'getJob' | 'moveJob'>;
  ambient: { now(): number };
  telemetry: Telemetry;
}

/** Whether a step has failed for so long, and so often, that it is given up. */
export function isGivenUp(failing: Failing | undefined, now: number): failing is Failing {
  return failing !== undefined && failing.tries >= MIN_TRIES && now >= failing.since + GIVEN_UP_AFTER_MS;
}

/** Why a file is given up that ingest fails over, again and again. Nothing of it was sent: it has no plan. */
export function rejectionOfFailing({ failing }: Pick<Job, 'failing'>, now: number): Rejection | undefined {
  if (!isGivenUp(failing, now)) return undefined;
  const hours = Math.floor((now - failing.since) / HOUR_MS);
  return {
    code: 'ingest_failed',
    message: `The file could not be ingested for ${hours} hours (${failing.tries} tries): ${failing.reason}. Nothing of it was sent. Fix the cause and drop the file again.`,
  };
}

/** What is recorded after a failure. */
export function afterFailure(before: Failing | undefined, error: unknown, now: number): Failing {
  // What failed long ago and was not tried since is over.
  const current = before !== undefined && now < before.nextAt + GIVEN_UP_AFTER_MS ? before : undefined;
  const failing = {
    since: current?.since ?? now,
    tries: (current?.tries ?? 0) + 1,
    reason: reasonOf(error),
  };
  const restMs = isGivenUp({ ...failing, nextAt: now }, now) ? HELD_TRY_MS : (restAfter(failing.tries) ?? 0);
  return { ...failing, nextAt: now + restMs };
}

/**
 * Records that a step of a job has failed; the first few failures are left to the queue's own back-off, what follows
 * to the sweep. The job must have been given back.
 * @returns whether the message is done with; otherwise the caller throws the error.
 */
export async function recordJobFailure(
  { jobs, ambient, telemetry }: JobFailureDeps,
  jobId: string,
  error: unknown,
): Promise<boolean> {
  // It waits, or another worker has the job: no failure.
  if (error instanceof NotYetError) return false;
  const job = await jobs.getJob(jobId);
  // The worker that has it now records how that goes.
  if (job === undefined || job.receiptKey !== undefined || job.lease !== undefined) return false;
  const now = ambient.now();
  const failing = afterFailure(job.failing, error, now);
  if ((await jobs.moveJob(jobId, toFailed(job, failing), now)) === undefined) return false;
  if (restAfter(failing.tries) === undefined) return false;
  const { tries, since, nextAt } = failing;
  telemetry.record('job.delayed', {
    jobId,
    state: job.state,
    tries,
    reason: reasonOf(error),
    since,
    nextAt,
    isHeld: isGivenUp(failing, now),
  });
  return true;
}
