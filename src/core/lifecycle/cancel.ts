import { MINUTE_MS } from '../../contract/time.ts';
import type { Act } from '../model/act.ts';
import { apiKeyOf, type BatchRecord, isSlice } from '../model/batch.ts';
import type { Job } from '../model/job.ts';
import { CANCELLED } from '../model/outcome-codes.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { Outbox } from '../ports/outbox.ts';
import type { BatchService, ByKey, RemoteBatch } from '../ports/provider.ts';
import type { JobStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { toHurried, toStopping, toWithdrawn } from './batch-transitions.ts';
import { isWaiting, waitingFor } from './duplicate-jobs.ts';
import { toCancelled } from './job-transitions.ts';

/** A slice that is due within this time is left as it is: it may have looked at the job already. */
const SOON_MS = 5 * MINUTE_MS;

/** What {@link cancelJob} works with. */
export interface CancelDeps {
  jobs: JobStore;
  /** Absent where there is no API key: the next poll cancels the batches that are marked. */
  batches?: ByKey<Pick<BatchService, 'getBatch' | 'cancelBatch'>> | undefined;
  outbox: Pick<Outbox, 'finalize'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** How a job is cancelled. */
export interface CancelOptions {
  /** Whether those that wait for it are cancelled with it, or run by themselves. @default 'cancel' */
  duplicates?: 'cancel' | 'run' | undefined;
  /** What is kept of the operator who did it. A job that is cancelled already keeps nothing more. */
  act?: Act | undefined;
}

/** What came of cancelling a job. */
export interface Cancelled {
  /** `ended`: there was nothing left to cancel. */
  state: 'cancelling' | 'ended';
  /** Jobs of the same content that wait for it: cancelled with it, or to be run. */
  duplicates: string[];
}

/**
 * Marks the job, then does what can be done at once; the sweep does the rest. Safe to repeat.
 * @returns `undefined` if there is no such job.
 */
export async function cancelJob(
  deps: CancelDeps,
  jobId: string,
  options: CancelOptions = {},
): Promise<Cancelled | undefined> {
  for (;;) {
    const job = await deps.jobs.getJob(jobId);
    if (job === undefined) return undefined;
    if (job.state !== 'ingesting' && job.state !== 'running' && !isWaiting(job))
      return { state: 'ended', duplicates: [] };
    const now = deps.ambient.now();
    const cancelledAt = job.cancelledAt ?? now;
    const duplicatesRun = options.duplicates === 'run';
    // A job that moved in between is looked at again. It moves forward, but for a duplicate that runs after all, once.
    const act = job.cancelledAt === undefined ? options.act : undefined;
    const cancelled = toCancelled(job, cancelledAt, duplicatesRun, act);
    if ((await deps.jobs.moveJob(jobId, cancelled, now)) === undefined) continue;
    // After the mark: a job that becomes a duplicate from now on sees it.
    const duplicates = await waitingFor(deps.jobs, jobId);
    deps.telemetry.record('job.cancelled', {
      jobId,
      duplicates: duplicates.length,
      duplicatesRun,
      by: options.act?.by,
    });
    for (const duplicate of [...(isWaiting(job) ? [jobId] : []), ...duplicates])
      await deps.outbox.finalize({ v: 1, jobId: duplicate });
    const batches = await deps.jobs.listBatches(jobId);
    await endWaiting(deps, { ...job, cancelledAt }, batches);
    for (const batch of batches) {
      if (batch.state !== 'submitted' || deps.batches === undefined) continue;
      const remote = await deps.batches
        .withKey(apiKeyOf(batch))
        .getBatch(batch.remote!.openaiBatchId, batch.attempt?.keyVersion);
      if (remote !== undefined)
        await cancelAtOpenAI({ batches: deps.batches, telemetry: deps.telemetry }, batch, remote);
    }
    return { state: 'cancelling', duplicates };
  }
}

/**
 * Of a cancelled job: ends the batches that wait to be sent, as if OpenAI had refused them, and marks those that are,
 * or may be, at OpenAI, so that the poll cancels them there. A worker that is sending one of the former finds out by
 * its next write, before it creates anything. The sweep collects what has ended.
 */
export async function endWaiting(
  deps: Pick<CancelDeps, 'ambient' | 'telemetry'> & { jobs: Pick<JobStore, 'moveBatch'> },
  job: Pick<Job, 'cancelledAt'>,
  batches: readonly BatchRecord[],
): Promise<void> {
  if (job.cancelledAt === undefined) return;
  for (const batch of batches) {
    const { state } = batch;
    if (state === 'ended' || state === 'collected') continue;
    const now = deps.ambient.now();
    if (state === 'admitted' && isSlice(batch)) {
      // Its worker looks at the job every few seconds, and keeps what was answered; one that rests has none.
      if ((batch.wait?.notBefore ?? 0) > now + SOON_MS)
        await deps.jobs.moveBatch(batch, toHurried(batch, now), now);
      continue;
    }
    if (state === 'submitting' || state === 'submitted') {
      if (batch.stop?.cancelRequestedAt === undefined)
        await deps.jobs.moveBatch(batch, toStopping(batch, now), now);
      continue;
    }
    const withdrawn = toWithdrawn(batch, { errors: [CANCELLED] }, now);
    if ((await deps.jobs.moveBatch(batch, withdrawn, now)) === undefined) continue;
    const { jobId, batchId, requests } = batch;
    deps.telemetry.record('batch.withdrawn', { jobId, batchId, requests, code: CANCELLED.code });
  }
}

/**
 * Cancels a batch where that loses nothing: one that is finalizing has been executed and paid for, and ends by itself.
 * @param remote the batch as OpenAI has it now.
 */
export async function cancelAtOpenAI(
  deps: Pick<CancelDeps, 'telemetry'> & { batches: ByKey<Pick<BatchService, 'cancelBatch'>> },
  batch: BatchRecord,
  remote: RemoteBatch,
): Promise<void> {
  if (remote.status !== 'validating' && remote.status !== 'in_progress') return;
  await deps.batches.withKey(apiKeyOf(batch)).cancelBatch(remote.id, batch.attempt?.keyVersion);
  const { jobId, batchId } = batch;
  deps.telemetry.record('cancellation.requested', { jobId, batchId, openaiBatchId: remote.id });
}
