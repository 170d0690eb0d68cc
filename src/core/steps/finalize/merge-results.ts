/**
 * Merges the runs of a job into the files that are published, privately below `work/`: over as many invocations as that
 * takes, so that publishing is a copy within S3.
 */

import type { Settings } from '../../../contract/settings.ts';
import { CorruptWorkFileError, isUnavailable, OutOfTimeError, UploadGoneError } from '../../base/errors.ts';
import { reasonOf } from '../../base/own-text.ts';
import { readCheckpoint, writeCheckpoint } from '../../files/checkpoint.ts';
import { workKeys } from '../../files/keys.ts';
import { type Range, readRanges } from '../../files/ranges.ts';
import { type RunRecord, readRunIndex } from '../../files/run-file.ts';
import { toMergedSoFar, toMergeRestarted } from '../../lifecycle/job-transitions.ts';
import type { LeasedJob } from '../../lifecycle/leased.ts';
import type { RunRef } from '../../model/batch.ts';
import type { Job } from '../../model/job.ts';
import type { SourceObject } from '../../model/objects.ts';
import type { Ambient, Deadline } from '../../ports/ambient.ts';
import type { ObjectStore, ObjectWriter, WriterState } from '../../ports/objects.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import { mergeIndexes, type Stretch, writeMergedText } from './merge.ts';

export interface MergeDeps {
  settings: Settings;
  objects: ObjectStore;
  ambient: Ambient;
  /** Until when there is time to merge. */
  deadline: Deadline;
  telemetry: Telemetry;
}

/** Original lines that are looked up together, and held in memory meanwhile. */
const WINDOW_LINES = 10_000;
const WINDOW_BYTES = 32_000_000;
const CHECKPOINT_KIND = 'merge';
const PARTS = ['output', 'errors', 'retry'] as const;
type Part = (typeof PARTS)[number];

/** A merged file. */
export interface MergedFile {
  key: string;
  bytes: number;
}

/** The merged files; one that would be empty is absent. */
export type MergedFiles = { [Name in Part]?: MergedFile };

/** What the next invocation must know of a merge that is under way. */
interface MergeState {
  attempt: string;
  done: MergedFiles;
  /** Index of the part under way; behind the last one, all is merged. */
  part: number;
  /** The line of the input that it goes on from. */
  nextLine: number;
  /** Absent while nothing of the part was written. */
  writer?: WriterState;
}

/** What goes into the files. */
export interface Runs {
  output: readonly RunRef[];
  errors: readonly RunRef[];
  /** Whose original lines are given back. */
  retry: readonly RunRef[];
  /** Every line as it was dropped, where what was sent is not: those lines are given back in place of what was sent. */
  originals?: RunRef;
}

/**
 * Merges the runs of a job that this worker has taken.
 * @returns the files; or that another invocation is to go on, from where the job's record says; or that another worker
 * has taken the job over.
 */
export async function mergeResults(
  deps: MergeDeps,
  leased: LeasedJob,
  runs: Runs,
): Promise<MergedFiles | 'to be continued' | 'taken over'> {
  const job = leased.record;
  const state = await readState(deps, job);
  const before = { part: state.part, nextLine: state.nextLine };
  const { bucket } = job.input;
  const isOutOfTime = (): boolean => deps.deadline.remainingMs() <= 0;
  try {
    for (; state.part < PARTS.length; state.part++) {
      const name = PARTS[state.part]!;
      if (runs[name].length > 0) {
        const end = await mergePart(deps, job, bucket, name, runs, state, isOutOfTime);
        if (end === 'out of time') return await record(deps, leased, state, before);
      }
      state.nextLine = 0;
    }
    // Publishing must not be what an invocation dies in that has merged: it would merge anew for ever.
    if (before.part < PARTS.length && !hasTimeToPublish(deps, state.done)) {
      return await record(deps, leased, state, before);
    }
    return state.done;
  } catch (error) {
    if (!(error instanceof UploadGoneError)) throw error;
    // Ended by a worker that died before it recorded that, or given up: the merge begins anew.
    await leased.tryMove(toMergeRestarted(leased.record));
    throw error;
  }
}

/** Slower than S3 copies within a bucket. */
const PUBLISHED_BYTES_PER_SECOND = 100_000_000;

function hasTimeToPublish({ deadline }: MergeDeps, files: MergedFiles): boolean {
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  return deadline.remainingMs() > (bytes / PUBLISHED_BYTES_PER_SECOND) * 1000;
}

async function readState({ objects, ambient, telemetry }: MergeDeps, job: Job): Promise<MergeState> {
  if (job.merge !== undefined) {
    try {
      return (await readCheckpoint(objects, job.merge.checkpointKey, CHECKPOINT_KIND)) as MergeState;
    } catch (error) {
      if (!(error instanceof CorruptWorkFileError)) throw error;
      telemetry.record('merge.restarted', { jobId: job.jobId, reason: reasonOf(error) });
    }
  }
  return { attempt: ambient.nonce(), done: {}, part: 0, nextLine: 0 };
}

/** Goes on with one file. When it is out of time, the state says how far it is. */
async function mergePart(
  deps: MergeDeps,
  job: Job,
  bucket: string,
  name: Part,
  { [name]: runs, originals: dropped }: Runs,
  state: MergeState,
  isOutOfTime: () => boolean,
): Promise<'whole' | 'out of time'> {
  const { objects } = deps;
  const key = workKeys(deps.settings.layout, job.jobId).merged(state.attempt)[name];
  const { writer: resume, nextLine } = state;
  const writer = objects.openWrite(key, resume === undefined ? {} : { resume });
  delete state.writer;
  try {
    const stoppedAt =
      name === 'retry'
        ? await writeOriginals(objects, bucket, { runs, dropped }, writer, nextLine, isOutOfTime)
        : await writeMergedText(objects, bucket, runs, writer, { fromLine: nextLine, isOutOfTime });
    if (stoppedAt !== undefined) {
      state.nextLine = stoppedAt;
      state.writer = await writer.suspend();
      return 'out of time';
    }
    const bytes = await writer.close();
    const expected = runs.reduce((sum, run) => sum + run.bytes, 0);
    if (name !== 'retry' && bytes !== expected) {
      throw new CorruptWorkFileError(`${key} has ${bytes} bytes; its runs have ${expected}`);
    }
    if (bytes > 0) state.done[name] = { key, bytes };
    return 'whole';
  } catch (error) {
    // What an earlier invocation left stays good.
    if (resume === undefined) await writer.abort();
    throw error;
  }
}

/** Writes the checkpoint, then names it in the job's record; progress is proven before. */
async function record(
  deps: MergeDeps,
  leased: LeasedJob,
  state: MergeState,
  before: { part: number; nextLine: number },
): Promise<'to be continued' | 'taken over'> {
  const job = leased.record;
  if (state.part === before.part && state.nextLine <= before.nextLine) {
    throw new OutOfTimeError(`job ${job.jobId}: an invocation merged nothing after line ${before.nextLine}`);
  }
  const generation = (job.merge?.generation ?? 0) + 1;
  const keys = workKeys(deps.settings.layout, job.jobId).merged(state.attempt);
  const checkpointKey = keys.checkpoint(generation);
  await writeCheckpoint(deps.objects, checkpointKey, CHECKPOINT_KIND, state);
  const isRecorded = await leased.tryMove(toMergedSoFar(job, { generation, checkpointKey }));
  return isRecorded ? 'to be continued' : 'taken over';
}

async function writeOriginals(
  objects: ObjectStore,
  bucket: string,
  from: Failed,
  writer: ObjectWriter,
  fromLine: number,
  isOutOfTime: () => boolean,
): Promise<number | undefined> {
  for await (const { text, nextLine } of originals(objects, bucket, from, fromLine)) {
    for await (const chunk of text) await writer.write(chunk);
    if (isOutOfTime()) return nextLine;
  }
  return undefined;
}

/** Runs whose original lines are wanted, and where those stand if not where the runs say. */
interface Failed {
  runs: readonly RunRef[];
  dropped: RunRef | undefined;
}

/** Original lines that are read together, and the line of the input that comes after them. */
interface Window {
  text: AsyncGenerator<Uint8Array>;
  nextLine: number;
}

/** The original lines that the records of the runs stand for, as they were dropped, from `fromLine` on. */
async function* originals(
  objects: ObjectStore,
  bucket: string,
  { runs, dropped }: Failed,
  fromLine: number,
): AsyncGenerator<Window> {
  const found = mergeIndexes(objects, bucket, runs, fromLine);
  const stretches = dropped === undefined ? found : asDropped(objects, bucket, found, dropped);
  let source: SourceObject | undefined;
  let window: Range[] = [];
  let windowBytes = 0;
  let nextLine = fromLine;
  for await (const stretch of stretches) {
    for (const { line, original } of stretch.records) {
      // A line that was too long to be read from a compressed file cannot be given back.
      if (original.length < 0) continue;
      const isFull = window.length >= WINDOW_LINES || windowBytes + original.length > WINDOW_BYTES;
      if (source !== undefined && (isFull || stretch.source.key !== source.key)) {
        yield { text: readWindowIfThere(objects, source, window), nextLine };
        [window, windowBytes] = [[], 0];
      }
      source = stretch.source;
      window.push(original);
      windowBytes += original.length;
      nextLine = line + 1;
    }
  }
  if (source !== undefined) yield { text: readWindowIfThere(objects, source, window), nextLine };
}

/** The same records with the places of their lines as they were dropped: both go by line, so one pass finds them all. */
async function* asDropped(
  objects: ObjectStore,
  bucket: string,
  stretches: AsyncIterable<Pick<Stretch, 'source' | 'records'>>,
  dropped: RunRef,
): AsyncGenerator<Pick<Stretch, 'source' | 'records'>> {
  const places = placesOf(objects, bucket, dropped);
  let place = (await places.next()).value;
  try {
    for await (const { records } of stretches) {
      const moved: RunRecord[] = [];
      for (const record of records) {
        while (place !== undefined && place.line < record.line) place = (await places.next()).value;
        const original = place?.line === record.line ? place.original : { offset: 0, length: -1 };
        moved.push({ ...record, original });
      }
      yield { source: { bucket, key: dropped.dataKey }, records: moved };
    }
  } finally {
    await places.return(undefined);
  }
}

/** Where the lines of a run stand in its own text, without their line feeds. */
async function* placesOf(
  objects: ObjectStore,
  bucket: string,
  run: RunRef,
): AsyncGenerator<{ line: number; original: Range }, undefined> {
  let offset = 0;
  for await (const piece of readRunIndex(objects, bucket, run)) {
    if ('source' in piece) continue;
    for (const { line, length } of piece.records) {
      yield { line, original: { offset, length: length - 1 } };
      offset += length;
    }
  }
  return undefined;
}

/** Nothing if the input was deleted meanwhile, or S3 does not give it: its results must not wait for lines that nobody can give back. */
async function* readWindowIfThere(
  objects: ObjectStore,
  source: SourceObject,
  window: readonly Range[],
): AsyncGenerator<Uint8Array> {
  try {
    yield* readWindow(objects, source, window);
  } catch (error) {
    if (!isUnavailable(error)) throw error;
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
