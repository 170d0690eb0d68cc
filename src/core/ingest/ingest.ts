/**
 * From a dropped object to planned batches. Every step may be repeated: the job's id comes from the object, the plan is
 * written once, and what follows from a plan is the same each time.
 */

import type { IngestMessage, ObjectLocation } from '../../contract/messages.ts';
import type { Settings } from '../../contract/settings.ts';
import { ObjectGoneError } from '../errors.ts';
import { JOB_ID_CHARS, jobIdOf } from '../job-id.ts';
import { publishedKeys, workKeys } from '../keys.ts';
import type { BatchLimits } from '../limits.ts';
import type { Job, ObjectHead, Rejection } from '../model.ts';
import { type Plan, readPlan, settlePlan } from '../plan.ts';
import type { Ambient, Deadline, JobStore, Log, ObjectStore, Outbox } from '../ports.ts';
import { claimedUntil } from '../time-limits.ts';
import { routeOf } from './route.ts';
import { rejectedPlan, scan } from './scan.ts';

export interface IngestDeps {
  settings: Settings;
  objects: ObjectStore;
  jobs: JobStore;
  outbox: Outbox;
  ambient: Ambient;
  deadline: Deadline;
  log: Log;
  limits: BatchLimits;
}

/** How many runs over a file may die before it is rejected: it takes longer than a run, or kills each one. */
const MAX_STARTS = 4;
/** Source: S3 user guide, "Naming Amazon S3 objects". */
const MAX_KEY_BYTES = 1_024;

/** Looks at an object, or takes up a job, and takes it to planned batches or to a recorded rejection. */
export async function ingest(deps: IngestDeps, message: IngestMessage): Promise<void> {
  const job = 'jobId' in message ? await deps.jobs.getJob(message.jobId) : await recordJob(deps, message);
  if (job === undefined) return;
  const { jobId } = job;
  if (job.state !== 'ingesting') {
    deps.log.info('ingested already', { jobId, state: job.state });
    return;
  }
  const now = deps.ambient.now();
  const claim = deps.ambient.nonce();
  const taken = await deps.jobs.takeJob(jobId, 'ingesting', claim, now, claimedUntil(now, deps.deadline));
  if (taken === undefined) {
    deps.log.info('being read by another worker', { jobId });
    return;
  }
  try {
    await ingestTaken(deps, taken, claim);
  } catch (error) {
    // Only runs that never came back count; what failed with an error is tried again as any other message.
    const released = { ...UNCLAIMED, ingest: taken.ingest };
    await deps.jobs.moveJob(jobId, { state: 'ingesting', claim }, released, deps.ambient.now());
    throw error;
  }
}

/** What a worker sets when it lets go of a job. */
const UNCLAIMED = { claim: undefined, claimedUntil: undefined };

async function ingestTaken(deps: IngestDeps, job: Job, claim: string): Promise<void> {
  const planKey = workKeys(deps.settings.layout, job.jobId).plan;
  const plan = (await readPlan(deps.objects, planKey)) ?? (await makePlanOnce(deps, job, claim, planKey));
  if (plan !== undefined) await carryOut(deps, job, claim, plan, planKey);
}

/** Reads the object and settles what it is made of; `undefined` if another worker has taken the job over. */
async function makePlanOnce(
  deps: IngestDeps,
  job: Job,
  claim: string,
  planKey: string,
): Promise<Plan | undefined> {
  const { jobId } = job;
  const starts = job.ingest?.starts ?? 0;
  if (starts >= MAX_STARTS) {
    const message = `The file could not be read to its end in ${starts} runs of 15 minutes. Split it.`;
    return settlePlan(deps.objects, planKey, rejectedPlan(jobId, { code: 'ingest_failed', message }));
  }
  const expected = { state: 'ingesting', claim } as const;
  const counted = { ingest: { starts: starts + 1 } };
  if (!(await deps.jobs.moveJob(jobId, expected, counted, deps.ambient.now()))) return undefined;
  return settlePlan(deps.objects, planKey, await makePlan(deps, job));
}

/** Records the job that an object stands for; `undefined` if it stands for none. */
async function recordJob(deps: IngestDeps, location: ObjectLocation): Promise<Job | undefined> {
  const route = routeOf(deps.settings, location.key);
  if (route === undefined) {
    deps.log.info('not an input', { key: location.key });
    return undefined;
  }
  const names = Object.values(publishedKeys(deps.settings.layout, location.key, '0'.repeat(JOB_ID_CHARS)));
  if (names.some((name) => Buffer.byteLength(name) > MAX_KEY_BYTES)) {
    deps.log.warn('key too long: the names of its results would be longer than S3 allows', {
      key: location.key,
    });
    return undefined;
  }
  const head = await deps.objects.head(location.bucket, location.key, location.versionId);
  if (head === undefined) {
    // It was there for an instant. Nobody saw its version, so there is nothing to name a job by.
    deps.log.warn('object gone before it was looked at', { key: location.key });
    return undefined;
  }
  const now = deps.ambient.now();
  return deps.jobs.claimJob({
    v: 1,
    jobId: jobIdOf(head),
    input: head,
    source: sourceOf(deps.settings, head),
    route,
    state: 'ingesting',
    createdAt: now,
    updatedAt: now,
  });
}

async function makePlan(deps: IngestDeps, job: Job): Promise<Plan> {
  const { objects, limits } = deps;
  try {
    await pinIfNeeded(objects, job);
    return await scan({ objects, layout: deps.settings.layout, limits }, job, deps.ambient.nonce());
  } catch (error) {
    if (!(error instanceof ObjectGoneError)) throw error;
    return rejectedPlan(job.jobId, {
      code: 'object_gone',
      message:
        'The object was deleted or replaced before it could be read. A replacement is a job of its own.',
    });
  }
}

/** Without versioning, what is read is a copy; one that stands from an earlier try is as good. */
async function pinIfNeeded(objects: ObjectStore, job: Job): Promise<void> {
  if (job.input.versionId !== undefined) return;
  const pinned = await objects.head(job.source.bucket, job.source.key);
  if (pinned === undefined) await objects.pin(job.input, job.source.key);
}

/** Batches first, then the job, then the messages: the sweep finds whatever a crash leaves undone. */
async function carryOut(
  deps: IngestDeps,
  job: Job,
  claim: string,
  plan: Plan,
  planKey: string,
): Promise<void> {
  const { jobId } = job;
  const now = deps.ambient.now();
  const expected = { state: 'ingesting', claim } as const;
  if (plan.rejection !== undefined) {
    const rejection = plan.rejection as Rejection;
    const rejected = { ...UNCLAIMED, state: 'rejected', planKey, rejection } as const;
    if (!(await deps.jobs.moveJob(jobId, expected, rejected, now))) return;
    deps.log.warn('rejected', { jobId, code: rejection.code });
    await deps.outbox.finalize({ v: 1, jobId });
    return;
  }
  for (const batch of plan.batches) {
    await deps.jobs.addBatch({
      v: 1,
      jobId,
      ...batch,
      round: 0,
      state: 'planned',
      createdAt: now,
      updatedAt: now,
    });
  }
  const running = { ...UNCLAIMED, state: 'running', planKey } as const;
  if (!(await deps.jobs.moveJob(jobId, expected, running, now))) return;
  for (const { batchId } of plan.batches) await deps.outbox.submit({ v: 1, jobId, batchId });
  deps.log.info('planned', {
    jobId,
    requests: plan.requests,
    invalid: plan.invalid,
    batches: plan.batches.length,
  });
}

/** Without versioning the object may change under us, so a copy is read in its place. */
function sourceOf(settings: Settings, head: ObjectHead): Job['source'] {
  return head.versionId === undefined
    ? { bucket: head.bucket, key: workKeys(settings.layout, jobIdOf(head)).pinned }
    : { bucket: head.bucket, key: head.key, versionId: head.versionId };
}
