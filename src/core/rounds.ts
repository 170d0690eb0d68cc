/** How batches of a job follow each other, and when the job has none left to wait for. */
import { type BatchRecord, childBatchId } from './model.ts';
import type { Plan } from './plan.ts';
import type { JobStore, Outbox } from './ports.ts';

/** The batches that take up what `batch` leaves; none if it finished everything. The same ids each time. */
export function nextRound(batch: BatchRecord, now: number): BatchRecord[] {
  const children = batch.next ?? [];
  return children.map((child, index) => ({
    v: 1,
    jobId: batch.jobId,
    batchId: childBatchId(batch, index, children.length),
    round: batch.round + 1,
    state: 'planned',
    endpoint: batch.endpoint,
    model: batch.model,
    ...child,
    jobCreatedAt: batch.jobCreatedAt ?? batch.createdAt,
    createdAt: now,
    updatedAt: now,
  }));
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
 * Does what follows from the batches of a job as they stand: records rounds that were decided but not yet recorded, and
 * asks for the job to be finalized once nothing is left. Safe to repeat.
 * @returns the batches that it recorded: they wait for their turn.
 */
export async function advanceJob(
  deps: { jobs: JobStore; outbox: Pick<Outbox, 'finalize'> },
  plan: Plan,
  now: number,
): Promise<BatchRecord[]> {
  const batches = await deps.jobs.listBatches(plan.jobId);
  const known = new Set(batches.map((batch) => batch.batchId));
  const added: BatchRecord[] = [];
  for (const next of batches.flatMap((batch) => nextRound(batch, now))) {
    if (known.has(next.batchId)) continue;
    await deps.jobs.addBatch(next);
    added.push(next);
  }
  if (isFinished(plan, batches)) await deps.outbox.finalize({ v: 1, jobId: plan.jobId });
  return added;
}
