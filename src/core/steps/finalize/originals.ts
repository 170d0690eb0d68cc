/**
 * The original lines of requests that have no answer, as they were dropped, to be given back in the retry file: in
 * input order, in windows that bound memory.
 */
import { isUnavailable } from '../../base/errors.ts';
import { type Range, readRanges } from '../../files/ranges.ts';
import { type RunRecord, readRunIndex } from '../../files/run-file.ts';
import type { RunRef } from '../../model/batch.ts';
import type { SourceObject } from '../../model/objects.ts';
import type { ObjectStore, ObjectWriter } from '../../ports/objects.ts';
import { mergeIndexes, type Stretch } from './merge.ts';

type Objects = Pick<ObjectStore, 'read'>;

/** Original lines that are looked up together, and held in memory meanwhile. */
const WINDOW_LINES = 10_000;
const WINDOW_BYTES = 32_000_000;

/** Which lines are given back. */
export interface WantedOriginals {
  bucket: string;
  /** Whose original lines are wanted. */
  runs: readonly RunRef[];
  /** Every line of the input as it was dropped, if the places that the runs name hold something else. */
  dropped: RunRef | undefined;
}

/**
 * Writes the lines from `fromLine` on.
 * @param isOutOfTime is called now and then: whether to stop.
 * @returns the line to continue from, or `undefined` when everything was written.
 */
export async function writeOriginals(
  objects: Objects,
  wanted: WantedOriginals,
  writer: Pick<ObjectWriter, 'write'>,
  fromLine: number,
  isOutOfTime: () => boolean,
): Promise<number | undefined> {
  for await (const { text, nextLine } of originals(objects, wanted, fromLine)) {
    for await (const chunk of text) await writer.write(chunk);
    if (isOutOfTime()) return nextLine;
  }
  return undefined;
}

/** Original lines that are read together, and the line of the input that comes after them. */
interface Window {
  text: AsyncGenerator<Uint8Array>;
  nextLine: number;
}

/** The original line of each record of the runs, as it was dropped, from `fromLine` on. */
async function* originals(
  objects: Objects,
  { bucket, runs, dropped }: WantedOriginals,
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

/**
 * The same records with the places of their lines as they were dropped: both are sorted by line, so one pass finds
 * them all.
 */
async function* asDropped(
  objects: Objects,
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

/** Where the lines of a run are in its own text, without their line feeds. */
async function* placesOf(
  objects: Objects,
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

/**
 * Nothing if the input was deleted meanwhile, or S3 does not give it: its results must not wait for lines that are
 * gone.
 */
async function* readWindowIfThere(
  objects: Objects,
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
 * Lines in the order asked for, read in the order of their offsets: in a spool, lines that follow each other in the
 * input are far apart, and one GET for each would take hours.
 */
async function* readWindow(
  objects: Objects,
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
