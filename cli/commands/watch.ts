/** `batchdrop watch KEY|JOB`: one job until it ends; drawn in place on a terminal, a line for each change elsewhere. */
import { setTimeout as wait } from 'node:timers/promises';
import { type FoundJob, findJob } from '../options/find-job.ts';
import { readerOf, readReceipt } from '../options/results.ts';
import { requireRunning, type StackOptions } from '../options/stack.ts';
import { stackFlags } from '../options/stack-flags.ts';
import { type Stores, withStores } from '../options/stores.ts';
import { readFacts } from '../options/wait-facts.ts';
import type { ExplainFacts } from '../view/explain.ts';
import { withStack } from '../view/explain-text.ts';
import { jobView } from '../view/job-view.ts';
import { withoutControls } from '../view/plain.ts';
import { describeJob } from '../view/progress.ts';
import { exitOf, receiptText } from '../view/receipt-text.ts';
import { Screen } from '../view/screen.ts';
import { clockText, timeText } from '../view/time.ts';
import { watchLines } from '../view/watch-view.ts';

/** Options of `batchdrop watch`. */
export interface WatchOptions extends StackOptions {
  /** Print the receipt as JSON at the end. */
  json?: boolean;
}

/** How often is looked, by where the stack is (ms): a look reads the batches of the job and a few items. */
export const LOOK_MS = { local: 500, stopped: 500, deployed: 5_000 } as const;

/**
 * @returns the exit status: that of the receipt.
 * @throws {CannotRunError} if there is no such job.
 */
export async function watch(named: string, options: WatchOptions): Promise<number> {
  return withStores(options, async (stores) => watchToEnd(stores, await findJob(stores, named), options));
}

/** Watches a job until its receipt is written, and prints that. @returns the exit status. */
export async function watchToEnd(stores: Stores, found: FoundJob, options: WatchOptions): Promise<number> {
  const show = displayOf(process.stderr, stackFlags(options));
  for (let { job } = found; ; job = await stores.jobs.getJob(found.jobId)) {
    show(await readFacts(stores, { key: found.key, job }));
    if (job?.receiptKey !== undefined) {
      const receipt = await readReceipt(readerOf(stores.openBucket()), job.jobId, job.receiptKey);
      const bucket = receipt.input.bucket;
      console.log(
        options.json ? JSON.stringify(receipt) : receiptText(receipt, (key) => `s3://${bucket}/${key}`),
      );
      return exitOf([receipt]);
    }
    requireRunning(stores.stack);
    await wait(LOOK_MS[stores.stack.kind]);
  }
}

/** How a look is shown. */
function displayOf(stream: NodeJS.WriteStream, flags: string): (facts: ExplainFacts) => void {
  if (!stream.isTTY) {
    let last = '';
    return ({ key, records, now }) => {
      const text = describeJob(jobView(records));
      if (text === last) return;
      last = text;
      stream.write(`${withoutControls(`${timeText(now)}  ${text}  ${key}`)}\n`);
    };
  }
  const screen = new Screen(stream);
  const beganAt = Date.now();
  return (facts) => {
    const { columns = 80, rows = 24 } = stream;
    // The last column stays free: some terminals wrap when it is written.
    const elapsed = clockText(facts.now - beganAt);
    const size = { columns: columns - 1, rows, elapsed };
    screen.show(watchLines(facts, size, (command) => withStack(command, flags)));
  };
}
