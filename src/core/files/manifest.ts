/**
 * A manifest says what a batch is made of: for each request its line, byte range and custom_id hash. It is a
 * {@link ./record-file.ts record file} with magic `BDMF` below `work/`; its header names the object that the ranges
 * point into. Records, in input order:
 *
 * ```
 * 0   8  line number in the input, 1-based, float64
 * 8   8  offset of the first byte in the source, float64
 * 16  4  length in bytes, uint32
 * 20  4  how often the request has been tried before this batch (tries.ts), and the most it may be answered with
 *        (output-limit.ts), uint32
 * 24  8  hash of the custom_id: two uint32 (see custom-id-hash.ts)
 * ```
 */
import { Block } from '../base/block.ts';
import { CorruptWorkFileError } from '../base/errors.ts';
import type { SourceObject } from '../model/objects.ts';
import type { ObjectStore } from '../ports/objects.ts';
import { RECORD_BYTES, RecordFileEncoder, readRecordFile } from './record-file.ts';

const MAGIC = 'BDMF';

/** One request of a batch, without its content. */
export interface ManifestEntry {
  line: number;
  offset: number;
  length: number;
  tried: number;
  hash0: number;
  hash1: number;
}

const DOUBLES = RECORD_BYTES / 8;
const WORDS = RECORD_BYTES / 4;

/**
 * A growing list of entries in 32 bytes each, laid out as in a file: little-endian, as every machine that runs this.
 */
export class ManifestEntries {
  #capacity: number;
  /** Two views of the same bytes. */
  #doubles: Float64Array;
  #words: Uint32Array;
  #count = 0;

  constructor(capacity = 256) {
    this.#capacity = Math.max(1, capacity);
    this.#doubles = new Float64Array(this.#capacity * DOUBLES);
    this.#words = new Uint32Array(this.#doubles.buffer);
  }

  get count(): number {
    return this.#count;
  }

  /** Appends and gives the entry's index. */
  push({ line, offset, length, tried, hash0, hash1 }: ManifestEntry): number {
    if (this.#count === this.#capacity) this.#grow(this.#capacity * 2);
    const double = this.#count * DOUBLES;
    const word = this.#count * WORDS;
    this.#doubles[double] = line;
    this.#doubles[double + 1] = offset;
    this.#words[word + 4] = length;
    this.#words[word + 5] = tried;
    this.#words[word + 6] = hash0;
    this.#words[word + 7] = hash1;
    return this.#count++;
  }

  /** Empties the list; its memory stays. */
  clear(): void {
    this.#count = 0;
  }

  /** Appends whole records as they are in a file. */
  pushRecords(bytes: Uint8Array): void {
    const count = bytes.length / RECORD_BYTES;
    if (this.#count + count > this.#capacity) this.#grow(Math.max(this.#count + count, this.#capacity * 2));
    new Uint8Array(this.#doubles.buffer).set(bytes, this.#count * RECORD_BYTES);
    this.#count += count;
  }

  /** Appends entries `start` to `end` (exclusive) of another list. */
  pushRange(from: ManifestEntries, start: number, end: number): void {
    this.pushRecords(from.bytes().subarray(start * RECORD_BYTES, end * RECORD_BYTES));
  }

  /** Moves an entry, for requests whose place is known only once they are written out. */
  setOffset(index: number, offset: number): void {
    this.#doubles[index * DOUBLES + 1] = offset;
  }

  line(index: number): number {
    return this.#doubles[index * DOUBLES]!;
  }

  offset(index: number): number {
    return this.#doubles[index * DOUBLES + 1]!;
  }

  length(index: number): number {
    return this.#words[index * WORDS + 4]!;
  }

  tried(index: number): number {
    return this.#words[index * WORDS + 5]!;
  }

  hash0(index: number): number {
    return this.#words[index * WORDS + 6]!;
  }

  hash1(index: number): number {
    return this.#words[index * WORDS + 7]!;
  }

  at(index: number): ManifestEntry {
    return {
      line: this.line(index),
      offset: this.offset(index),
      length: this.length(index),
      tried: this.tried(index),
      hash0: this.hash0(index),
      hash1: this.hash1(index),
    };
  }

  /** The records, laid out as in a file; good until the next one is pushed. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#doubles.buffer, 0, this.#count * RECORD_BYTES);
  }

  #grow(capacity: number): void {
    const doubles = new Float64Array(capacity * DOUBLES);
    doubles.set(this.#doubles);
    this.#doubles = doubles;
    this.#words = new Uint32Array(doubles.buffer);
    this.#capacity = capacity;
  }
}

/** A manifest in memory: at most 50,000 entries, so at most 1.6 MB. */
export interface Manifest {
  source: SourceObject;
  entries: ManifestEntries;
}

/**
 * The manifest as a file.
 * @param block emptied, and given what comes out; one that is used again saves the system new memory for each manifest.
 */
export function encodeManifest(manifest: Manifest, block = new Block()): Uint8Array {
  const encoder = new RecordFileEncoder(MAGIC);
  block.clear();
  block.add(encoder.start({ source: manifest.source }));
  block.add(encoder.records(manifest.entries.bytes()));
  block.add(encoder.finish());
  return block.bytes();
}

/**
 * Reads a manifest from below `work/`.
 * @throws {CorruptWorkFileError} if it is missing or damaged.
 */
export async function readManifest(objects: Pick<ObjectStore, 'get'>, key: string): Promise<Manifest> {
  const bytes = await objects.get(key);
  if (bytes === undefined) {
    throw new CorruptWorkFileError(
      `the manifest ${key} is missing; was work/ emptied before its job had ended?`,
    );
  }
  let source: SourceObject | undefined;
  const entries = new ManifestEntries(Math.max(1, Math.floor(bytes.length / RECORD_BYTES)));
  for await (const piece of readRecordFile(once(bytes), MAGIC, key)) {
    if ('header' in piece) source = (piece.header as { source: SourceObject }).source;
    else {
      const { buffer, byteOffset, byteLength } = piece.records;
      entries.pushRecords(new Uint8Array(buffer, byteOffset, byteLength));
    }
  }
  return { source: source!, entries };
}

/** Bytes of the rendered batch: every line with its line feed. */
export function renderedBytes(entries: ManifestEntries): number {
  let bytes = 0;
  for (let index = 0; index < entries.count; index++) bytes += entries.length(index) + 1;
  return bytes;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
