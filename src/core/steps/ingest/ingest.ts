/**
 * From a dropped object to planned batches. Every step may be repeated: the job's id comes from the object, the plan is
 * written once, and what follows from a plan is the same each time.
 */

import type { IngestMessage } from '../../../contract/messages.ts';
import { ObjectUnreadableError } from '../../base/errors.ts';
import { reasonOf } from '../../base/own-text.ts';
import { afterUnreadable, isOfInput } from '../../drops/unreadable.ts';
import { workKeys } from '../../files/keys.ts';
import { readPlan, writePlanOnce } from '../../files/plan.ts';
import { fateOf, mayOwn, ownerOf, rootOf } from '../../lifecycle/duplicate-jobs.ts';
import { recordJobFailure, rejectionOfFailing } from '../../lifecycle/job-failure.ts';
import { toDuplicate, toReadLater } from '../../lifecycle/job-transitions.ts';
import { LeasedJob, TakenOverError } from '../../lifecycle/leased.ts';
import { unlessForgotten } from '../../lifecycle/unless-forgotten.ts';
import type { Job } from '../../model/job.ts';
import { carryOut } from './carry-out.ts';
import { type IngestDeps, IngestRun } from './ingest-run.ts';
import { makePlan } from './make-plan.ts';
import { rejectedPlan } from './plan-policy.ts';
import { recordJob, recordPredecessor } from './record-job.ts';
import { isOverOf } from './scan.ts';
import { withShutdowns } from './shutdowns.ts';
import { mayStart } from './start-turn.ts';

/** Looks at an object, or takes up a job, and takes it to planned batches or to a recorded rejection. */
export async function ingest(deps: IngestDeps, message: IngestMessage): Promise<void> {
  const job = 'jobId' in message ? await deps.jobs.getJob(message.jobId) : await recordJob(deps, message);
  if (job === undefined) return;
  const { jobId } = job;
  if (job.state !== 'ingesting') {
    deps.telemetry.record('ingest.repeated', { jobId, state: job.state });
    return;
  }
  const leased = await LeasedJob.lease(deps, jobId, 'ingesting');
  if (leased === undefined) {
    deps.telemetry.record('ingest.skipped', { jobId });
    return;
  }
  const run = new IngestRun(deps, leased);
  try {
    await unlessForgotten(deps, () =>
      leased.work(deps, (guarded) => {
        run.deps = guarded;
        return ingestLeased(run);
      }),
    );
  } catch (error) {
    if (error instanceof TakenOverError) {
      deps.telemetry.record('ingest.overtaken', { jobId });
      return;
    }
    if (await putOff(run, error)) return;
    await run.release();
    if (!(await recordJobFailure(deps, jobId, error))) throw error;
  }
}

/**
 * A file that S3 does not give is tried again later: when is in the record, so that waiting uses up no delivery.
 * @returns `false` if the error is another one.
 */
async function putOff(run: IngestRun, error: unknown): Promise<boolean> {
  const { deps, leased, progress } = run;
  const job = leased.record;
  if (leased.isReleased || !(error instanceof ObjectUnreadableError && isOfInput(error, job))) return false;
  const now = deps.ambient.now();
  const unreadable = afterUnreadable(progress.unreadable, error, now);
  await leased.tryMove(toReadLater(job, { ...progress, unreadable }));
  const { since, tries, code, nextAt } = unreadable;
  deps.telemetry.record('input.withheld', {
    jobId: job.jobId,
    code,
    reason: reasonOf(error),
    tries,
    since,
    nextAt,
  });
  return true;
}

async function ingestLeased(run: IngestRun): Promise<void> {
  const { deps, leased } = run;
  const job = leased.record;
  const { jobId } = job;
  const isOver = isOverOf(deps.deadline);
  const planKey = workKeys(deps.settings.layout, jobId).plan;
  let plan = await readPlan(deps.objects, planKey);
  const isNew = plan === undefined;
  if (plan === undefined) {
    if (!(await mayStart(run))) return;
    const givenUp = rejectionOfFailing(job, deps.ambient.now());
    const owner = givenUp === undefined ? await findOwner(deps, job) : undefined;
    if (owner !== undefined && (await becomeDuplicate(run, owner))) return;
    const made = givenUp === undefined ? await makePlan(run) : rejectedPlan(job.jobId, givenUp);
    if (made === undefined) {
      await run.continueInNextInvocation();
      return;
    }
    plan = await writePlanOnce(deps.objects, planKey, await withShutdowns(deps, job, made));
  }
  await carryOut(run, plan, isNew, isOver);
}

/** The job that owns this one's content; `undefined` if this one is to be run. */
async function findOwner(deps: IngestDeps, job: Job): Promise<Job | undefined> {
  const { predecessor } = job;
  if (predecessor === undefined || job.rejection !== undefined || job.route.sameContent === 'run')
    return undefined;
  const before = (await deps.jobs.getJob(predecessor.jobId)) ?? (await recordPredecessor(deps, job));
  return ownerOf(deps.jobs, job, before);
}

/**
 * Has a job wait for its owner. It is noted first: a worker that ends or cancels the owner from then on knows of it,
 * and what has happened to the owner before is seen by looking at it once more.
 * @returns `false` if the owner cannot own it any more.
 */
async function becomeDuplicate(run: IngestRun, { jobId: ownerId }: Job): Promise<boolean> {
  const { deps, leased } = run;
  const job = leased.record;
  const { jobId } = job;
  await deps.jobs.addDuplicate(ownerId, jobId);
  const owner = await deps.jobs.getJob(ownerId);
  if (owner === undefined || !mayOwn(owner, job)) return false;
  if (!(await leased.tryMove(toDuplicate(job, ownerId)))) return true;
  deps.telemetry.record('duplicate.detected', { jobId, owner: ownerId });
  // An owner that has ended already sends no more messages.
  const root = await rootOf(deps.jobs, owner);
  if (fateOf(job, root) !== 'waits') await deps.outbox.finalize({ v: 1, jobId });
  // Its file may be readable by now; if it is not, this job is run in its place.
  const isToBeRead = owner.ingest === undefined || owner.ingest.unreadable !== undefined;
  if (owner.state === 'ingesting' && isToBeRead) await deps.outbox.ingest({ v: 1, jobId: ownerId });
  return true;
}
