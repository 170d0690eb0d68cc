/** Removes for good what a job that has ended has left. */
import type { Done, OperateRequest } from '../../../contract/operate.ts';
import { DAY_MS } from '../../../contract/time.ts';
import { namesHeldUntil, publicationOf, whileNamesHeld } from '../../drops/publication.ts';
import { workKeys } from '../../files/keys.ts';
import { waitingFor } from '../../lifecycle/duplicate-jobs.ts';
import { toForgetting, toRetried } from '../../lifecycle/job-transitions.ts';
import { LeasedJob, TakenOverError } from '../../lifecycle/leased.ts';
import type { Act } from '../../model/act.ts';
import { hasEnded, type Job } from '../../model/job.ts';
import { jobIdOf } from '../../model/job-id.ts';
import { retryOfKey } from '../../model/retry-key.ts';
import type { Publication } from '../../ports/records.ts';
import { findOwnSidecar, sidecarKeyOf } from '../../requests/sidecar.ts';
import type { OperateDeps } from './deps.ts';
import { busy, noSuchJob, RefusedAct, requireOwnBucket } from './refusal.ts';
import { NOTHING_REMAINS, remainsOf } from './remains.ts';
import { resultsOf, versionsAt } from './results-of.ts';

type ForgetRequest = Extract<OperateRequest, { action: 'forget' }>;

/** What is known of one key beside the jobs goes so long after its last job. Longer than any worker remembers it. */
const NAMES_KEPT_MS = 7 * DAY_MS;

/**
 * Everything is removed before the record, and the receipt after the results that it tells apart from those of other
 * jobs: a repeat of the act after a crash finds what is left. The input is last of the objects: once it is gone, its key
 * means the job of an older version. Meanwhile no other job publishes at the same names, so that what is listed is what
 * is removed.
 * @throws {RefusedAct} if the job is live, others wait for its results or publish at its names, or it is of another
 * bucket.
 */
export async function forgetJob(
  deps: OperateDeps,
  { jobId }: ForgetRequest,
  act: Act,
): Promise<Done<'forget'>> {
  const before = await deps.graves.getTombstone(jobId);
  if (before !== undefined) return answer('forgotten_before', before.forgottenAt, NOTHING_REMAINS);
  const job = await deps.jobs.getJob(jobId);
  if (job === undefined) throw noSuchJob(jobId);
  requireOwnBucket(deps, job);
  await requireForgettable(deps, job);
  const leased = await LeasedJob.lease(deps, jobId, job.state);
  if (leased === undefined) throw busy(jobId);
  try {
    return await leased.work(deps, (working) => forgetLeased(working, leased, act));
  } catch (error) {
    await leased.release();
    throw error instanceof TakenOverError ? busy(jobId) : error;
  }
}

async function forgetLeased(deps: OperateDeps, leased: LeasedJob, act: Act): Promise<Done<'forget'>> {
  const publication = publicationOf(deps, leased.record);
  const now = deps.ambient.now();
  const until = namesHeldUntil(now);
  if ((await deps.jobs.holdPublication(publication, now, until)) === 'busy')
    throw new RefusedAct(
      'busy',
      `Results of ${publication.owner} are being published at this moment; repeat this in three minutes, with the job id.`,
    );
  try {
    return await whileNamesHeld(deps, publication, until, async (holding) => {
      const job = leased.record;
      if (job.forgettingAt === undefined) await leased.move(toForgetting(job, act.at, act));
      await settleRetry(holding, job);
      const remains = await remainsOf(holding, job);
      const objects = await erase(holding, job, publication);
      const { by, reason } = act;
      const forgottenAt = holding.ambient.now();
      const { jobId } = job;
      const why = reason === undefined ? {} : { reason };
      await holding.graves.bury({ v: 1, jobId, forgottenAt, by, ...why });
      holding.telemetry.record('job.forgotten', { jobId, objects, by });
      return answer('forgotten', forgottenAt, remains);
    });
  } finally {
    await deps.jobs.abandonPublication(publication);
  }
}

function answer(
  state: Done<'forget'>['state'],
  forgottenAt: number,
  remains: Done<'forget'>['remains'],
): Done<'forget'> {
  return {
    v: 1,
    ok: true,
    action: 'forget',
    state,
    forgottenAt: new Date(forgottenAt).toISOString(),
    remains,
  };
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

/**
 * A worker that retried may have died before it said that this input is dropped. Once the input is gone, only that record
 * keeps the act repeated from dropping, and paying for, the same requests again.
 */
async function settleRetry(deps: OperateDeps, { input }: Job): Promise<void> {
  const of = retryOfKey(input.key);
  const parent = of && (await deps.jobs.getJob(of.jobId));
  const isOpen = parent?.retries?.some(
    ({ number, key, isDropping }) => number === of?.number && key === input.key && isDropping,
  );
  if (of === undefined || !isOpen) return;
  const leased = await LeasedJob.lease(deps, of.jobId, 'completed');
  if (leased === undefined) throw busy(of.jobId);
  await leased.move(toRetried(leased.record, of.number));
}

/** All but its records. @returns how many objects were removed. */
async function erase(deps: OperateDeps, job: Job, publication: Publication): Promise<number> {
  const { bucket, key, lastModified } = job.input;
  const { jobId } = job;
  const expiresAt = deps.ambient.now() + NAMES_KEPT_MS;
  let erased = await eraseWorkFiles(deps, job);
  const { versions, isShared } = await resultsOf(deps, job);
  for (const name of ['output', 'errors', 'retry', 'receipt'] as const)
    for (const [at, own] of Map.groupBy(versions[name], (version) => version.key))
      erased += await deps.erasure.eraseVersions(at, own);
  await deps.index.forget({ bucket, key, jobId });
  erased += await eraseInput(deps, job);
  await deps.graves.forgetLatest(`${bucket}/${key}`, { jobId, lastModified }, expiresAt);
  // Which job has published there last matters only while results of one are there.
  if (!isShared) await deps.graves.forgetPublication(publication, expiresAt);
  return erased;
}

async function eraseWorkFiles({ settings, erasure }: OperateDeps, { jobId }: Job): Promise<number> {
  const prefix = workKeys(settings.layout, jobId).base;
  for (let erased = 0; ; ) {
    const page = await erasure.eraseBelow(prefix);
    erased += page.erased;
    if (page.isEmpty) return erased;
  }
}

/**
 * Its own version; others at the key are other jobs'. Without versioning, the object if it is still this one. The
 * options that lay beside it go with the last version that they can be of.
 */
async function eraseInput(deps: OperateDeps, { jobId, input }: Job): Promise<number> {
  const versions = await versionsAt(deps, input.key);
  const own = versions.filter((version) => jobIdOf(version) === jobId);
  const beside = sidecarKeyOf(input.key);
  let erased = 0;
  // First: once the input is gone, nothing but the record says what lay beside it.
  if (beside !== undefined && versions.length === own.length) {
    const sidecar = await findOwnSidecar(deps, input, beside);
    if (sidecar !== undefined) erased += await deps.erasure.eraseVersions(beside, [sidecar]);
  }
  return erased + (await deps.erasure.eraseVersions(input.key, own));
}
