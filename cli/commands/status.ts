/** `batchdrop status KEY|JOB`: one job as it stands; of one that has ended, its receipt as well. */
import { ObjectUnreadableError } from '../../src/core/base/errors.ts';
import { findJob, versionsOf } from '../options/find-job.ts';
import { OtherReceiptError, readerOf, readReceipt } from '../options/results.ts';
import type { StackOptions } from '../options/stack.ts';
import { stackFlags } from '../options/stack-flags.ts';
import { withStores } from '../options/stores.ts';
import { readFacts } from '../options/wait-facts.ts';
import { EXIT_SUCCEEDED } from '../view/exit.ts';
import { receiptText } from '../view/receipt-text.ts';
import { statusJson, statusOf, statusText } from '../view/status-view.ts';
import { terminalWidth } from '../view/text.ts';

/** Options of `batchdrop status`. */
export interface StatusOptions extends StackOptions {
  json?: boolean;
}

/**
 * @returns the exit status: 0, whatever became of the job.
 * @throws {CannotRunError} if there is no such job.
 */
export async function status(named: string, options: StatusOptions): Promise<number> {
  return withStores(options, async (stores) => {
    const found = await findJob(stores, named);
    const facts = await readFacts(stores, found);
    const { job } = found;
    const versions = job === undefined ? [] : await versionsOf(stores, job.input.bucket, job.input.key);
    const shown = statusOf(facts, versions);
    if (options.json) console.log(JSON.stringify(statusJson(shown)));
    else console.log(statusText(shown, facts.now, terminalWidth(process.stdout), stackFlags(options)));
    if (options.json || job?.receiptKey === undefined) return EXIT_SUCCEEDED;
    const bucket = stores.openBucket();
    try {
      const receipt = await readReceipt(readerOf(bucket), job.jobId, job.receiptKey);
      console.log(`\n${receiptText(receipt, (key) => `s3://${bucket.name}/${key}`)}`);
    } catch (error) {
      // What the records say stands: a newer version has the receipt's place, or the credentials may not read it.
      if (!(error instanceof OtherReceiptError || error instanceof ObjectUnreadableError)) throw error;
      console.error(`batchdrop: ${error.message}`);
    }
    return EXIT_SUCCEEDED;
  });
}
