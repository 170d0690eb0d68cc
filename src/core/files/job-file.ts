/**
 * `work/<job>/job.json`: the job as it was created first. The table may be restored to a time before that; a worker
 * that creates the job again takes this content, with the time and the route of then.
 */
import * as z from 'zod';
import type { Layout } from '../../contract/layout.ts';
import { appliedOptionSchema } from '../../contract/options.ts';
import { routeSchema } from '../../contract/route.ts';
import type { Job } from '../model/job.ts';
import type { ObjectStore } from '../ports/objects.ts';
import { workKeys } from './keys.ts';
import { readWorkJson, writeWorkJsonOnce } from './work-json.ts';

const versioned = { bucket: z.string(), key: z.string(), versionId: z.exactOptional(z.string()) };

export const jobFileSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  input: z.object({ ...versioned, etag: z.string(), lastModified: z.number(), size: z.int() }),
  source: z.object(versioned),
  // Not the strict schema of the settings: another deployment's routes may have more or fewer keys.
  route: z.object(routeSchema.shape),
  budgetUsd: z.exactOptional(z.string()),
  options: z.exactOptional(z.array(appliedOptionSchema)),
  predecessor: z.exactOptional(
    z.object({ jobId: z.string(), versionId: z.exactOptional(z.string()), lastModified: z.number() }),
  ),
  rank: z.exactOptional(z.int().min(0)),
  rejection: z.exactOptional(
    z.object({ code: z.enum(['invalid_options', 'key_too_long', 'input_unreadable']), message: z.string() }),
  ),
  state: z.literal('ingesting'),
  createdAt: z.number(),
  updatedAt: z.number(),
});

/** A job that is about to be created. */
export type NewJob = z.output<typeof jobFileSchema>;

/** Records a job that is about to be created; returns it as it was created first. */
export function writeJobOnce(
  objects: Pick<ObjectStore, 'get' | 'put'>,
  layout: Layout,
  job: NewJob,
): Promise<Job> {
  return writeWorkJsonOnce(objects, workKeys(layout, job.jobId).job, jobFileSchema, job);
}

/** The job as it was created first; `undefined` if its files are gone. */
export function readJobFile(
  objects: Pick<ObjectStore, 'get'>,
  layout: Layout,
  jobId: string,
): Promise<Job | undefined> {
  return readWorkJson(objects, workKeys(layout, jobId).job, jobFileSchema);
}
