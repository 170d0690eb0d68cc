import type { Act } from '../model/act.ts';
import type { BatchRecord } from '../model/batch.ts';
import type { Job } from '../model/job.ts';
import { LOST_BATCH } from '../model/outcome-codes.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { Outbox } from '../ports/outbox.ts';
import type { JobStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { toLost, toResumed } from './batch-transitions.ts';
import { toActed } from './job-transitions.ts';

export interface ResumeDeps {
  jobs: Pick<JobStore, 'getJob' | 'moveJob' | 'listBatches' | 'moveBatch'>;
  outbox: Pick<Outbox, 'collect'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** How the batches of a job are released. */
export interface ResumeOptions {
  /**
   * Whether lost batches are given up: their requests run again, though the provider may have charged for them.
   * @default false
   */
  givesUpLost?: boolean | undefined;
  /** What is kept of the operator who did it. Nothing is kept where there was nothing to change. */
  act?: Act | undefined;
}

/** What became of the batches of a job. */
export interface Resumed {
  job: Job;
  /** Those that are sent again as soon as there is room for them, as they were when they were held. */
  released: BatchRecord[];
  /** Lost ones that were given up. */
  givenUp: BatchRecord[];
  /** Lost ones that are held until they are given up. */
  lost: BatchRecord[];
  /** Those that show a person a reason why they wait, and that no release helps. */
  waiting: BatchRecord[];
}

/** Whether a batch waits until a person releases it. */
export function isHeld({ state, hold }: Pick<BatchRecord, 'state' | 'hold'>): boolean {
  return state === 'planned' && hold?.at !== undefined;
}

/** Whether a batch is held because the provider will not end it any more. */
export function isLost({ state, hold }: Pick<BatchRecord, 'state' | 'hold'>): boolean {
  return state === 'submitted' && hold?.reason === LOST_BATCH;
}

/**
 * Releases every held batch of a job; the next poll sends them. They may be sent as often in vain as the first time
 * before they are held again. Safe to repeat.
 * @returns `undefined` if there is no such job.
 */
export async function resumeJob(
  deps: ResumeDeps,
  jobId: string,
  options: ResumeOptions = {},
): Promise<Resumed | undefined> {
  const job = await deps.jobs.getJob(jobId);
  if (job === undefined) return undefined;
  const resumed: Resumed = { job, released: [], givenUp: [], lost: [], waiting: [] };
  const batches = await deps.jobs.listBatches(jobId);
  const isChanged = (batch: BatchRecord) => isHeld(batch) || (isLost(batch) && options.givesUpLost === true);
  // First: one that dies on the way must not leave a change that nobody has made.
  if (options.act !== undefined && batches.some(isChanged)) await recordAct(deps, jobId, options.act);
  for (const batch of batches) {
    if (isHeld(batch)) await release(deps, batch, options, resumed);
    else if (isLost(batch) && options.givesUpLost) await giveUp(deps, batch, options, resumed);
    else if (isLost(batch)) resumed.lost.push(batch);
    else if (batch.hold !== undefined && batch.state !== 'collected') resumed.waiting.push(batch);
  }
  return resumed;
}

async function release(
  deps: ResumeDeps,
  batch: BatchRecord,
  { act }: ResumeOptions,
  { released }: Resumed,
): Promise<void> {
  const { jobId, batchId } = batch;
  // One that has left the state meanwhile was cancelled, or continues in another tier.
  if ((await deps.jobs.moveBatch(batch, toResumed(batch), deps.ambient.now())) === undefined) return;
  deps.telemetry.record('batch.resumed', { jobId, batchId, by: act?.by });
  released.push(batch);
}

/** One that was seen alive meanwhile is not held any more, and stays. */
async function giveUp(
  deps: ResumeDeps,
  batch: BatchRecord,
  { act }: ResumeOptions,
  { givenUp }: Resumed,
): Promise<void> {
  const { jobId, batchId } = batch;
  const now = deps.ambient.now();
  if ((await deps.jobs.moveBatch(batch, toLost(batch, now), now)) === undefined) return;
  const { openaiBatchId } = batch.remote!;
  deps.telemetry.record('batch.abandoned', { jobId, batchId, openaiBatchId, by: act?.by });
  // Should the message be lost, the sweep sends it.
  await deps.outbox.collect({ v: 1, jobId, batchId });
  givenUp.push(batch);
}

/** Keeps what an operator did with the job; its state may change meanwhile. */
async function recordAct(
  { jobs, ambient }: Pick<ResumeDeps, 'ambient'> & { jobs: Pick<JobStore, 'getJob' | 'moveJob'> },
  jobId: string,
  act: Act,
): Promise<void> {
  for (;;) {
    const job = await jobs.getJob(jobId);
    if (job === undefined) return;
    if ((await jobs.moveJob(jobId, toActed(job, act), ambient.now())) !== undefined) return;
  }
}
