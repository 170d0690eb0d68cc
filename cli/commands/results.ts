/** `batchdrop results KEY|JOB`: what came out of a job, to standard output or into a folder. */

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { findJob } from '../options/find-job.ts';
import { fetchResults, readerOf, readReceipt, savedBelow } from '../options/results.ts';
import type { StackOptions } from '../options/stack.ts';
import { withStores } from '../options/stores.ts';
import { CannotRunError } from '../view/exit.ts';
import { exitOf, receiptText } from '../view/receipt-text.ts';

/** The files of a job that are printed one at a time. */
export const RESULT_FILES = ['output', 'errors', 'retry', 'receipt'] as const;

/** Options of `batchdrop results`. */
export interface ResultsOptions extends StackOptions {
  /** Folder that all files are saved below. */
  out?: string;
  /** Which file is printed without `out`. */
  file: (typeof RESULT_FILES)[number];
  /** With `out`: print the receipt as JSON. */
  json?: boolean;
}

/**
 * @returns the exit status: that of the receipt.
 * @throws {CannotRunError} if there is no such job, it has not ended, or it has no such file.
 */
export async function results(named: string, options: ResultsOptions): Promise<number> {
  const { out, file, json } = options;
  return withStores(options, async (stores) => {
    const { job, key } = await findJob(stores, named);
    if (job?.receiptKey === undefined)
      throw new CannotRunError(`${key} has no results yet: \`batchdrop watch ${key}\` waits for them`);
    const read = readerOf(stores.openBucket());
    if (out !== undefined) {
      const receipt = await fetchResults(read, job.jobId, job.receiptKey, out);
      console.log(json ? JSON.stringify(receipt) : receiptText(receipt, savedBelow(out)));
      return exitOf([receipt]);
    }
    const receipt = await readReceipt(read, job.jobId, job.receiptKey);
    const wanted = receipt.files[file];
    if (wanted === undefined) {
      const others = RESULT_FILES.filter((name) => receipt.files[name] !== undefined);
      throw new CannotRunError(
        `${key} ended as ${receipt.result} and has no file of ${file}: give --file ${others.join(' or ')}, or --out for all`,
      );
    }
    await print(await read(wanted));
    return exitOf([receipt]);
  });
}

/** A reader that has seen enough, such as \`head\`, is no failure. */
async function print(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    await pipeline(Readable.from(chunks), process.stdout, { end: false });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EPIPE' && code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
}
