/**
 * Merges the runs of a job into one stream in input order. Runs are sorted, so most of the time a run is copied in long
 * stretches, whole index blocks at a time, and a run is opened only when its first line is due: memory depends on how
 * many runs overlap, not on how many there are.
 */
import { CorruptWorkFileError } from '../../base/errors.ts';
import { type RunRecord, readRunIndex } from '../../files/run-file.ts';
import type { RunRef } from '../../model/batch.ts';
import type { SourceObject } from '../../model/objects.ts';
import type { ObjectStore, ObjectWriter } from '../../ports/objects.ts';

/** Lines of one run that are together in the merged order. */
export interface Stretch {
  run: RunRef;
  source: SourceObject;
  records: readonly RunRecord[];
  /** Where their text is in the run's; `end` exclusive. */
  start: number;
  end: number;
}

/** From here on, a stretch of text is copied within S3: its smallest part. */
const COPIED_BYTES = 5 * 1024 * 1024;
/** Text that is copied at a time, so that time is looked at now and then. */
const MAX_COPIED_BYTES = 256 * 1024 * 1024;

/** Runs that may be open as streams: two connections each, out of the 64 that the S3 client has. */
const MAX_STREAMED_RUNS = 24;
/** Memory for the pages of runs that are not streamed. */
const PAGES_BYTES = 128 * 1024 * 1024;

/** Most runs that are open at one time. */
function maxOverlapping(runs: readonly RunRef[]): number {
  const steps = runs.flatMap((run) => [
    { line: run.firstLine, change: 1 },
    { line: run.lastLine + 1, change: -1 },
  ]);
  steps.sort((a, b) => a.line - b.line || a.change - b.change);
  let open = 0;
  let most = 0;
  for (const { change } of steps) {
    open += change;
    most = Math.max(most, open);
  }
  return most;
}

/** The same store; where many runs overlap, it reads page by page and holds no connection in between. */
function readerFor(objects: Pick<ObjectStore, 'read'>, runs: readonly RunRef[]): Pick<ObjectStore, 'read'> {
  const overlapping = maxOverlapping(runs);
  if (overlapping <= MAX_STREAMED_RUNS) return objects;
  const pageBytes = Math.max(64 * 1024, Math.floor(PAGES_BYTES / (2 * overlapping)));
  return {
    read: async (source, start = 0) =>
      (async function* () {
        for (let position = start; ; ) {
          const chunks: Uint8Array[] = [];
          for await (const chunk of await objects.read(source, position, position + pageBytes))
            chunks.push(new Uint8Array(chunk));
          const page = Buffer.concat(chunks);
          if (page.length > 0) yield page;
          if (page.length < pageBytes) return;
          position += page.length;
        }
      })(),
  };
}

/** Yields the lines of every run from `fromLine` on, in input order, as stretches of one run each. */
export async function* mergeIndexes(
  objects: Pick<ObjectStore, 'read'>,
  bucket: string,
  runs: readonly RunRef[],
  fromLine = 0,
): AsyncGenerator<Stretch> {
  const reader = readerFor(objects, runs);
  const closed = runs
    .filter(({ lastLine }) => lastLine >= fromLine)
    .sort((a, b) => a.firstLine - b.firstLine);
  const open: IndexCursor[] = [];
  try {
    for (;;) {
      while (closed.length > 0 && (open.length === 0 || closed[0]!.firstLine < earliest(open).line)) {
        const cursor = new IndexCursor(reader, bucket, closed.shift()!, fromLine);
        if (await cursor.fill()) open.push(cursor);
      }
      if (open.length === 0) return;
      const cursor = earliest(open);
      let limit = closed[0]?.firstLine ?? Number.POSITIVE_INFINITY;
      for (const other of open) if (other !== cursor) limit = Math.min(limit, other.line);
      yield cursor.takeBelow(limit);
      if (!(await cursor.fill())) open.splice(open.indexOf(cursor), 1);
    }
  } finally {
    for (const cursor of open) await cursor.close();
  }
}

/**
 * Writes the merged text of the runs. Long stretches are copied within S3, short ones come through.
 * @param options.fromLine leaves out what is before this line of the input. Default: nothing.
 * @param options.isOutOfTime asked now and then: whether to stop.
 * @param options.copiedBytes stretches from this length on are copied. Default: 5 MiB.
 * @returns the line to continue from, or `undefined` when everything was written.
 */
export async function writeMergedText(
  objects: Pick<ObjectStore, 'read'>,
  bucket: string,
  runs: readonly RunRef[],
  writer: Pick<ObjectWriter, 'write' | 'copy'>,
  options: { fromLine?: number; isOutOfTime?: () => boolean; copiedBytes?: number } = {},
): Promise<number | undefined> {
  const { fromLine, isOutOfTime = () => false, copiedBytes = COPIED_BYTES } = options;
  const store = readerFor(objects, runs);
  const readers = new Map<RunRef, TextReader>();
  try {
    for await (const { run, start, end, lastLine } of joinStretches(objects, bucket, runs, fromLine)) {
      if (end - start >= copiedBytes) await writer.copy({ bucket, key: run.dataKey }, start, end);
      else {
        let reader = readers.get(run);
        if (reader?.position !== start) {
          await reader?.close();
          const stream = await store.read({ bucket, key: run.dataKey }, start);
          reader = new TextReader(stream[Symbol.asyncIterator](), run, start);
          readers.set(run, reader);
        }
        for await (const chunk of reader.take(end - start)) await writer.write(chunk);
      }
      if (lastLine === run.lastLine) {
        if (end !== run.bytes) {
          throw new CorruptWorkFileError(
            `${run.dataKey} has ${end} bytes by its index; its batch recorded ${run.bytes}`,
          );
        }
        const reader = readers.get(run);
        readers.delete(run);
        if (reader?.position === end) await reader.finish();
        else await reader?.close();
      }
      if (isOutOfTime()) return lastLine + 1;
    }
    return undefined;
  } finally {
    for (const reader of readers.values()) await reader.close();
  }
}

/** Stretches of one run that touch, as one. */
async function* joinStretches(
  objects: Pick<ObjectStore, 'read'>,
  bucket: string,
  runs: readonly RunRef[],
  fromLine: number | undefined,
): AsyncGenerator<{ run: RunRef; start: number; end: number; lastLine: number }> {
  let joined: { run: RunRef; start: number; end: number; lastLine: number } | undefined;
  for await (const { run, records, start, end } of mergeIndexes(objects, bucket, runs, fromLine)) {
    const lastLine = records.at(-1)!.line;
    if (joined?.run === run && end - joined.start <= MAX_COPIED_BYTES) {
      joined.end = end;
      joined.lastLine = lastLine;
      continue;
    }
    if (joined !== undefined) yield joined;
    joined = { run, start, end, lastLine };
  }
  if (joined !== undefined) yield joined;
}

function earliest(open: readonly IndexCursor[]): IndexCursor {
  let first = open[0]!;
  for (const cursor of open) if (cursor.line < first.line) first = cursor;
  return first;
}

class IndexCursor {
  readonly run: RunRef;
  source!: SourceObject;
  readonly #pieces: AsyncGenerator<{ source: SourceObject } | { records: RunRecord[] }>;
  readonly #fromLine: number;
  #records: RunRecord[] = [];
  #at = 0;
  /** Where the text of the next line begins. */
  #position = 0;

  constructor(objects: Pick<ObjectStore, 'read'>, bucket: string, run: RunRef, fromLine: number) {
    this.run = run;
    this.#fromLine = fromLine;
    this.#pieces = readRunIndex(objects, bucket, run);
  }

  /** The next line of this run. */
  get line(): number {
    return this.#records[this.#at]!.line;
  }

  /** Makes sure that there is a next line; `false` at the end of the run. */
  async fill(): Promise<boolean> {
    while (this.#at === this.#records.length) {
      const { value, done } = await this.#pieces.next();
      if (done) return false;
      if ('source' in value) this.source = value.source;
      else [this.#records, this.#at] = [value.records, 0];
      while (this.#at < this.#records.length && this.line < this.#fromLine) this.#step();
    }
    return true;
  }

  /** Takes the lines before `limit` that are at hand. */
  takeBelow(limit: number): Stretch {
    const from = this.#at;
    const start = this.#position;
    while (this.#at < this.#records.length && this.line < limit) this.#step();
    if (this.#at === from) {
      throw new CorruptWorkFileError(
        `line ${this.line} has two outcomes: in ${this.run.indexKey} and in another run`,
      );
    }
    const records = this.#records.slice(from, this.#at);
    return { run: this.run, source: this.source, records, start, end: this.#position };
  }

  #step(): void {
    this.#position += this.#records[this.#at]!.length;
    this.#at++;
  }

  async close(): Promise<void> {
    await this.#pieces.return(undefined);
  }
}

class TextReader {
  readonly #stream: AsyncIterator<Uint8Array>;
  readonly #run: RunRef;
  #left: Uint8Array = new Uint8Array(0);
  /** Of the next byte, in the run's text. */
  position: number;

  constructor(stream: AsyncIterator<Uint8Array>, run: RunRef, start: number) {
    this.#stream = stream;
    this.#run = run;
    this.position = start;
  }

  /** The next `bytes` bytes. */
  async *take(bytes: number): AsyncGenerator<Uint8Array> {
    let wanted = bytes;
    while (wanted > 0) {
      if (this.#left.length === 0) {
        const { value, done } = await this.#stream.next();
        if (done) throw new CorruptWorkFileError(`${this.#run.dataKey} is shorter than its index says`);
        this.#left = value;
      }
      const piece = this.#left.subarray(0, wanted);
      this.#left = this.#left.subarray(piece.length);
      wanted -= piece.length;
      this.position += piece.length;
      yield piece;
    }
  }

  /** @throws {CorruptWorkFileError} if there is more than the index says. */
  async finish(): Promise<void> {
    const rest = this.#left.length > 0 ? this.#left : (await this.#stream.next()).value;
    await this.close();
    if (rest !== undefined && rest.length > 0) {
      throw new CorruptWorkFileError(`${this.#run.dataKey} is longer than its index says`);
    }
  }

  async close(): Promise<void> {
    await this.#stream.return?.();
  }
}
