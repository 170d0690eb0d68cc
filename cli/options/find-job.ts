/**
 * The job that a person means: by its id, or by the key that was dropped. Of a key it is the job of the version that the
 * bucket has now; where the object is gone, or may not be looked at, the job that was dropped last of those that are live
 * or in the index of ended ones.
 */
import type { JobRecords } from '../../local/stack/pipeline.ts';
import { ObjectUnreadableError } from '../../src/core/base/errors.ts';
import { rootOf } from '../../src/core/lifecycle/duplicate-jobs.ts';
import type { Job } from '../../src/core/model/job.ts';
import { JOB_ID_CHARS, jobIdOf } from '../../src/core/model/job-id.ts';
import { CannotRunError } from '../view/exit.ts';
import { endedRow, type JobRow, liveRow } from '../view/jobs-view.ts';
import type { Stores } from './stores.ts';

/** What was found. */
export interface FoundJob {
  jobId: string;
  key: string;
  /** Absent: the object is there, and no job is recorded for it yet. */
  job: Job | undefined;
}

const JOB_ID = new RegExp(`^[0-9a-f]{${JOB_ID_CHARS}}$`);

/**
 * @param named id of a job, or a key of the bucket, also as `s3://BUCKET/KEY`. A key is the job of its newest version.
 * @param say gets what a person should know of how it was found.
 * @throws {CannotRunError} if the stack has no such job and the bucket no such object.
 */
export async function findJob(
  stores: Pick<Stores, 'jobs' | 'drops' | 'index' | 'openBucket'>,
  named: string,
  say: (text: string) => void = (text) => console.error(`batchdrop: ${text}`),
): Promise<FoundJob> {
  const { jobs, openBucket } = stores;
  if (JOB_ID.test(named)) {
    const job = await jobs.getJob(named);
    if (job !== undefined) return { jobId: named, key: job.input.key, job };
  }
  const bucket = openBucket();
  const key = keyOf(named, bucket.name);
  let isRefused = false;
  const head = await bucket.objects.head(bucket.name, key).catch((error: unknown) => {
    if (!(error instanceof ObjectUnreadableError)) throw error;
    // A viewer may not look at objects. S3 says the same of one that is not there to who may not list the bucket.
    isRefused = true;
    return undefined;
  });
  if (head !== undefined) {
    const jobId = jobIdOf(head);
    return { jobId, key, job: await jobs.getJob(jobId) };
  }
  const [latest] = await versionsOf(stores, bucket.name, key);
  if (latest !== undefined && isRefused)
    say(
      `your credentials may not look at ${key}: this is job ${latest.jobId}, the one of that key that was dropped last of those that are recorded`,
    );
  if (latest !== undefined) return { jobId: latest.jobId, key, job: await jobs.getJob(latest.jobId) };
  if (isRefused)
    throw new CannotRunError(
      `there is no job ${named} in this stack, and your credentials may not look whether bucket ${bucket.name} has an object of that key (s3:GetObject): name a job by the \`jobId\` of its receipt, or by its whole key, such as input/films.jsonl`,
    );
  throw new CannotRunError(
    `there is no job ${named} in this stack, and no object of that key in bucket ${bucket.name}: name a job by the \`jobId\` of its receipt, or by its whole key, such as input/films.jsonl`,
  );
}

/** Jobs of a key, live and ended ones, all its versions: the one that was dropped last first. */
export async function versionsOf(
  { jobs, drops, index }: Pick<Stores, 'jobs' | 'drops' | 'index'>,
  bucket: string,
  key: string,
): Promise<JobRow[]> {
  const rows = new Map<string, JobRow>();
  for await (const job of jobs.listLiveJobs(await drops.listDropRoutes()))
    if (job.input.bucket === bucket && job.input.key === key) rows.set(job.jobId, liveRow(job));
  // One that ends between the two looks has ended.
  for (const ended of await index.listEndedOf(bucket, key)) rows.set(ended.jobId, endedRow(ended));
  return [...rows.values()].sort((one, other) => other.droppedAt - one.droppedAt);
}

/** A job, of a duplicate also its owner, and the batches that answer it. */
export async function readRecords({ jobs }: Pick<Stores, 'jobs'>, job: Job | undefined): Promise<JobRecords> {
  if (job === undefined) return { job, batches: [] };
  const owner = job.state === 'duplicate' ? await rootOf(jobs, job) : undefined;
  return { job, owner, batches: await jobs.listBatches(owner?.jobId ?? job.jobId) };
}

/** @throws {CannotRunError} if it is a key of another bucket. */
function keyOf(named: string, bucket: string): string {
  const url = /^s3:\/\/([^/]+)\/(.+)$/.exec(named);
  if (url === null) return named;
  if (url[1] === bucket) return url[2]!;
  throw new CannotRunError(`${named} is not in the bucket of this stack, ${bucket}`);
}
