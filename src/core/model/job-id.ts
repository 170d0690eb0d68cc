import { createHash } from 'node:crypto';
import type { ObjectHead } from './objects.ts';

/** Hex digits of a job's id. */
export const JOB_ID_CHARS = 32;

/**
 * The id of the job of an input object: 32 hex digits derived from bucket, key and VersionId, or, in a
 * bucket without versioning, from ETag and LastModified. An event that comes twice, a listing and a sweep all find the
 * same job, because nothing of an event goes into it.
 */
export function jobIdOf(input: ObjectHead): string {
  const version =
    input.versionId === undefined ? `etag:${input.etag}:${input.lastModified}` : `version:${input.versionId}`;
  return createHash('sha256')
    .update(`${input.bucket}\0${input.key}\0${version}`)
    .digest('hex')
    .slice(0, JOB_ID_CHARS);
}
