/**
 * The same content dropped again under its key, as by a producer that puts a file once more because it saw no answer.
 * It is a duplicate of the job of the version right before it (or of that one's owner), while that job is live or
 * once it has succeeded: it waits until its owner has ended, and costs nothing. See
 * docs/adr/0022-duplicates-and-their-owners.md.
 */
import { createHash } from 'node:crypto';
import type { Route } from '../../contract/route.ts';
import type { Job } from '../model/job.ts';
import type { JobStore } from '../ports/records.ts';

/** How long after its record a job may own drops of the same content. */
export const OWNER_MS = 24 * 60 * 60_000;

/**
 * The job that is to own this one; `undefined` if it is to be run. Safe to repeat.
 * @param before the job of the version right before it.
 */
export async function ownerOf(
  jobs: Pick<JobStore, 'getJob'>,
  job: Job,
  before: Job | undefined,
): Promise<Job | undefined> {
  if (before === undefined || contentOf(before) !== contentOf(job)) return undefined;
  const root = await rootOf(jobs, before);
  const fate = fateOf(before, root);
  // It runs as soon as its own owner has ended, which was cancelled without it or is rejected.
  const isNext = fate === 'waits' && (root?.cancelledAt !== undefined || root?.rejection !== undefined);
  const isToRun = isWaiting(before) && (fate === 'runs' || isNext);
  const owner = isToRun ? before : root;
  return owner !== undefined && mayOwn(owner, job) ? owner : undefined;
}

/**
 * Live, or succeeded. What failed, was rejected or was cancelled may be dropped again to be run again. What ended in
 * part answers only drops from before its end: what it paid for is not bought a second time without anybody asking.
 */
export function mayOwn(owner: Job, job: Job): boolean {
  if (owner.jobId === job.jobId || owner.cancelledAt !== undefined || owner.rejection !== undefined)
    return false;
  if (owner.createdAt < job.createdAt - OWNER_MS) return false;
  if (owner.state === 'ingesting' || owner.state === 'running' || isWaiting(owner)) return true;
  if (owner.result === 'partial') return job.input.lastModified <= owner.updatedAt;
  return owner.result === 'succeeded';
}

/** A duplicate of which it is not decided yet what becomes of it. */
export function isWaiting({ state, result }: Pick<Job, 'state' | 'result'>): boolean {
  return state === 'duplicate' && result === undefined;
}

/** What becomes of a duplicate: `answered` by its owner's results, `cancelled` with its owner, or `runs` by itself. */
export type Fate = 'waits' | 'answered' | 'cancelled' | 'runs';

/** Whether a job was cancelled together with its duplicates. */
function isCancelledWhole({ cancelledAt, duplicatesRun }: Job): boolean {
  return cancelledAt !== undefined && duplicatesRun !== true;
}

/**
 * What was decided of a duplicate stays, whatever happens to it or to its owner after that.
 * @param owner as it is now; see {@link rootOf}.
 */
export function fateOf(job: Pick<Job, 'cancelledAt' | 'result'>, owner: Job | undefined): Fate {
  if (job.result === 'duplicate') return 'answered';
  if (job.result === 'rejected') return 'cancelled';
  if (job.cancelledAt !== undefined) return 'cancelled';
  if (owner === undefined) return 'runs';
  const hasEnded = owner.receiptKey !== undefined;
  if (hasEnded && owner.result === 'succeeded') return 'answered';
  if (isCancelledWhole(owner)) return 'cancelled';
  // Also behind an owner that is being cancelled: what is executed of it meanwhile would be bought twice.
  if (!hasEnded) return 'waits';
  return owner.result === 'partial' && owner.cancelledAt === undefined ? 'answered' : 'runs';
}

/** The job that a chain of duplicates leads to: the job itself if it is none. */
export async function rootOf(jobs: Pick<JobStore, 'getJob'>, job: Job): Promise<Job | undefined> {
  let root: Job | undefined = job;
  while (root?.state === 'duplicate' && root.duplicateOf !== undefined)
    root = await jobs.getJob(root.duplicateOf);
  return root;
}

/** Duplicates that wait for a job, and those that wait for them; a duplicate of this moment may be missing. */
export async function waitingFor(
  jobs: Pick<JobStore, 'getJob' | 'listDuplicates'>,
  jobId: string,
): Promise<string[]> {
  const found: string[] = [];
  for (const duplicate of await jobs.listDuplicates(jobId)) {
    const job = await jobs.getJob(duplicate);
    if (job === undefined || !isWaiting(job) || job.duplicateOf !== jobId) continue;
    found.push(duplicate, ...(await waitingFor(jobs, duplicate)));
  }
  return found;
}

/** Key, content as S3 names it, and options: the route as it was when the job was recorded. */
export function contentOf({ input, route }: Pick<Job, 'input' | 'route'>): string {
  const parts = [input.bucket, input.key, input.etag, String(input.size), textOf(route)];
  return createHash('sha256').update(parts.join('\0')).digest('hex');
}

/**
 * As JSON. What a person nests as they like is sorted: a table item gives the members of a map in any order (DynamoDB
 * guide, "Data types", "Map").
 */
function textOf(route: Route): string {
  return JSON.stringify(route, sortMembers);
}

function sortMembers(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}
