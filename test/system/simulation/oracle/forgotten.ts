/** What is left of a job that was forgotten: its tombstone. */
import type { Stack } from '../stack.ts';
import type { Report } from './expectations.ts';

/** What is looked at of a stack. */
type Remaining = Pick<Stack, 'graves' | 'index' | 'jobs' | 'objects'>;

/** Ids of the jobs that a stack has forgotten. */
export function forgottenIn({ jobs }: Pick<Stack, 'jobs'>): ReadonlySet<string> {
  return new Set(jobs.buried.keys());
}

/** Reports what a stack still has of jobs that it has forgotten. */
export async function checkForgotten(stack: Remaining, report: Report): Promise<void> {
  const forgotten = forgottenIn(stack);
  for (const jobId of forgotten) {
    const say: Report = (text) => report(`job ${jobId} was forgotten, and ${text}`);
    if ((await stack.graves.getTombstone(jobId)) === undefined) say('has no tombstone');
    if ((await stack.jobs.getJob(jobId)) !== undefined) say('has a record');
    if ((await stack.jobs.listBatches(jobId)).length > 0) say('has records of batches');
    if (stack.index.ended.some((one) => one.jobId === jobId)) say('is listed as ended');
  }
  if (forgotten.size > 0) await checkObjects(stack, forgotten, report);
}

/** Every version of every object: the key of a retry names the job that it is of, and is another job's. */
async function checkObjects(
  { objects }: Remaining,
  forgotten: ReadonlySet<string>,
  report: Report,
): Promise<void> {
  for (let after: Parameters<Stack['objects']['listVersions']>[1], isFirst = true; isFirst || after; ) {
    isFirst = false;
    const page = await objects.listVersions('', after);
    for (const version of page.versions) {
      const { key } = version;
      const ofKey = [...forgotten].find(
        (jobId) => key.includes(jobId) && !key.includes(`retry-`) && !key.startsWith('input/'),
      );
      if (ofKey !== undefined) report(`job ${ofKey} was forgotten, and ${key} is there`);
      if (!key.startsWith('receipts/')) continue;
      const chunks: Uint8Array[] = [];
      for await (const chunk of await objects.read(version)) chunks.push(new Uint8Array(chunk));
      const { jobId } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { jobId: string };
      if (forgotten.has(jobId)) report(`job ${jobId} was forgotten, and its receipt ${key} is there`);
    }
    after = page.next;
  }
}
