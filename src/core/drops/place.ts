/** The place of a version of an input among those of its key, in the order in which S3 stored them. */

import { defined } from '../base/defined.ts';
import type { Job } from '../model/job.ts';
import { jobIdOf } from '../model/job-id.ts';
import type { KeyVersion, ListCursor, ObjectHead } from '../model/objects.ts';
import type { Inputs } from '../ports/objects.ts';
import type { JobStore } from '../ports/records.ts';

/** What of a version's place its job keeps. */
export type Place = Pick<Job, 'predecessor' | 'rank'>;

/**
 * Finds the version that was stored right before this one (delete markers apart), and how many of the same second are
 * older.
 *
 * Without versioning S3 keeps nothing of what was there before: the job that was recorded last at the key counts as
 * the one before, and of objects put within one second none does.
 */
export async function placeOf(
  deps: { inputs: Pick<Inputs, 'listKey'>; jobs: Pick<JobStore, 'recordLatest'> },
  input: ObjectHead,
): Promise<Place> {
  if (input.versionId === undefined) return placeWithoutVersions(deps.jobs, input);
  const older: KeyVersion[] = [];
  let isPast = false;
  let after: ListCursor | undefined;
  do {
    const page = await deps.inputs.listKey(input.key, after);
    for (const version of page.versions) {
      if (isPast && !version.isDeleteMarker) older.push(version);
      isPast ||= version.versionId === input.versionId;
    }
    // What a page ends with may be of the same second as what the next one begins with.
    const isKnown = older.at(-1) !== undefined && older.at(-1)!.lastModified !== input.lastModified;
    after = isKnown ? undefined : page.next;
  } while (after !== undefined);
  const [before] = older;
  const ofSecond = older.findIndex(({ lastModified }) => lastModified !== input.lastModified);
  const rank = ofSecond === -1 ? older.length : ofSecond;
  return defined({
    rank: rank === 0 ? undefined : rank,
    predecessor: before === undefined ? undefined : predecessorOf(before),
  });
}

/**
 * Sorts the versions of an input by age; compared as text. S3 reports time in seconds; within one, the order in which
 * it stored them decides. Without versioning, only their ETags distinguish two objects of one second.
 */
export function orderOf({ input, rank = 0 }: Pick<Job, 'input' | 'rank'>): string {
  const [time, place] = [String(input.lastModified).padStart(15, '0'), String(rank).padStart(9, '0')];
  return `${time}#${place}#${input.versionId ?? input.etag}`;
}

function predecessorOf(version: KeyVersion): NonNullable<Job['predecessor']> {
  const { versionId, lastModified } = version;
  return defined({ jobId: jobIdOf(version), versionId, lastModified });
}

async function placeWithoutVersions(jobs: Pick<JobStore, 'recordLatest'>, input: ObjectHead): Promise<Place> {
  const { bucket, key, lastModified } = input;
  const before = await jobs.recordLatest(`${bucket}/${key}`, { jobId: jobIdOf(input), lastModified });
  return before === undefined ? {} : { predecessor: before };
}
