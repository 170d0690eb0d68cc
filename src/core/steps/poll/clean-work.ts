/**
 * Removes what jobs left below `work/`, some time after they have ended. No lifecycle rule can do it: it knows how
 * old an object is, and a job may wait for months (see docs/adr/0025).
 */
import type { Settings } from '../../../contract/settings.ts';
import { workKeys } from '../../files/keys.ts';
import { toWorkRemoved } from '../../lifecycle/job-transitions.ts';
import { workingTime } from '../../lifecycle/time-limits.ts';
import { hasEnded, type Job } from '../../model/job.ts';
import type { Ambient, Deadline } from '../../ports/ambient.ts';
import type { WorkFiles } from '../../ports/objects.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';

/** What {@link cleanWork} works with. */
export interface CleanWorkDeps {
  settings: Pick<Settings, 'layout'>;
  /** How long the files of a job stay after it has ended. */
  workKeptMs: number;
  objects: WorkFiles;
  jobs: Pick<JobStore, 'listEnded' | 'getJob' | 'moveJob'>;
  ambient: Pick<Ambient, 'now'>;
  deadline: Deadline;
  telemetry: Telemetry;
}

/** Of a run: what else the poll does must not wait for it. */
const MAX_RUN_MS = 60_000;

/**
 * Removes the files of jobs that ended at least `workKeptMs` ago, those that ended first come first. What there is no
 * time for, the next run does. Safe to repeat: a job counts as cleaned once nothing is left.
 * @throws the first failure, after the other jobs.
 */
export async function cleanWork(deps: CleanWorkDeps): Promise<void> {
  const now = deps.ambient.now();
  const deadline = workingTime(deps.deadline);
  const isTimeOver = () => deadline.remainingMs() <= 0 || deps.ambient.now() - now >= MAX_RUN_MS;
  const failures: unknown[] = [];
  let cleaned = 0;
  for await (const { jobId } of deps.jobs.listEnded(now - deps.workKeptMs)) {
    if (isTimeOver()) break;
    try {
      if (await cleanJob(deps, jobId, isTimeOver)) cleaned += 1;
    } catch (error) {
      failures.push(error);
    }
  }
  if (cleaned > 0) deps.telemetry.record('work.removed', { jobs: cleaned });
  if (failures.length > 0) throw failures[0];
}

/** `false`: the job is live, or time was over first. */
async function cleanJob(deps: CleanWorkDeps, jobId: string, isTimeOver: () => boolean): Promise<boolean> {
  // The index lags, and a table may have been restored to a time when the job was live.
  const job = await deps.jobs.getJob(jobId);
  if (job === undefined || !isDue(deps, job)) return false;
  const { base } = workKeys(deps.settings.layout, jobId);
  while (!(await deps.objects.removeBelow(base))) if (isTimeOver()) return false;
  const now = deps.ambient.now();
  return (await deps.jobs.moveJob(jobId, toWorkRemoved(job, now), now)) !== undefined;
}

function isDue({ ambient, workKeptMs }: CleanWorkDeps, job: Job): boolean {
  return hasEnded(job) && job.workRemovedAt === undefined && job.updatedAt <= ambient.now() - workKeptMs;
}
