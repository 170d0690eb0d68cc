import type { BatchRecord } from '../model/batch.ts';
import type { Job } from '../model/job.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { JobStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { toResumed } from './batch-transitions.ts';

export interface ResumeDeps {
  jobs: Pick<JobStore, 'getJob' | 'listBatches' | 'moveBatch'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** What became of the batches of a job. */
export interface Resumed {
  job: Job;
  /** Those that are sent again as soon as there is room for them, as they were when they were held. */
  released: BatchRecord[];
  /** Those that show a person a reason why they wait, and that no release helps. */
  waiting: BatchRecord[];
}

/** Whether a batch waits until a person releases it. */
export function isHeld({ state, hold }: Pick<BatchRecord, 'state' | 'hold'>): boolean {
  return state === 'planned' && hold?.at !== undefined;
}

/**
 * Releases every held batch of a job; the next poll sends them. They may be sent as often in vain as the first time
 * before they are held again. Safe to repeat.
 * @returns `undefined` if there is no such job.
 */
export async function resumeJob(deps: ResumeDeps, jobId: string): Promise<Resumed | undefined> {
  const job = await deps.jobs.getJob(jobId);
  if (job === undefined) return undefined;
  const released: BatchRecord[] = [];
  const waiting: BatchRecord[] = [];
  for (const batch of await deps.jobs.listBatches(jobId)) {
    if (!isHeld(batch)) {
      if (batch.hold !== undefined && batch.state !== 'collected') waiting.push(batch);
      continue;
    }
    const now = deps.ambient.now();
    // One that has left the state meanwhile was cancelled, or continues in another tier.
    if ((await deps.jobs.moveBatch(batch, toResumed(batch), now)) === undefined) continue;
    deps.telemetry.record('batch.resumed', { jobId, batchId: batch.batchId });
    released.push(batch);
  }
  return { job, released, waiting };
}
