/** `batchdrop resume [JOB...]`: releases batches that are held, in a deployed stack or in the state of a local one. */
import type { DynamoDBJobs } from '../../src/adapters/dynamodb/jobs.ts';
import { isHeld, resumeJob } from '../../src/core/lifecycle/resume.ts';
import type { BatchRecord } from '../../src/core/model/batch.ts';
import type { StackOptions } from '../options/stack.ts';
import { withStores } from '../options/stores.ts';
import { EXIT_CANNOT_RUN, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { count } from '../view/text.ts';

/** Options of `batchdrop resume`. */
export interface ResumeOptions extends StackOptions {
  /** Every job that has a held batch. */
  all?: boolean;
}

/**
 * Without jobs, shows what is held.
 * @returns the exit status: 0, or 1 if one of the jobs does not exist.
 */
export async function resume(jobIds: readonly string[], options: ResumeOptions): Promise<number> {
  if (options.all && jobIds.length > 0) throw new UsageError('name jobs, or give --all, not both');
  return withStores(options, async ({ jobs }) => {
    if (jobIds.length > 0) return release(jobs, jobIds);
    const held = await heldOf(jobs);
    if (held.length === 0) console.log('Nothing is held.');
    if (options.all) return release(jobs, new Set(held.map(({ jobId }) => jobId)));
    for (const batch of held) console.log(lineOf(batch));
    if (held.length > 0) console.log('Nothing was released: name jobs to release theirs, or give --all.');
    return EXIT_SUCCEEDED;
  });
}

async function release(jobs: DynamoDBJobs, jobIds: Iterable<string>): Promise<number> {
  // Printed below instead: a command has no log.
  const telemetry = { record: () => {} };
  let status = EXIT_SUCCEEDED;
  for (const jobId of jobIds) {
    const resumed = await resumeJob({ jobs, ambient: { now: Date.now }, telemetry }, jobId);
    if (resumed === undefined) {
      console.error(
        `batchdrop: there is no job ${jobId} in this stack; receipts and logs name jobs by \`jobId\``,
      );
      status = EXIT_CANNOT_RUN;
      continue;
    }
    const { job, released, waiting } = resumed;
    const done =
      released.length === 0 ? 'nothing is held' : `${count(released.length, 'batch', 'batches')} released`;
    console.log(`${jobId} (${job.input.key}): ${done}`);
    for (const batch of waiting)
      console.log(
        `  batch ${batch.batchId} waits for ${batch.hold?.reason}, and continues by itself once that is dealt with`,
      );
  }
  return status;
}

/** Batches that are held, those of the oldest job first. */
async function heldOf(jobs: DynamoDBJobs): Promise<BatchRecord[]> {
  const held: BatchRecord[] = [];
  for await (const batch of jobs.listWaiting()) if (isHeld(batch)) held.push(batch);
  return held;
}

function lineOf({ jobId, batchId, requests, hold }: BatchRecord): string {
  const since = new Date(hold!.at!).toISOString();
  return `${jobId}  batch ${batchId}  ${count(requests, 'request')}  ${hold!.reason}  held since ${since}`;
}
