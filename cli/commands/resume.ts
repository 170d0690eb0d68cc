/** `batchdrop resume [JOB...]`: releases batches that are held, or lifts a suspended scope. */
import type { DynamoDBJobs } from '../../src/adapters/dynamodb/jobs.ts';
import type { Done } from '../../src/contract/operate.ts';
import { isHeld, isLost } from '../../src/core/lifecycle/resume.ts';
import type { BatchRecord } from '../../src/core/model/batch.ts';
import { confirm } from '../options/confirm.ts';
import { findJob } from '../options/find-job.ts';
import { askStack } from '../options/operate.ts';
import { type Stores, withStores } from '../options/stores.ts';
import { CannotRunError, EXIT_CANNOT_RUN, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { count } from '../view/text.ts';
import { type ActOptions, lift, reasonOf } from './operate.ts';

/** Options of `batchdrop resume`. */
export interface ResumeOptions extends ActOptions {
  /** Every job that has a held batch, or a lost one, which is given up only with {@link mayPayTwice}. */
  all?: boolean;
  /** A suspended scope: the name of an API key, or one and a model. */
  scope?: string;
  /** Lost batches are given up, though their requests may be paid for twice. */
  mayPayTwice?: boolean;
}

/**
 * Without jobs, shows what is held.
 * @param jobIds ids of jobs, or keys that were dropped.
 * @returns the exit status: 0, or 1 if one of the jobs does not exist.
 */
export async function resume(jobIds: readonly string[], options: ResumeOptions): Promise<number> {
  if (options.all && jobIds.length > 0) throw new UsageError('name jobs, or give --all, not both');
  if (options.scope !== undefined) {
    if (options.all || jobIds.length > 0) throw new UsageError('name jobs, or a --scope, not both');
    return lift(options.scope, options);
  }
  return withStores(options, async (stores) => {
    if (jobIds.length > 0) return release(stores, jobIds, options);
    const held = await heldOf(stores.jobs);
    if (held.length === 0) console.log('Nothing is held.');
    if (options.all) return release(stores, new Set(held.map(({ jobId }) => jobId)), options);
    for (const batch of held) console.log(lineOf(batch));
    if (held.length > 0) console.log('Nothing was released: name jobs to release theirs, or give --all.');
    if (held.some(isLost))
      console.log(
        'OpenAI does not end lost batches any more, and may have charged for them: only --may-pay-twice gives them up.',
      );
    return EXIT_SUCCEEDED;
  });
}

/** What the stack takes for an id. A key has at least the dot of its suffix, or the slash of its prefix. */
const JOB_ID = /^[\w-]+$/;

async function release(stores: Stores, named: Iterable<string>, options: ResumeOptions): Promise<number> {
  let status = EXIT_SUCCEEDED;
  for (const name of named) {
    try {
      const jobId = JOB_ID.test(name) ? name : (await findJob(stores, name)).jobId;
      print(jobId, await releaseJob(stores.stack, jobId, options), options);
    } catch (error) {
      if (!(error instanceof CannotRunError)) throw error;
      console.error(`batchdrop: ${error.message}`);
      status = EXIT_CANNOT_RUN;
    }
  }
  return status;
}

async function releaseJob(
  stack: Stores['stack'],
  jobId: string,
  options: ResumeOptions,
): Promise<Done<'resume'>> {
  const request = { action: 'resume', jobId, ...reasonOf(options) } as const;
  const paid = { ...request, acknowledge: 'may_pay_twice' } as const;
  const answer = await askStack(stack, options.mayPayTwice ? paid : request);
  if (answer.lost.length === 0 || !process.stdin.isTTY) return answer;
  const lost = count(answer.lost.length, 'batch', 'batches');
  const question =
    `${lost} of job ${jobId} will not end at OpenAI any more, and may have been charged. ` +
    'Give up and run their requests again (--may-pay-twice)?';
  if (!(await confirm(question, {}))) return answer;
  const { givenUp, lost: left } = await askStack(stack, paid);
  return { ...answer, givenUp, lost: left };
}

function print(jobId: string, answer: Done<'resume'>, { json }: ResumeOptions): void {
  if (json) {
    console.log(JSON.stringify({ jobId, ...answer }));
    return;
  }
  const { released, givenUp, lost, waiting } = answer;
  const all = released.length + givenUp.length;
  console.log(`${jobId}: ${all === 0 ? 'nothing is held' : `${count(all, 'batch', 'batches')} released`}`);
  for (const batchId of lost)
    console.log(
      `  batch ${batchId} will not end at OpenAI any more: --may-pay-twice runs its requests again, which may have been charged`,
    );
  for (const { batchId, reason } of waiting)
    console.log(`  batch ${batchId} waits for ${reason}, and continues by itself once that is dealt with`);
}

/** Batches that are held, those of the oldest job first; then lost ones. */
async function heldOf(jobs: DynamoDBJobs): Promise<BatchRecord[]> {
  const held: BatchRecord[] = [];
  for await (const batch of jobs.listWaiting()) if (isHeld(batch)) held.push(batch);
  for await (const batch of jobs.listAtOpenAI()) if (isLost(batch)) held.push(batch);
  return held;
}

function lineOf({ jobId, batchId, requests, hold }: BatchRecord): string {
  const { at, reason } = hold!;
  const since = at === undefined ? '' : `  held since ${new Date(at).toISOString()}`;
  return `${jobId}  batch ${batchId}  ${count(requests, 'request')}  ${reason}${since}`;
}
