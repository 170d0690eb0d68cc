/**
 * From collected batches to the files that a person sees: one output and one error file in input order, the original
 * lines of what did not succeed, and last of all the receipt.
 */

import type { JobCompleted, JobMessage } from '../../contract/messages.ts';
import { type Receipt, receiptSchema } from '../../contract/receipt.ts';
import type { Settings } from '../../contract/settings.ts';
import { endWaiting } from '../cancel.ts';
import { addUsage, noUsage } from '../collect/classify.ts';
import { CorruptWorkFileError, NotYetError, ObjectGoneError } from '../errors.ts';
import { publicationName, publishedKeys } from '../keys.ts';
import type { BatchRecord, Job, RunRef, SourceObject } from '../model.ts';
import { type Plan, readPlan } from '../plan.ts';
import type {
  Ambient,
  BatchApi,
  ByteStream,
  JobEvents,
  JobStore,
  Log,
  ObjectStore,
  ObjectWriter,
  Outbox,
} from '../ports.ts';
import { type Range, readRanges } from '../ranges.ts';
import { advanceJob, isFinished } from '../rounds.ts';
import { WORKER_LIFETIME_MS } from '../time-limits.ts';
import { mergeIndexes, mergeText } from './merge.ts';

export interface FinalizeDeps {
  stackId: string;
  settings: Settings;
  objects: ObjectStore;
  jobs: JobStore;
  batches: Pick<BatchApi, 'deleteFile'>;
  outbox: Pick<Outbox, 'submit' | 'finalize'>;
  events: JobEvents;
  ambient: Ambient;
  log: Log;
}

/** How long to stay away from names that another worker is writing; ten times this must outlast the longest publishing. */
const BUSY_MS = 2 * 60_000;
const JSON_LINES = { contentType: 'application/jsonl' };
/** Original lines that are looked up together, and held in memory meanwhile. */
const WINDOW_LINES = 10_000;
const WINDOW_BYTES = 32_000_000;

/** Ends the job if every request has its outcome; otherwise sees to it that it goes on. Safe to repeat at any point. */
export async function finalize(deps: FinalizeDeps, { jobId }: JobMessage): Promise<void> {
  const job = await deps.jobs.getJob(jobId);
  if (job?.planKey === undefined || job.receiptKey !== undefined || job.state === 'ingesting') return;
  const plan = await readPlan(deps.objects, job.planKey);
  if (plan === undefined)
    throw new CorruptWorkFileError(`${job.planKey} is missing; was work/ emptied too early?`);
  const batches = await deps.jobs.listBatches(jobId);
  if (!isFinished(plan, batches)) {
    await endWaiting(deps, job, batches);
    await advanceJob(deps, plan, deps.ambient.now());
    return;
  }
  const publication = {
    name: `${job.input.bucket}/${publicationName(deps.settings.layout, job.input.key)}`,
    order: `${String(job.input.lastModified).padStart(15, '0')}#${job.input.versionId ?? job.input.etag}`,
    owner: job.input.key,
    holder: deps.ambient.nonce(),
  };
  const now = deps.ambient.now();
  const turn = await deps.jobs.acquirePublication(publication, now, now + WORKER_LIFETIME_MS);
  if (turn === 'busy')
    throw new NotYetError(`results for ${job.input.key} are being published by another worker`, BUSY_MS);
  // Whoever had the turn before may have ended the job.
  if ((await deps.jobs.getJob(jobId))?.receiptKey !== undefined) {
    if (turn === 'granted') await deps.jobs.releasePublication(publication);
    return;
  }
  const receipt = await publish(deps, job, plan, batches, turn === 'superseded');
  await deleteProviderFiles(deps, batches);
  if (turn === 'granted' && !(await deps.jobs.releasePublication(publication))) {
    throw new NotYetError(`publishing ${job.input.key} took too long and another worker took over`, BUSY_MS);
  }
  // Told at least once: only the job's own record, written last, ends the repeating.
  await deps.events.completed(eventOf(receipt));
  const end = job.state === 'rejected' ? job.state : 'completed';
  await deps.jobs.moveJob(
    jobId,
    { state: job.state },
    { state: end, receiptKey: receipt.files.receipt },
    deps.ambient.now(),
  );
  deps.log.info('completed', { jobId, result: receipt.result, ...receipt.counts });
}

/**
 * Writes the result files, then the receipt.
 * @param superseded a newer version of the input has the plain names, so this job's names carry its id.
 */
async function publish(
  deps: FinalizeDeps,
  job: Job,
  plan: Plan,
  batches: BatchRecord[],
  superseded: boolean,
): Promise<Receipt> {
  const keys = publishedKeys(deps.settings.layout, job.input.key, superseded ? job.jobId : undefined);
  const bucket = job.input.bucket;
  const outputRuns = batches.flatMap((batch) => batch.outputRun ?? []);
  const errorRuns = [...batches.flatMap((batch) => batch.errorRun ?? []), ...plan.invalidRuns];
  const receipt = makeReceipt(deps, job, plan, batches);
  const { files } = receipt;
  files.receipt = keys.receipt;
  if (await writeMerged(deps, keys.output, outputRuns, mergeText(deps.objects, bucket, outputRuns)))
    files.output = keys.output;
  if (await writeMerged(deps, keys.errors, errorRuns, mergeText(deps.objects, bucket, errorRuns)))
    files.errors = keys.errors;
  // A file that was rejected whole is its own retry file.
  const retryRuns = job.state === 'rejected' ? [] : errorRuns;
  if (await writeMerged(deps, keys.retry, retryRuns, originals(deps.objects, bucket, retryRuns), 'any size'))
    files.retry = keys.retry;
  const body = Buffer.from(`${JSON.stringify(receiptSchema.parse(receipt), null, 2)}\n`);
  await deps.objects.put(keys.receipt, body, { contentType: 'application/json' });
  return receipt;
}

/**
 * Writes a stream to a key, or removes what an earlier version left there if there is nothing to write.
 * @returns whether there is a file.
 */
async function writeMerged(
  deps: FinalizeDeps,
  key: string,
  runs: readonly RunRef[],
  text: ByteStream,
  size?: 'any size',
): Promise<boolean> {
  const expected = runs.reduce((sum, run) => sum + run.bytes, 0);
  let writer: ObjectWriter | undefined;
  let written = 0;
  try {
    for await (const chunk of text) {
      writer ??= deps.objects.openWrite(key, JSON_LINES);
      written += chunk.length;
      await writer.write(chunk);
    }
    if (size === undefined && written !== expected) {
      throw new CorruptWorkFileError(`${key} would have ${written} bytes; its runs have ${expected}`);
    }
    if (writer === undefined) await deps.objects.remove(key);
    else await writer.close();
    return writer !== undefined;
  } catch (error) {
    await writer?.abort();
    throw error;
  }
}

/** The original lines that the records of the runs stand for, as they were dropped. */
async function* originals(
  objects: ObjectStore,
  bucket: string,
  runs: readonly RunRef[],
): AsyncGenerator<Uint8Array> {
  let source: SourceObject | undefined;
  let window: Range[] = [];
  let windowBytes = 0;
  for await (const stretch of mergeIndexes(objects, bucket, runs)) {
    for (const { original } of stretch.records) {
      // A line that was too long to be read from a compressed file cannot be given back.
      if (original.length < 0) continue;
      const isFull = window.length >= WINDOW_LINES || windowBytes + original.length > WINDOW_BYTES;
      if (source !== undefined && (isFull || stretch.source.key !== source.key)) {
        yield* readWindowIfThere(objects, source, window);
        [window, windowBytes] = [[], 0];
      }
      source = stretch.source;
      window.push(original);
      windowBytes += original.length;
    }
  }
  if (source !== undefined) yield* readWindowIfThere(objects, source, window);
}

/** Nothing if the input was deleted meanwhile: its results must not wait for lines that nobody can give back. */
async function* readWindowIfThere(
  objects: ObjectStore,
  source: SourceObject,
  window: readonly Range[],
): AsyncGenerator<Uint8Array> {
  try {
    yield* readWindow(objects, source, window);
  } catch (error) {
    if (!(error instanceof ObjectGoneError)) throw error;
  }
}

/**
 * Lines in the order asked for, read in the order in which they stand: in a spool, lines that follow each other in the
 * input are far apart, and one GET for each would take hours.
 */
async function* readWindow(
  objects: ObjectStore,
  source: SourceObject,
  window: readonly Range[],
): AsyncGenerator<Uint8Array> {
  const lineFeed = Buffer.from('\n');
  const [only] = window;
  if (only !== undefined && window.length === 1) {
    // It may be longer than what is held in memory.
    yield* await objects.read(source, only.offset, only.offset + only.length);
    yield lineFeed;
    return;
  }
  const order = [...window.keys()].sort((a, b) => window[a]!.offset - window[b]!.offset);
  const lines = window.map((): Uint8Array[] => []);
  const ranges = order.map((place) => window[place]!);
  for await (const { index, bytes } of readRanges(objects, source, ranges)) {
    lines[order[index]!]!.push(new Uint8Array(bytes));
  }
  for (const pieces of lines) {
    yield* pieces;
    yield lineFeed;
  }
}

function makeReceipt(deps: FinalizeDeps, job: Job, plan: Plan, batches: BatchRecord[]): Receipt {
  const { requests, invalid } = plan;
  const counts = { requests, succeeded: 0, failed: 0, invalid };
  const errorsByCode = new Map(Object.entries(plan.invalidByCode));
  const billedTwice = new Map<string, number>();
  const usage = noUsage();
  let incomplete = 0;
  let strayLines = 0;
  for (const { outcome } of batches) {
    if (outcome === undefined) continue;
    counts.succeeded += outcome.succeeded;
    counts.failed += outcome.failed;
    incomplete += outcome.incomplete;
    strayLines += outcome.strayLines;
    addUsage(usage, outcome.usage);
    for (const [code, count] of Object.entries(outcome.failedByCode)) {
      errorsByCode.set(code, (errorsByCode.get(code) ?? 0) + count);
    }
    for (const [cause, count] of Object.entries(outcome.possiblyBilledTwice)) {
      billedTwice.set(cause, (billedTwice.get(cause) ?? 0) + count);
    }
  }
  if (counts.succeeded + counts.failed + counts.invalid !== requests) {
    throw new CorruptWorkFileError(
      `job ${job.jobId}: ${counts.succeeded} succeeded + ${counts.failed} failed + ${counts.invalid} invalid is not the ${requests} requests that were read`,
    );
  }
  const answers = linesOf(batches.map(({ outputRun }) => outputRun));
  const errors = linesOf([...batches.map(({ errorRun }) => errorRun), ...plan.invalidRuns]);
  const invalidLines = linesOf(plan.invalidRuns);
  if (answers !== counts.succeeded || errors !== counts.failed + invalidLines) {
    throw new CorruptWorkFileError(
      `job ${job.jobId}: ${answers} answers and ${errors} errors are on file for ${counts.succeeded} succeeded, ${counts.failed} failed and ${invalidLines} invalid requests`,
    );
  }
  const { bucket, key, versionId, etag, size, lastModified } = job.input;
  return {
    v: 1,
    jobId: job.jobId,
    stackId: deps.stackId,
    route: job.route.name,
    result: resultOf(plan, counts),
    input: { bucket, key, ...(versionId === undefined ? {} : { versionId }), etag, bytes: size },
    files: { receipt: '' },
    ...(plan.rejection === undefined ? {} : { rejection: plan.rejection }),
    counts,
    errorsByCode: Object.fromEntries(errorsByCode),
    possiblyBilledTwice: Object.fromEntries(billedTwice),
    incomplete,
    strayLines,
    usage,
    batches: batches.map(batchLine),
    timings: {
      droppedAt: iso(lastModified),
      claimedAt: iso(job.createdAt),
      ...(job.cancelledAt === undefined ? {} : { cancelledAt: iso(job.cancelledAt) }),
      completedAt: iso(deps.ambient.now()),
    },
  };
}

function linesOf(runs: readonly (RunRef | undefined)[]): number {
  return runs.reduce((sum, run) => sum + (run?.lines ?? 0), 0);
}

function batchLine(batch: BatchRecord): Receipt['batches'][number] {
  const { batchId, round, model, endpoint, requests, outcome } = batch;
  return {
    batchId,
    ...(batch.openaiBatchId === undefined ? {} : { openaiBatchId: batch.openaiBatchId }),
    round,
    model,
    endpoint,
    status: batch.status!,
    requests,
    succeeded: outcome!.succeeded,
    failed: outcome!.failed,
    retried: outcome!.retried,
    ...(batch.submittedAt === undefined ? {} : { submittedAt: iso(batch.submittedAt) }),
    endedAt: iso(batch.endedAt!),
  };
}

function resultOf(plan: Plan, { requests, succeeded }: Receipt['counts']): Receipt['result'] {
  if (plan.rejection !== undefined) return 'rejected';
  if (succeeded === requests) return 'succeeded';
  return succeeded === 0 ? 'failed' : 'partial';
}

function eventOf({ stackId, jobId, input, result, counts, files }: Receipt): JobCompleted {
  const { bucket, key, versionId } = input;
  return {
    v: 1,
    stackId,
    jobId,
    bucket,
    key,
    ...(versionId === undefined ? {} : { versionId }),
    result,
    counts,
    files,
  };
}

/** Everything has landed, so OpenAI need not keep it. What cannot be deleted now expires there after 30 days. */
async function deleteProviderFiles(deps: FinalizeDeps, batches: BatchRecord[]): Promise<void> {
  try {
    for (const { inputFileId, outputFileId, errorFileId } of batches) {
      for (const id of [inputFileId, outputFileId, errorFileId])
        if (id !== undefined) await deps.batches.deleteFile(id);
    }
  } catch (error) {
    deps.log.warn('files left at OpenAI; they expire there', { error: (error as Error).name });
  }
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
