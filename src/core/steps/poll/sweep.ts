import type { Outbox } from '../../ports/outbox.ts';
import type { JobStore, LiveItem } from '../../ports/records.ts';
import { sendOn } from '../../scheduling/dispatch.ts';
import { type StepDownDeps, stepDown } from '../../scheduling/step-down.ts';

/** What a sweep takes. */
export interface SweepDeps extends StepDownDeps {
  jobs: JobStore;
  outbox: Outbox;
}

/** What was overdue when the sweep began. */
export interface Overdue {
  overdue: number;
  oldestOverdueMs: number;
}

/** Name of the lease of the poll: when it was last taken is when the last sweep began. */
export const POLL_LEASE = 'poll';

/**
 * When to send another message for work that no worker has leased since the last one; leased work becomes due
 * again when its lease runs out.
 */
const PUSHED_AGAIN_MS = 5 * 60_000;
/** A running job mostly waits for its batches, a duplicate for its owner, and the end of these moves it on. */
const WAITING_JOB_PUSHED_AGAIN_MS = 20 * 60_000;
/** When to look again at a running job whose awaited batch is not collected yet. */
const AWAITED_AGAIN_MS = 60 * 60_000;

/**
 * Sends again the message that each overdue job or batch waits for. It needs nothing but the table and the queues.
 * @param failures gets what could not be done; nothing is thrown, so that one item keeps no other from being moved.
 * @param limit items looked at, at most. Default: all that are overdue.
 * @returns how many were overdue, and for how long the first of them, which is the oldest; nothing if they could not all
 * be listed.
 */
export async function sweep(
  deps: SweepDeps,
  failures: unknown[],
  limit = Number.POSITIVE_INFINITY,
): Promise<Overdue | undefined> {
  const now = deps.ambient.now();
  const looked = new Set<string>();
  const overdue: Overdue = { overdue: 0, oldestOverdueMs: 0 };
  try {
    for await (const item of deps.jobs.listOverdue(now)) {
      overdue.overdue += 1;
      if (overdue.overdue > limit) return undefined;
      overdue.oldestOverdueMs = Math.max(overdue.oldestOverdueMs, now - item.due);
      // What cannot be sent must not miss the time for another tier over it.
      if (item.kind === 'batch' && item.batch.ladder?.deadlineAt !== undefined) {
        const { jobId } = item.batch;
        if (!looked.has(jobId))
          await attempt(failures, async () => stepDown(deps, await deps.jobs.listBatches(jobId)));
        looked.add(jobId);
      }
      if (await isWaiting(deps.jobs, item)) {
        await deps.jobs.postpone(item, now + AWAITED_AGAIN_MS);
        continue;
      }
      await push(deps.outbox, item);
      await deps.jobs.postpone(
        item,
        now + (isWaitingJob(item) ? WAITING_JOB_PUSHED_AGAIN_MS : PUSHED_AGAIN_MS),
      );
      const { jobId, state } = item.kind === 'job' ? item : item.batch;
      const batchId = item.kind === 'batch' ? item.batch.batchId : undefined;
      deps.telemetry.record('message.resent', { jobId, batchId, state });
    }
  } catch (error) {
    failures.push(error);
    return undefined;
  }
  return overdue;
}

/** Whether a running job waits for a batch, so that there is nothing to be done for the job itself. */
async function isWaiting(jobs: Pick<JobStore, 'getBatch'>, item: LiveItem): Promise<boolean> {
  if (item.kind !== 'job' || item.state !== 'running') return false;
  // Of a cancelled job, everything is ended that was recorded since.
  if (item.waitsFor === undefined || item.cancelledAt !== undefined) return false;
  const awaited = await jobs.getBatch(item.jobId, item.waitsFor);
  return awaited !== undefined && awaited.state !== 'collected';
}

function isWaitingJob(item: LiveItem): boolean {
  return item.kind === 'job' && (item.state === 'running' || item.state === 'duplicate');
}

async function push(outbox: Outbox, item: LiveItem): Promise<void> {
  if (item.kind === 'job') {
    const message = { v: 1, jobId: item.jobId } as const;
    await (item.state === 'ingesting' ? outbox.ingest(message) : outbox.finalize(message));
    return;
  }
  const { jobId, batchId, state } = item.batch;
  const message = { v: 1, jobId, batchId } as const;
  await (state === 'ended' ? outbox.collect(message) : sendOn(outbox, item.batch));
}

/** Runs a step whose failure must not keep the others from being done. */
export async function attempt(failures: unknown[], step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    failures.push(error);
  }
}
