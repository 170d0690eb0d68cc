/**
 * The same content dropped again under its key, as by a producer that puts a file once more because it saw no answer:
 * it is recorded as a duplicate of the job that stands for it, and costs nothing.
 */
import { createHash } from 'node:crypto';
import type { Route } from '../../contract/settings.ts';
import type { Job } from '../model.ts';
import type { JobStore } from '../ports.ts';

/** How long after its drop a job stands for its content. */
const SAME_CONTENT_MS = 24 * 60 * 60_000;

/** The job that this one is a duplicate of; `undefined` if it is to be run. Safe to repeat. */
export async function originalOf(
  jobs: Pick<JobStore, 'getJob' | 'claimContent'>,
  job: Job,
): Promise<string | undefined> {
  if (job.route.sameContent === 'run') return undefined;
  const content = contentIdOf(job);
  let standing = await jobs.claimContent(content, job.jobId);
  while (standing !== job.jobId) {
    const other = await jobs.getJob(standing);
    if (other !== undefined && standsFor(other, job)) return standing;
    standing = await jobs.claimContent(content, job.jobId, standing);
  }
  return undefined;
}

/** Live, or succeeded; what failed, was rejected or was cancelled may be dropped again to be run again. */
function standsFor(other: Job, job: Job): boolean {
  if (other.cancelledAt !== undefined || other.createdAt < job.createdAt - SAME_CONTENT_MS) return false;
  return other.state === 'ingesting' || other.state === 'running' || other.result === 'succeeded';
}

/** Key, content as S3 names it, and options: the route as it was when the job was claimed. */
function contentIdOf({ input, route }: Job): string {
  const parts = [input.bucket, input.key, input.etag, String(input.size), textOf(route)];
  return createHash('sha256').update(parts.join('\0')).digest('hex');
}

/**
 * As JSON. What a person nests as they like is sorted: a table item gives the members of a map in any order (DynamoDB
 * guide, "Data types", "Map").
 */
function textOf({ defaults, ...route }: Route): string {
  const text = JSON.stringify(route);
  return defaults === undefined ? text : text + JSON.stringify(defaults, sortMembers);
}

function sortMembers(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}
