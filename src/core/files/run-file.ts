/**
 * A run: lines of one kind (answers, or errors) in input order, private to `work/`. Its text is one object, its index
 * another: a {@link ./record-file.ts record file} with magic `BDRN`, whose header names the object of the original
 * requests. Finalize merges the runs of a job without parsing a line of them. Index records:
 *
 * ```
 * 0   8  line number of the request in the input, float64
 * 8   4  length of the run's own line with its line feed, uint32
 * 12  4  reserved, 0
 * 16  8  offset of the original request in the source, float64
 * 24  8  length of the original request, float64; -1 if the source cannot give it back
 * ```
 */
import { Block } from '../base/block.ts';
import { defined } from '../base/defined.ts';
import { CorruptWorkFileError } from '../base/errors.ts';
import type { RunRef } from '../model/batch.ts';
import type { SourceObject } from '../model/objects.ts';
import type { ObjectStore, ObjectWriter, WriterState } from '../ports/objects.ts';
import { RECORD_BYTES, RecordFileEncoder, type RecordFileState, readRecordFile } from './record-file.ts';

const MAGIC = 'BDRN';
const LINE_FEED = 0x0a;

/** Where the original request of a run's line is in the source. */
export interface OriginalRange {
  offset: number;
  /** -1: the source cannot give it back. */
  length: number;
}

const FLUSH_BYTES = 1024 * 1024;

/** A run that is to be continued: plain data, to be kept as it is. */
export interface RunWriterState {
  lines: number;
  bytes: number;
  firstLine: number;
  lastLine: number;
  encoder: RecordFileState;
  /** Absent while there is no line. */
  files?: { data: WriterState; index: WriterState };
}

/** Writes a run as its lines come; they must come in input order. Call {@link flush} between chunks of work. */
export class RunWriter {
  readonly #objects: Pick<ObjectStore, 'openWrite'>;
  readonly #keys: { data: string; index: string };
  readonly #encoder: RecordFileEncoder;
  readonly #source: SourceObject;
  #open: { data: ObjectWriter; index: ObjectWriter } | undefined;
  readonly #data = new Block();
  readonly #index = new Block();
  readonly #record = Buffer.alloc(RECORD_BYTES);
  #lines = 0;
  #bytes = 0;
  #firstLine = 0;
  #lastLine = 0;

  /** @param resume what {@link suspend} gave for the same keys and source. */
  constructor(
    objects: Pick<ObjectStore, 'openWrite'>,
    keys: { data: string; index: string },
    source: SourceObject,
    resume?: RunWriterState,
  ) {
    this.#objects = objects;
    this.#keys = keys;
    this.#source = source;
    this.#encoder = new RecordFileEncoder(MAGIC, resume?.encoder);
    if (resume === undefined) return;
    this.#lines = resume.lines;
    this.#bytes = resume.bytes;
    this.#firstLine = resume.firstLine;
    this.#lastLine = resume.lastLine;
    if (resume.files !== undefined) {
      const { data, index } = resume.files;
      this.#open = {
        data: objects.openWrite(keys.data, { resume: data }),
        index: objects.openWrite(keys.index, { resume: index }),
      };
    }
  }

  get lines(): number {
    return this.#lines;
  }

  /** @param text the line without its line feed; copied. */
  add(line: number, text: Uint8Array, original: OriginalRange): void {
    const record = this.#record;
    record.writeDoubleLE(line, 0);
    record.writeUInt32LE(text.length + 1, 8);
    record.writeDoubleLE(original.offset, 16);
    record.writeDoubleLE(original.length, 24);
    if (this.#lines === 0) this.#firstLine = line;
    this.#lastLine = line;
    this.#lines++;
    this.#bytes += text.length + 1;
    this.#data.add(text);
    this.#data.addByte(LINE_FEED);
    this.#index.add(record);
  }

  /** Writes out what is pending once it is worth it. */
  async flush(): Promise<void> {
    if (this.#data.length + this.#index.length >= FLUSH_BYTES) await this.#write();
  }

  /** Makes the run visible; `undefined` if it has no line, in which case nothing was written. */
  async close(): Promise<RunRef | undefined> {
    if (this.#lines === 0) return undefined;
    await this.#write();
    const { data, index } = this.#open!;
    await index.write(this.#encoder.finish());
    await data.close();
    await index.close();
    return {
      dataKey: this.#keys.data,
      indexKey: this.#keys.index,
      lines: this.#lines,
      bytes: this.#bytes,
      firstLine: this.#firstLine,
      lastLine: this.#lastLine,
    };
  }

  /** Ends the work of this process on the run: see {@link ObjectWriter.suspend}. */
  async suspend(): Promise<RunWriterState> {
    if (this.#lines > 0) await this.#write();
    const files = this.#open && {
      data: await this.#open.data.suspend(),
      index: await this.#open.index.suspend(),
    };
    return defined({
      lines: this.#lines,
      bytes: this.#bytes,
      firstLine: this.#firstLine,
      lastLine: this.#lastLine,
      encoder: this.#encoder.state(),
      files,
    });
  }

  async abort(): Promise<void> {
    await Promise.all([this.#open?.data.abort(), this.#open?.index.abort()]);
  }

  async #write(): Promise<void> {
    if (this.#open === undefined) {
      this.#open = {
        data: this.#objects.openWrite(this.#keys.data),
        index: this.#objects.openWrite(this.#keys.index),
      };
      await this.#open.index.write(this.#encoder.start({ source: this.#source }));
    }
    await this.#open.data.write(this.#data.bytes());
    await this.#open.index.write(this.#encoder.records(this.#index.bytes()));
    this.#data.clear();
    this.#index.clear();
  }
}

/** One line of a run, by its index. */
export interface RunRecord {
  line: number;
  /** With the line feed. */
  length: number;
  original: OriginalRange;
}

/** Reads a run's index in input order, a block of records at a time; the source comes first. */
export async function* readRunIndex(
  objects: Pick<ObjectStore, 'read'>,
  bucket: string,
  run: RunRef,
): AsyncGenerator<{ source: SourceObject } | { records: RunRecord[] }> {
  const stream = await objects.read({ bucket, key: run.indexKey });
  let lines = 0;
  for await (const piece of readRecordFile(stream, MAGIC, run.indexKey)) {
    if ('header' in piece) {
      yield { source: (piece.header as { source: SourceObject }).source };
      continue;
    }
    const records: RunRecord[] = [];
    for (let at = 0; at < piece.count * RECORD_BYTES; at += RECORD_BYTES) {
      records.push({
        line: piece.records.getFloat64(at, true),
        length: piece.records.getUint32(at + 8, true),
        original: {
          offset: piece.records.getFloat64(at + 16, true),
          length: piece.records.getFloat64(at + 24, true),
        },
      });
    }
    lines += records.length;
    yield { records };
  }
  if (lines !== run.lines) {
    throw new CorruptWorkFileError(`${run.indexKey} has ${lines} records; its batch recorded ${run.lines}`);
  }
}
