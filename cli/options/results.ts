/** The results of a job, read from a bucket and saved below a folder. */
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Receipt, receiptSchema } from '../../src/contract/receipt.ts';
import { CannotRunError } from '../view/exit.ts';
import type { Stores } from './stores.ts';

/** Reads an object of the bucket, fetched on by range where the connection breaks. Its chunks may be kept. */
export type ReadObject = (key: string) => Promise<AsyncIterable<Uint8Array>>;

/** Another job has written its receipt where that of this one was. */
export class OtherReceiptError extends CannotRunError {}

/** How {@link ReadObject} is done on the bucket of a stack. */
export function readerOf({ name, objects }: ReturnType<Stores['openBucket']>): ReadObject {
  return async (key) => copies(await objects.read({ bucket: name, key }));
}

/** The same stream, whose chunks may be kept. */
async function* copies(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) yield new Uint8Array(chunk);
}

/**
 * The receipt of a job.
 * @throws {OtherReceiptError} if another job's receipt has taken its place: a newer version of the file was dropped
 *   meanwhile.
 */
export async function readReceipt(read: ReadObject, jobId: string, receiptKey: string): Promise<Receipt> {
  const chunks = await Array.fromAsync(await read(receiptKey));
  const receipt = receiptSchema.parse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  if (receipt.jobId === jobId) return receipt;
  throw new OtherReceiptError(
    `${receiptKey} is the receipt of job ${receipt.jobId}, and no longer that of job ${jobId}: a newer version of the file was ` +
      'dropped and has ended meanwhile. Run the command again for the file that you mean.',
  );
}

/** Copies what the receipt names to the same paths below `out`, and the receipt itself last, as in the bucket. */
export async function fetchResults(
  read: ReadObject,
  jobId: string,
  receiptKey: string,
  out: string,
): Promise<Receipt> {
  const receipt = await readReceipt(read, jobId, receiptKey);
  for (const key of [receipt.files.output, receipt.files.errors, receipt.files.retry, receiptKey]) {
    if (key !== undefined) await saveObject(read, key, out);
  }
  return receipt;
}

/** A file under its own name is whole. */
async function saveObject(read: ReadObject, key: string, out: string): Promise<void> {
  const path = join(out, key);
  const partial = `${path}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  try {
    await pipeline(Readable.from(await read(key)), createWriteStream(partial));
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/** Where {@link fetchResults} has put the file of a key. */
export function savedBelow(out: string): (key: string) => string {
  return (key) => relative('.', join(out, key)) || '.';
}
