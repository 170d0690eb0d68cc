/** Removes for good what a job that has ended has left. */
import type { Done, OperateRequest } from '../../../contract/operate.ts';
import { OPTIONS_SUFFIX } from '../../../contract/options.ts';
import { workKeys } from '../../files/keys.ts';
import { waitingFor } from '../../lifecycle/duplicate-jobs.ts';
import { toForgetting } from '../../lifecycle/job-transitions.ts';
import { LeasedJob } from '../../lifecycle/leased.ts';
import type { Act } from '../../model/act.ts';
import { hasEnded, type Job } from '../../model/job.ts';
import type { OperateDeps } from './deps.ts';
import { busy, noSuchJob, RefusedAct } from './refusal.ts';
import { resultsOf } from './results-of.ts';

type ForgetRequest = Extract<OperateRequest, { action: 'forget' }>;

/**
 * Everything is removed before the record, and the receipt after the results that it tells apart from those of other
 * jobs: a repeat of the act after a crash finds what is left. The input is last of the objects: once it is gone, its key
 * means the job of an older version.
 * @throws {RefusedAct} if the job is live, or others wait for its results.
 */
export async function forgetJob(
  deps: OperateDeps,
  { jobId }: ForgetRequest,
  act: Act,
): Promise<Done<'forget'>> {
  const before = await deps.graves.getTombstone(jobId);
  if (before !== undefined) return answer('forgotten_before', before.forgottenAt);
  const job = await deps.jobs.getJob(jobId);
  if (job === undefined) throw noSuchJob(jobId);
  await requireForgettable(deps, job);
  const leased = await LeasedJob.lease(deps, jobId, job.state);
  if (leased === undefined) throw busy(jobId);
  try {
    return await leased.work(deps, async (working) => {
      if (leased.record.forgettingAt === undefined)
        await leased.move(toForgetting(leased.record, act.at, act));
      const files = await eraseFiles(working, leased.record);
      const { bucket, key } = leased.record.input;
      await working.index.forget({ bucket, key, jobId });
      const inputs = await eraseInput(working, leased.record);
      const { by, reason } = act;
      const forgottenAt = working.ambient.now();
      await working.graves.bury({
        v: 1,
        jobId,
        forgottenAt,
        by,
        ...(reason === undefined ? {} : { reason }),
      });
      working.telemetry.record('job.forgotten', { jobId, objects: files + inputs, by });
      return answer('forgotten', forgottenAt);
    });
  } catch (error) {
    await leased.release();
    throw error;
  }
}

function answer(state: Done<'forget'>['state'], forgottenAt: number): Done<'forget'> {
  return { v: 1, ok: true, action: 'forget', state, forgottenAt: new Date(forgottenAt).toISOString() };
}

async function requireForgettable({ jobs }: OperateDeps, job: Job): Promise<void> {
  const { jobId } = job;
  if (!hasEnded(job))
    throw new RefusedAct(
      'job_is_live',
      `Job ${jobId} is ${job.state} and has no receipt yet: cancel it, and forget it once its receipt is there.`,
    );
  const [waiting] = await waitingFor(jobs, jobId);
  if (waiting !== undefined)
    throw new RefusedAct(
      'job_is_live',
      `Job ${waiting} waits for the results of job ${jobId}: repeat this with the job id once it has its receipt.`,
    );
}

/** All but the input. @returns how many objects there were. */
async function eraseFiles(deps: OperateDeps, job: Job): Promise<number> {
  let erased = 0;
  const prefix = workKeys(deps.settings.layout, job.jobId).base;
  for (;;) {
    const page = await deps.erasure.eraseBelow(prefix);
    erased += page.erased;
    if (page.isEmpty) break;
  }
  const { versions } = await resultsOf(deps, job);
  for (const name of ['output', 'errors', 'retry', 'receipt'] as const) {
    const byKey = Map.groupBy(versions[name], ({ key }) => key);
    for (const [key, own] of byKey)
      await deps.erasure.eraseVersions(
        key,
        own.map(({ versionId }) => versionId),
      );
    erased += versions[name].length;
  }
  return erased;
}

/** Its own version; others at the key are other jobs'. Without versioning, the object if it is still this one. */
async function eraseInput({ objects, inputs, erasure }: OperateDeps, { input }: Job): Promise<number> {
  const { bucket, key, versionId, etag, lastModified } = input;
  const head = await objects.head(bucket, key, versionId);
  const isOwn = head !== undefined && head.etag === etag && head.lastModified === lastModified;
  if (isOwn) await erasure.eraseVersions(key, [versionId]);
  // What lay beside it goes with the last version that it can be of.
  const { versions } = await inputs.listKey(key);
  if (versions.some(({ isDeleteMarker }) => !isDeleteMarker)) return isOwn ? 1 : 0;
  const beside = `${key}${OPTIONS_SUFFIX}`;
  const page = await inputs.listKey(beside);
  await erasure.eraseVersions(
    beside,
    page.versions.map((version) => version.versionId),
  );
  return page.versions.length + (isOwn ? 1 : 0);
}
