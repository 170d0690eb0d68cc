/**
 * From a dropped object to planned batches. Every step may be repeated: the job's id comes from the object, the plan is
 * written once, and what follows from a plan is the same each time.
 */

import type { IngestMessage } from '../../../contract/messages.ts';
import type { Settings } from '../../../contract/settings.ts';
import {
  CorruptWorkFileError,
  isUnavailable,
  ObjectGoneError,
  ObjectUnreadableError,
  UploadGoneError,
} from '../../base/errors.ts';
import { reasonOf } from '../../base/own-text.ts';
import { afterUnreadable, type EndOfTries, isOfInput, rejectionOf } from '../../drops/unreadable.ts';
import { readCheckpoint, writeCheckpoint } from '../../files/checkpoint.ts';
import { workKeys } from '../../files/keys.ts';
import { type Plan, type PlannedBatch, readPlan, writePlanOnce } from '../../files/plan.ts';
import { fateOf, mayOwn, ownerOf, rootOf, waitingFor } from '../../lifecycle/duplicate-jobs.ts';
import { recordJobFailure, rejectionOfFailing } from '../../lifecycle/job-failure.ts';
import {
  toDuplicate,
  toReading,
  toReadLater,
  toRejected,
  toRunning,
} from '../../lifecycle/job-transitions.ts';
import { LeasedJob, TakenOverError } from '../../lifecycle/leased.ts';
import type { BatchRecord } from '../../model/batch.ts';
import type { IngestProgress, Job, Rejection } from '../../model/job.ts';
import type { BatchLimits } from '../../model/limits.ts';
import type { Ambient, Deadline, Pause } from '../../ports/ambient.ts';
import type { Inputs, ObjectStore, OwnersStore } from '../../ports/objects.ts';
import type { JobEvents, Outbox } from '../../ports/outbox.ts';
import type { ProviderRules } from '../../ports/provider-rules.ts';
import type { QuotaStore, SuspensionStore } from '../../ports/quota.ts';
import type { JobStore, ListingStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import type { Prices } from '../../pricing/prices.ts';
import type { Tokenizer } from '../../pricing/tokens/estimate.ts';
import { estimateBatchTokens } from '../../pricing/tokens/estimate-batch.ts';
import { dispatch } from '../../scheduling/dispatch.ts';
import { droppedAt, ladderOf, onLadder } from '../../scheduling/ladder.ts';
import { rejectedPlan } from './plan-policy.ts';
import { recordJob, recordPredecessor } from './record-job.ts';
import { isOverOf, scan } from './scan.ts';
import { SCAN_VERSION, type ScanDeps, type ScanState } from './scan-state.ts';

export interface IngestDeps {
  stackId: string;
  stackName: string;
  settings: Settings;
  objects: ObjectStore;
  inputs: Pick<Inputs, 'listKey'>;
  listing: Pick<ListingStore, 'getListing'>;
  jobs: JobStore;
  quota: QuotaStore;
  suspensions: SuspensionStore;
  owners: OwnersStore;
  outbox: Outbox;
  events: JobEvents;
  ambient: Ambient;
  deadline: Deadline;
  heartbeat: Pause;
  telemetry: Telemetry;
  rules: ProviderRules;
  /** Those of the rules, or less. */
  limits: BatchLimits;
  prices: Prices;
  /** Loads a model's tokenizer: asked for only once there are batches to record. */
  tokenizerOf(model: string): Promise<Tokenizer>;
}

/** How many runs may die without getting any further, or how often all may be lost, before a file is rejected. */
const MAX_STARTS = 4;

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
  const progress = leased.record.ingest ?? { starts: 0 };
  const run: Run = { deps, leased, progress, startedFrom: progress.checkpoint };
  try {
    await leased.work(deps, (guarded) => {
      run.deps = guarded;
      return ingestLeased(run);
    });
  } catch (error) {
    if (error instanceof TakenOverError) {
      deps.telemetry.record('ingest.overtaken', { jobId });
      return;
    }
    if (await putOff(run, error)) return;
    await releaseRun(run);
    if (!(await recordJobFailure(deps, jobId, error))) throw error;
  }
}

/** One worker's turn at a job. */
interface Run {
  deps: IngestDeps;
  leased: LeasedJob;
  /** What stands in the job's record, save for this run's own start. */
  progress: IngestProgress;
  /** The checkpoint that it began from. */
  startedFrom?: IngestProgress['checkpoint'];
  /** What this run has recorded last. */
  kept?: IngestProgress;
}

/** Only runs that never come back count; one that ends, well or not, is taken off again. */
async function releaseRun({ leased, progress }: Run): Promise<void> {
  if (leased.isReleased) return;
  await leased.tryMove(toReadLater(leased.record, progress));
}

/**
 * A file that S3 does not give is tried again later: when is in the record, so that waiting uses up no delivery.
 * @returns `false` if the error is another one.
 */
async function putOff(run: Run, error: unknown): Promise<boolean> {
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

async function ingestLeased(run: Run): Promise<void> {
  const { deps, leased } = run;
  const job = leased.record;
  const { jobId } = job;
  const isOver = isOverOf(deps.deadline);
  const planKey = workKeys(deps.settings.layout, jobId).plan;
  let plan = await readPlan(deps.objects, planKey);
  const isNew = plan === undefined;
  if (plan === undefined) {
    const givenUp = rejectionOfFailing(job, deps.ambient.now());
    const owner = givenUp === undefined ? await findOwner(deps, job) : undefined;
    if (owner !== undefined && (await becomeDuplicate(run, owner))) return;
    const made = givenUp === undefined ? await makePlan(run) : rejectedPlan(job.jobId, givenUp);
    if (made === undefined) {
      await continueInNextInvocation(run);
      return;
    }
    plan = await writePlanOnce(deps.objects, planKey, made);
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
 * Has a job wait for its owner. It is noted first: a worker that ends or cancels the owner from then on knows of it, and what
 * has happened to the owner before is seen by looking at it once more.
 * @returns `false` if the owner cannot own it any more.
 */
async function becomeDuplicate(run: Run, { jobId: ownerId }: Job): Promise<boolean> {
  const { deps, leased } = run;
  const job = leased.record;
  const { jobId } = job;
  await deps.jobs.addDuplicate(ownerId, jobId);
  const owner = await deps.jobs.getJob(ownerId);
  if (owner === undefined || !mayOwn(owner, job)) return false;
  if (!(await leased.tryMove(toDuplicate(job, ownerId)))) return true;
  deps.telemetry.record('duplicate.detected', { jobId, owner: ownerId });
  // An owner that has ended already tells nobody any more.
  const root = await rootOf(deps.jobs, owner);
  if (fateOf(job, root) !== 'waits') await deps.outbox.finalize({ v: 1, jobId });
  // Its file may be readable by now; if it is not, this job is run in its place.
  const isToBeRead = owner.ingest === undefined || owner.ingest.unreadable !== undefined;
  if (owner.state === 'ingesting' && isToBeRead) await deps.outbox.ingest({ v: 1, jobId: ownerId });
  return true;
}

/** Whoever takes the message must find the job free; if it is lost, the sweep sends another. */
async function continueInNextInvocation(run: Run): Promise<void> {
  await releaseRun(run);
  await run.deps.outbox.ingest({ v: 1, jobId: run.leased.record.jobId });
}

/** Reads the object and finds out what it is made of; `undefined` if time was over: another worker is to go on. */
async function makePlan(run: Run): Promise<Plan | undefined> {
  const { deps, leased } = run;
  const job = leased.record;
  if (job.rejection !== undefined) return rejectedPlan(job.jobId, job.rejection);
  const { starts, restarts = 0 } = run.progress;
  if (starts >= MAX_STARTS || restarts >= MAX_STARTS) {
    const message =
      starts >= MAX_STARTS
        ? `The file could not be read further in ${starts} runs of 15 minutes. Split it; if it is compressed, unpack it.`
        : `What was read so far was lost ${restarts} times. Drop the file again.`;
    return rejectedPlan(job.jobId, { code: 'ingest_failed', message });
  }
  await keep(run, { ...run.progress, starts: starts + 1 });
  const { checkpoint } = run.progress;
  try {
    await pinIfNeeded(deps.objects, job);
    const from =
      checkpoint === undefined ? deps.ambient.nonce() : await readState(deps.objects, checkpoint.key);
    return await scan(scanDepsOf(run), job, from);
  } catch (error) {
    if (error instanceof ObjectUnreadableError && isOfInput(error, job)) {
      const now = deps.ambient.now();
      const rejection = rejectionOf(
        afterUnreadable(run.progress.unreadable, error, now),
        await endOfTries(deps, job),
        now,
      );
      if (rejection !== undefined) return rejectedPlan(job.jobId, rejection);
    }
    if (error instanceof ObjectGoneError) {
      return rejectedPlan(job.jobId, {
        code: 'object_gone',
        message:
          'The object was deleted or replaced before it could be read. A replacement is a job of its own.',
      });
    }
    if (
      checkpoint !== undefined &&
      (error instanceof UploadGoneError || error instanceof CorruptWorkFileError)
    ) {
      deps.telemetry.record('scan.restarted', { jobId: job.jobId, reason: reasonOf(error) });
      run.progress = { starts, restarts: restarts + 1 };
    }
    throw error;
  }
}

/** A file that waits for S3 keeps nothing else waiting: its content, dropped again, is run by itself. */
async function endOfTries({ jobs, settings }: IngestDeps, job: Job): Promise<EndOfTries> {
  if (job.cancelledAt !== undefined) return 'cancelled';
  const duplicates = await waitingFor(jobs, job.jobId);
  return duplicates.length > 0 ? 'dropped again' : settings.inputs.unreadableHours;
}

function scanDepsOf(run: Run): ScanDeps {
  const { deps, leased } = run;
  const job = leased.record;
  const { objects, rules, limits, prices, deadline } = deps;
  const { layout } = deps.settings;
  return {
    objects,
    layout,
    rules,
    limits,
    prices,
    deadline,
    worker: leased.holder,
    async save(state) {
      const { restarts, checkpoint } = run.progress;
      const generation = (checkpoint?.generation ?? 0) + 1;
      const key = workKeys(layout, job.jobId).checkpoint(leased.holder, generation);
      await writeCheckpoint(objects, key, CHECKPOINT_KIND, state);
      const offset = state.phase === 'lines' ? state.next.offset : (checkpoint?.offset ?? 0);
      run.progress = {
        starts: 0,
        ...(restarts === undefined ? {} : { restarts }),
        checkpoint: { generation, key, offset },
      };
      await keep(run, { ...run.progress, starts: 1 });
      deps.telemetry.record('scan.checkpointed', {
        jobId: job.jobId,
        generation,
        phase: state.phase,
        offset,
      });
    },
  };
}

const CHECKPOINT_KIND = 'ingest';

async function readState(objects: ObjectStore, key: string): Promise<ScanState> {
  const state = (await readCheckpoint(objects, key, CHECKPOINT_KIND)) as ScanState;
  if (state.v === SCAN_VERSION) return state;
  throw new CorruptWorkFileError(
    `${key} has version ${String(state.v)}; this deployment reads version ${SCAN_VERSION}`,
  );
}

/** Records how ingest is going. */
async function keep(run: Run, progress: IngestProgress): Promise<void> {
  if (JSON.stringify(run.kept) === JSON.stringify(progress)) return;
  const { leased } = run;
  const job = leased.record;
  run.kept = progress;
  // What has come further does not fail any more.
  const isFurther = job.failing !== undefined && progress.checkpoint !== run.startedFrom;
  await leased.move(toReading(job, progress, isFurther));
}

/** Without versioning, what is read is a copy; one that stands from an earlier try is as good. */
async function pinIfNeeded(objects: ObjectStore, job: Job): Promise<void> {
  if (job.input.versionId !== undefined) return;
  const pinned = await objects.head(job.source.bucket, job.source.key);
  if (pinned === undefined) await objects.pin(job.input, job.source.key);
}

/**
 * Batches first, then the job, then the dispatcher: the sweep finds whatever a crash leaves undone.
 * @param isNew the plan was made by this run, so that none of its batches has been recorded.
 */
async function carryOut(run: Run, plan: Plan, isNew: boolean, isOver: () => boolean): Promise<void> {
  const { deps, leased } = run;
  const job = leased.record;
  const { jobId } = job;
  const planKey = workKeys(deps.settings.layout, jobId).plan;
  const now = deps.ambient.now();
  if (plan.rejection !== undefined) {
    const rejection = plan.rejection as Rejection;
    if (!(await leased.tryMove(toRejected(job, planKey, rejection)))) return;
    deps.telemetry.record('job.rejected', { jobId, code: rejection.code });
    await deps.outbox.finalize({ v: 1, jobId });
    return;
  }
  const jobBytes = plan.batches.reduce((sum, { bytes }) => sum + bytes, 0);
  const { endpoints } = deps.rules;
  const records = plan.batches.map(
    ({ textBytes: _, dataUrlBytes: __, ...batch }): BatchRecord => ({
      v: 1,
      jobId,
      ...batch,
      round: 0,
      state: 'planned',
      jobBytes,
      route: job.route.name,
      ...(job.route.apiKey === undefined ? {} : { apiKey: job.route.apiKey }),
      ...(job.budgetUsd === undefined ? {} : { budgetUsd: job.budgetUsd }),
      ...onLadder(ladderOf(job.route, endpoints.get(batch.endpoint), droppedAt(job)), endpoints, now),
      jobCreatedAt: job.createdAt,
      createdAt: now,
      updatedAt: now,
    }),
  );
  const found = isNew ? [] : await deps.jobs.listBatches(jobId);
  const standing = new Set(found.map(({ batchId }) => batchId));
  const missing = [...records.entries()].filter(([, { batchId }]) => !standing.has(batchId));
  const waiting = found.filter(({ state }) => state === 'planned');
  // Runs that die over the estimates must not do so for ever.
  const { starts } = run.progress;
  if (missing.length > 0) await keep(run, { ...run.progress, starts: starts + 1 });
  for (const [done, [index, record]] of missing.entries()) {
    if (done > 0 && isOver()) {
      await continueInNextInvocation(run);
      return;
    }
    const tokens = starts < MAX_STARTS ? await estimate(deps, jobId, plan.batches[index]!) : undefined;
    const batch = tokens === undefined ? record : { ...record, tokens };
    await deps.jobs.createBatch(batch);
    if (batch.state === 'planned') waiting.push(batch);
  }
  // A job waits for one of its batches, see advanceAfter.
  const waitsFor = records[records.length >> 1]?.batchId;
  if (!(await leased.tryMove(toRunning(job, planKey, waitsFor)))) return;
  deps.telemetry.record('job.planned', {
    jobId,
    requests: plan.requests,
    invalid: plan.invalid,
    batches: records.length,
  });
  if (records.length === 0) await deps.outbox.finalize({ v: 1, jobId });
  await dispatch(deps, waiting);
}

/**
 * Input tokens of a batch, so that it may be admitted. Counted here and not while the file is scanned: a tokenizer takes
 * 80 MB, and time from the scan. `undefined`: unknown; if the requests cannot be read, whoever reads them next finds out.
 */
async function estimate(deps: IngestDeps, jobId: string, batch: PlannedBatch): Promise<number | undefined> {
  try {
    return await estimateBatchTokens(deps.objects, batch, await deps.tokenizerOf(batch.model), deps.rules);
  } catch (error) {
    if (!(isUnavailable(error) || error instanceof CorruptWorkFileError)) throw error;
    deps.telemetry.record('estimate.failed', { jobId, batchId: batch.batchId, reason: reasonOf(error) });
    return undefined;
  }
}
