/** What is not removed with a job, because it is of other jobs, or not ours to remove. */
import type { Done } from '../../../contract/operate.ts';
import type { Job } from '../../model/job.ts';
import { jobIdOf } from '../../model/job-id.ts';
import { findOwnSidecar, sidecarKeyOf } from '../../requests/sidecar.ts';
import type { OperateDeps } from './deps.ts';
import { versionsAt } from './results-of.ts';

type Remains = Done<'forget'>['remains'];

/** Of a job that was removed before, nothing is known. */
export const NOTHING_REMAINS: Remains = { retries: [], duplicates: [], options: [], openaiFiles: [] };

type RemainsDeps = Pick<OperateDeps, 'jobs' | 'index' | 'objects' | 'inputs'>;

/** What will remain of a job once it is removed. */
export async function remainsOf(deps: RemainsDeps, job: Job): Promise<Remains> {
  return {
    retries: await retriesOf(deps, job),
    duplicates: await duplicatesOf(deps, job.jobId),
    options: await optionsLeft(deps, job),
    openaiFiles: (job.filesLeft ?? []).map(({ id, apiKey }) => ({ id, apiKey })),
  };
}

/** Jobs of what was dropped again of it. */
async function retriesOf(
  { index, objects }: RemainsDeps,
  { input: { bucket }, retries = [] }: Job,
): Promise<Remains['retries']> {
  const found: Remains['retries'] = [];
  for (const { key } of retries) {
    const ids = new Set((await index.listEndedOf(bucket, key)).map(({ jobId }) => jobId));
    const head = await objects.head(bucket, key);
    if (head !== undefined) ids.add(jobIdOf(head));
    for (const jobId of ids) found.push({ jobId, key });
  }
  return found;
}

/** Jobs that its results answer: their receipts name its files. */
async function duplicatesOf(deps: RemainsDeps, ownerId: string): Promise<Remains['duplicates']> {
  const found: Remains['duplicates'] = [];
  for (const jobId of await deps.jobs.listDuplicates(ownerId)) {
    const job = await deps.jobs.getJob(jobId);
    if (job?.state === 'duplicate') found.push({ jobId, key: job.input.key });
    found.push(...(await duplicatesOf(deps, jobId)));
  }
  return found;
}

/** Options beside its key that it did not read, or that another version of the key may have read too. */
async function optionsLeft(deps: RemainsDeps, { jobId, input }: Job): Promise<string[]> {
  const key = sidecarKeyOf(input.key);
  if (key === undefined) return [];
  const beside = await versionsAt(deps, key);
  const isOnly = (await versionsAt(deps, input.key)).every((version) => jobIdOf(version) === jobId);
  const own = isOnly ? await findOwnSidecar(deps, input, key) : undefined;
  const left = beside.filter(
    ({ versionId, etag }) => own === undefined || versionId !== own.versionId || etag !== own.etag,
  );
  return left.length === 0 ? [] : [key];
}
