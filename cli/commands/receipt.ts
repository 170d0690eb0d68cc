/** `batchdrop receipt KEY|JOB`: the receipt of a job that has ended. */
import { findJob } from '../options/find-job.ts';
import { readerOf, readReceipt } from '../options/results.ts';
import type { StackOptions } from '../options/stack.ts';
import { withStores } from '../options/stores.ts';
import { CannotRunError } from '../view/exit.ts';
import { exitOf, receiptText } from '../view/receipt-text.ts';

/** Options of `batchdrop receipt`. */
export interface ReceiptOptions extends StackOptions {
  /** Print it as it is. */
  json?: boolean;
}

/**
 * @returns the exit status: that of the receipt.
 * @throws {CannotRunError} if there is no such job, or it has not ended.
 */
export async function receipt(named: string, options: ReceiptOptions): Promise<number> {
  return withStores(options, async (stores) => {
    const { jobId, key, job } = await findJob(stores, named);
    if (job?.receiptKey === undefined)
      throw new CannotRunError(
        `${key} has no receipt yet: job ${jobId} has not ended; \`batchdrop status ${jobId}\` says how far it is`,
      );
    const bucket = stores.openBucket();
    const read = await readReceipt(readerOf(bucket), jobId, job.receiptKey);
    console.log(
      options.json ? JSON.stringify(read, null, 2) : receiptText(read, (of) => `s3://${bucket.name}/${of}`),
    );
    return exitOf([read]);
  });
}
