/** How batches of a job follow each other, and when the job has none left to wait for. */
import { defined } from '../base/defined.ts';
import { CorruptWorkFileError } from '../base/errors.ts';
import { type Plan, readPlan } from '../files/plan.ts';
import type { BatchRecord } from '../model/batch.ts';
import { childBatchId } from '../model/batch-id.ts';
import { hasEnded, type Job } from '../model/job.ts';
import type { ObjectStore } from '../ports/objects.ts';
import type { Outbox } from '../ports/outbox.ts';
import type { JobStore } from '../ports/records.ts';
import { toWaitsFor } from './job-transitions.ts';

/** The batches that take up what `batch` leaves; none if it finished everything. The same ids each time. */
export function nextRound(batch: BatchRecord, now: number): BatchRecord[] {
  const children = batch.results?.next ?? [];
  return children.map(({ notBefore, ...child }, index) =>
    defined({
      v: 1,
      jobId: batch.jobId,
      batchId: childBatchId(batch, index, children.length),
      round: batch.round + 1,
      state: 'planned',
      endpoint: batch.endpoint,
      model: batch.model,
      tier: batch.tier,
      route: batch.route,
      apiKey: batch.apiKey,
      jobBytes: batch.jobBytes,
      completionWindow: batch.completionWindow,
      budgetUsd: batch.budgetUsd,
      ladder: batch.ladder,
      ...child,
      wait: notBefore === undefined ? undefined : { notBefore },
      jobCreatedAt: batch.jobCreatedAt ?? batch.createdAt,
      createdAt: now,
      updatedAt: now,
    }),
  );
}

/** Whether every request of the job has its outcome: each planned batch, and each that followed, is collected. */
export function isFinished(plan: Plan, batches: readonly BatchRecord[]): boolean {
  const byId = new Map(batches.map((batch) => [batch.batchId, batch]));
  const collected = (batchId: string): boolean => byId.get(batchId)?.state === 'collected';
  return (
    plan.batches.every(({ batchId }) => collected(batchId)) &&
    batches.every((batch) => nextRound(batch, 0).every(({ batchId }) => collected(batchId)))
  );
}

/**
 * Does what follows from the current batches of a job: records rounds that were decided but not yet recorded, and
 * asks for the job to be finalized once nothing is left. Safe to repeat. Reads every batch of the job.
 * @returns the batches that it recorded: they wait for their turn.
 */
export async function advanceJob(
  deps: { jobs: JobStore; outbox: Pick<Outbox, 'finalize'> },
  plan: Plan,
  now: number,
): Promise<BatchRecord[]> {
  return advance(deps, plan, await deps.jobs.listBatches(plan.jobId), now);
}

/**
 * The same after a batch of the job was collected. It reads all the others only where nothing else says that the job
 * is not finished: the job names one batch that it waits for, and while that one is not collected, nor is the job
 * finished. So with any number of batches, they are all read a few times, and not once for each. What a worker
 * that died has left undone for other batches is left to the sweep.
 * @param job as it was at any time before.
 */
export async function advanceAfter(
  deps: { jobs: JobStore; objects: Pick<ObjectStore, 'get'>; outbox: Pick<Outbox, 'finalize'> },
  job: Pick<Job, 'jobId' | 'state' | 'planKey' | 'waitsFor'>,
  batch: BatchRecord,
  now: number,
): Promise<BatchRecord[]> {
  const { jobId, waitsFor } = job;
  const { batchId } = batch;
  const added: BatchRecord[] = [];
  for (const next of nextRound(batch, now)) if (await deps.jobs.createBatch(next)) added.push(next);
  if (added.length > 0) return added;
  if (waitsFor !== undefined && waitsFor !== batchId) {
    const other = await deps.jobs.getBatch(jobId, waitsFor);
    if (other !== undefined && other.state !== 'collected') return [];
  }
  const plan = await readPlan(deps.objects, job.planKey!);
  if (plan === undefined) {
    const current = await deps.jobs.getJob(jobId);
    // The job has ended since it was read, and was removed.
    if (current === undefined || hasEnded(current)) return [];
    throw new CorruptWorkFileError(`${job.planKey} is missing`);
  }
  // An only batch that leaves nothing is all there is of its job.
  const isOnly = plan.batches.length === 1 && plan.batches[0]!.batchId === batchId;
  const batches = isOnly && batch.results?.next === undefined ? [batch] : await deps.jobs.listBatches(jobId);
  const missing = await advance(deps, plan, batches, now);
  // The middle one: in whatever order they end, half of them are collected before it, more or less.
  const open = [...batches, ...missing].filter(({ state }) => state !== 'collected');
  const awaited = open[open.length >> 1];
  // A hint that every reader checks: the last writer does not matter.
  if (awaited !== undefined) await deps.jobs.moveJob(jobId, toWaitsFor(job, awaited.batchId), now);
  return missing;
}

async function advance(
  deps: { jobs: JobStore; outbox: Pick<Outbox, 'finalize'> },
  plan: Plan,
  batches: readonly BatchRecord[],
  now: number,
): Promise<BatchRecord[]> {
  const known = new Set(batches.map((batch) => batch.batchId));
  const added: BatchRecord[] = [];
  for (const next of batches.flatMap((batch) => nextRound(batch, now))) {
    if (known.has(next.batchId)) continue;
    await deps.jobs.createBatch(next);
    added.push(next);
  }
  if (isFinished(plan, batches)) await deps.outbox.finalize({ v: 1, jobId: plan.jobId });
  return added;
}
