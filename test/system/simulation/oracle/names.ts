/** The plain names belong to the newest version, whole: its files are there, and none of an older one. */
import { createHash } from 'node:crypto';
import type { Receipt } from '../../../../src/contract/receipt.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import type { ObjectHead } from '../../../../src/core/model/objects.ts';
import type { Published, Stack } from '../stack.ts';
import type { RecordedJob } from './duplicates.ts';
import type { ExpectedJob, Report } from './expectations.ts';

/** What was published of a job. */
interface FinishedJob {
  expected: ExpectedJob;
  receipt: Receipt;
  published: Published;
}

/**
 * Reports names that are not those of the newest version.
 * @param finished jobs with a receipt; `recorded`: these and duplicates, in the order in which they were dropped.
 */
export async function checkNames(
  { finished, recorded }: { finished: readonly FinishedJob[]; recorded: readonly RecordedJob[] },
  stack: Stack,
  report: Report,
): Promise<void> {
  const ofJob = new Map(finished.map((one) => [one.receipt.jobId, one]));
  for (const [key, versions] of Map.groupBy(recorded, ({ expected }) => expected.drop.key)) {
    const newest = ownerOf(versions.at(-1)!.job, versions);
    // What an older one has left may be at the names again: see forgotten.ts.
    if (versions.some(({ job, isForgotten }) => isForgotten && job.jobId === newest.jobId)) continue;
    const owner = ofJob.get(newest.jobId);
    if (owner === undefined) continue;
    const names = namesOf(key);
    const current = await stack.objects.get(names.receipt);
    const jobId =
      current === undefined
        ? undefined
        : (JSON.parse(Buffer.from(current).toString('utf8')) as Receipt).jobId;
    if (jobId !== newest.jobId) {
      report(
        `${names.receipt} is of job ${jobId}; the newest version of ${key} is answered by ${newest.jobId}`,
      );
      continue;
    }
    for (const file of ['output', 'errors', 'retry'] as const) {
      const found = await stack.objects.get(names[file]);
      const published = owner.published.files.get(file);
      if (!Buffer.from(found ?? '').equals(Buffer.from(published ?? '')))
        report(`${names[file]} is not what the receipt beside it was written for`);
    }
  }
}

/** The job whose results answer a version: its own, or that which it is a duplicate of. */
function ownerOf(job: Job, versions: readonly RecordedJob[]): Job {
  const owner = versions.find((other) => other.job.jobId === job.duplicateOf)?.job;
  return owner === undefined || owner.jobId === job.jobId ? job : ownerOf(owner, versions);
}

/** The id of an input's job (docs/reference: a hash of bucket, key and version). */
export function jobIdOf({ bucket, key, versionId, etag, lastModified }: ObjectHead): string {
  const version = versionId === undefined ? `etag:${etag}:${lastModified}` : `version:${versionId}`;
  return createHash('sha256').update([bucket, key, version].join('\0')).digest('hex').slice(0, 32);
}

/** Where the results of an input are: the same name below other prefixes, without its own prefix and ending. */
function namesOf(key: string): Record<'output' | 'errors' | 'retry' | 'receipt', string> {
  const name = key.replace(/^input\//, '').replace(/\.jsonl$/, '');
  return {
    output: `output/${name}.jsonl`,
    errors: `errors/${name}.jsonl`,
    retry: `retry/${name}.jsonl`,
    receipt: `receipts/${name}.json`,
  };
}
