/** `batchdrop submit FILE...`: drops files into a stack, and waits for their results if that is asked for. */
import { mkdir } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { Upload } from '@aws-sdk/lib-storage';
import { jobIdOf } from '../../src/core/model/job-id.ts';
import { type Drop, dropsOf, isOptions, prefixFor } from '../options/drops.ts';
import { type FoundJob, readRecords } from '../options/find-job.ts';
import { fetchResults, readerOf, readReceipt, savedBelow } from '../options/results.ts';
import { requireRunning, type StackOptions } from '../options/stack.ts';
import { stackFlags } from '../options/stack-flags.ts';
import { type Stores, withStores } from '../options/stores.ts';
import { CannotRunError, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { withStack } from '../view/explain-text.ts';
import { jobView } from '../view/job-view.ts';
import { describeJob, ProgressDisplay } from '../view/progress.ts';
import { exitOf, receiptText } from '../view/receipt-text.ts';
import { LOOK_MS, watchToEnd } from './watch.ts';

/** Options of `batchdrop submit`. */
export interface SubmitOptions extends StackOptions {
  /** Name of the route. */
  route?: string;
  /** What standard input is called. */
  name?: string;
  wait?: boolean;
  /** Folder that results are saved below; waits for them. */
  out?: string;
  json?: boolean;
}

/** Bytes of a part of an upload: 10,000 parts, as many as S3 takes, are 160 GB. */
const PART_BYTES = 16 * 1024 * 1024;
/** How often the progress of an upload is shown (ms). */
const SHOW_MS = 200;

/** @returns the exit status: without waiting 0, else that of the receipts. */
export async function submit(paths: readonly string[], options: SubmitOptions): Promise<number> {
  const { out, route, name = `stdin-${new Date().toISOString().replace(/[-:]|\.\d+/g, '')}.jsonl` } = options;
  if (options.name !== undefined && !paths.includes('-'))
    throw new UsageError(`--name ${name}: it names standard input, so "-" is expected among the files`);
  return withStores(options, async (stores) => {
    requireRunning(stores.stack);
    const drops = await dropsOf(paths, prefixFor(stores.stack, route), name);
    if (out !== undefined) await makeFolder(out);
    const display = new ProgressDisplay(process.stderr, Date.now);
    const found: FoundJob[] = [];
    for (const drop of drops) {
      const job = await upload(stores, drop, display);
      if (!isOptions(drop)) found.push(job);
    }
    const isWaiting = options.wait || out !== undefined;
    if (!isWaiting && options.json)
      console.log(JSON.stringify(found.map(({ jobId, key }) => ({ jobId, key }))));
    if (!isWaiting) {
      const next = nextCommand(found, stackFlags(options));
      if (next !== undefined) display.note(`Next: ${next}`);
      return EXIT_SUCCEEDED;
    }
    if (found.length === 1 && out === undefined) return watchToEnd(stores, found[0]!, options);
    return waitForAll(stores, found, display, options);
  });
}

/**
 * What one types next to see what became of it.
 *
 * @returns `undefined` if no job was dropped.
 */
export function nextCommand(
  found: readonly Pick<FoundJob, 'jobId' | 'key'>[],
  flags: string,
): string | undefined {
  const [first, ...others] = found;
  if (first === undefined) return undefined;
  // A shell would take other keys apart; the id is that of the same job.
  const named = /^[\w./-]+$/.test(first.key) ? first.key : first.jobId;
  return withStack(others.length > 0 ? 'batchdrop jobs --status live' : `batchdrop watch ${named}`, flags);
}

async function makeFolder(out: string): Promise<void> {
  await mkdir(out, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--out ${out}: a folder that can be written is expected (${error.code})`);
  });
}

/** Puts one file into the bucket, in parts where it is large. */
async function upload(stores: Stores, drop: Drop, display: ProgressDisplay): Promise<FoundJob> {
  const bucket = stores.openBucket();
  const { key, size, file } = drop;
  const sending = new Upload({
    client: bucket.client,
    params: { Bucket: bucket.name, Key: key, Body: drop.open() },
    partSize: PART_BYTES,
  });
  let shownAt = 0;
  sending.on('httpUploadProgress', ({ loaded = 0 }) => {
    if (Date.now() - shownAt < SHOW_MS || !process.stderr.isTTY) return;
    shownAt = Date.now();
    const share = size ? `${Math.floor((100 * loaded) / size)} %` : `${Math.floor(loaded / 1e6)} MB`;
    display.show([{ name: key, text: `uploading: ${share}` }]);
  });
  const { VersionId } = await sending.done();
  const head = await bucket.objects.head(bucket.name, key, VersionId);
  if (head === undefined) throw new CannotRunError(`${key} was written and is not there: was it removed?`);
  const jobId = jobIdOf(head);
  const what = isOptions(drop) ? 'options of the file beside it' : `job ${jobId}`;
  display.note(`${file === '-' ? 'standard input' : file}  ->  s3://${bucket.name}/${key}  ${what}`);
  return { jobId, key, job: undefined };
}

/** Shows a line for each job until the last one has ended. */
async function waitForAll(
  stores: Stores,
  found: readonly FoundJob[],
  display: ProgressDisplay,
  { out, json }: SubmitOptions,
): Promise<number> {
  const { jobs, stack } = stores;
  for (;;) {
    const records = await Promise.all(
      found.map(async ({ jobId }) => readRecords(stores, await jobs.getJob(jobId))),
    );
    display.show(
      records.map((each, index) => ({ name: found[index]!.key, text: describeJob(jobView(each)) })),
    );
    if (records.every(({ job }) => job?.receiptKey !== undefined)) break;
    await wait(LOOK_MS[stack.kind]);
  }
  const bucket = stores.openBucket();
  const read = readerOf(bucket);
  const receipts = [];
  for (const { jobId } of found) {
    const { receiptKey } = (await jobs.getJob(jobId))!;
    const receipt =
      out === undefined
        ? await readReceipt(read, jobId, receiptKey!)
        : await fetchResults(read, jobId, receiptKey!, out);
    receipts.push(receipt);
    const placeOf = out === undefined ? (key: string) => `s3://${bucket.name}/${key}` : savedBelow(out);
    if (!json) console.log(receiptText(receipt, placeOf));
  }
  if (json) console.log(JSON.stringify(receipts));
  return exitOf(receipts);
}
