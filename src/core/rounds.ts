/** How batches of a job follow each other, and when the job has none left to wait for. */
import { type BatchRecord, batchIdOf } from './model.ts';
import type { Plan } from './plan.ts';
import type { JobStore, Outbox } from './ports.ts';

/** The batch that takes up what `batch` could not finish; `undefined` if it finished everything. */
export function nextRound(batch: BatchRecord, now: number): BatchRecord | undefined {
  if (batch.next === undefined) return undefined;
  const round = batch.round + 1;
  return {
    v: 1,
    jobId: batch.jobId,
    batchId: batchIdOf(round, Number(batch.batchId.split('-')[1])),
    round,
    state: 'planned',
    endpoint: batch.endpoint,
    model: batch.model,
    ...batch.next,
    createdAt: now,
    updatedAt: now,
  };
}

/** Whether every request of the job has its outcome: each planned batch, and each round that followed, is collected. */
export function isFinished(plan: Plan, batches: readonly BatchRecord[]): boolean {
  const byId = new Map(batches.map((batch) => [batch.batchId, batch]));
  const collected = (batchId: string): boolean => byId.get(batchId)?.state === 'collected';
  return (
    plan.batches.every(({ batchId }) => collected(batchId)) &&
    batches.every((batch) => {
      const next = nextRound(batch, 0);
      return next === undefined || collected(next.batchId);
    })
  );
}

/**
 * Does what follows from the batches of a job as they stand: records rounds that were decided but not yet recorded, and
 * asks for the job to be finalized once nothing is left. Safe to repeat.
 */
export async function advanceJob(
  deps: { jobs: JobStore; outbox: Pick<Outbox, 'submit' | 'finalize'> },
  plan: Plan,
  now: number,
): Promise<void> {
  const batches = await deps.jobs.listBatches(plan.jobId);
  const known = new Set(batches.map((batch) => batch.batchId));
  let waiting = !isFinished(plan, batches);
  for (const batch of batches) {
    const next = nextRound(batch, now);
    if (next === undefined || known.has(next.batchId)) continue;
    waiting = true;
    await deps.jobs.addBatch(next);
    await deps.outbox.submit({ v: 1, jobId: next.jobId, batchId: next.batchId });
  }
  if (!waiting) await deps.outbox.finalize({ v: 1, jobId: plan.jobId });
}
