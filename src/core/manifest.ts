/**
 * A manifest says what a batch is made of: for each request its line, byte range and custom_id hash. It is a
 * {@link ./record-file.ts record file} with magic `BDMF` below `work/`; the object that the ranges point into stands in
 * its header. Records, in input order:
 *
 * ```
 * 0   8  line number in the input, 1-based, float64
 * 8   8  offset of the first byte in the source, float64
 * 16  4  length in bytes, uint32
 * 20  4  rounds the request has been tried before this batch, uint32
 * 24  8  hash of the custom_id: two uint32 (see custom-id-hash.ts)
 * ```
 */
import { CorruptWorkFileError } from './errors.ts';
import type { SourceObject } from './model.ts';
import type { ObjectStore } from './ports.ts';
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

/** A growing list of entries in 32 bytes each. */
export class ManifestEntries {
  #bytes: Buffer;
  #count = 0;

  constructor(capacity = 256) {
    this.#bytes = Buffer.alloc(capacity * RECORD_BYTES);
  }

  get count(): number {
    return this.#count;
  }

  /** Appends and gives the entry's index. */
  push(line: number, offset: number, length: number, tried: number, hash0: number, hash1: number): number {
    const at = this.#count * RECORD_BYTES;
    if (at === this.#bytes.length) {
      const grown = Buffer.alloc(this.#bytes.length * 2);
      this.#bytes.copy(grown);
      this.#bytes = grown;
    }
    const bytes = this.#bytes;
    bytes.writeDoubleLE(line, at);
    bytes.writeDoubleLE(offset, at + 8);
    bytes.writeUInt32LE(length, at + 16);
    bytes.writeUInt32LE(tried, at + 20);
    bytes.writeUInt32LE(hash0, at + 24);
    bytes.writeUInt32LE(hash1, at + 28);
    return this.#count++;
  }

  /** Appends whole records as they stand in a file. */
  pushRecords(view: DataView, count: number): void {
    const needed = (this.#count + count) * RECORD_BYTES;
    if (needed > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(grown);
      this.#bytes = grown;
    }
    this.#bytes.set(
      new Uint8Array(view.buffer, view.byteOffset, count * RECORD_BYTES),
      this.#count * RECORD_BYTES,
    );
    this.#count += count;
  }

  /** Moves an entry, for requests whose place is known only once they are written out. */
  setOffset(index: number, offset: number): void {
    this.#bytes.writeDoubleLE(offset, index * RECORD_BYTES + 8);
  }

  line(index: number): number {
    return this.#bytes.readDoubleLE(index * RECORD_BYTES);
  }

  offset(index: number): number {
    return this.#bytes.readDoubleLE(index * RECORD_BYTES + 8);
  }

  length(index: number): number {
    return this.#bytes.readUInt32LE(index * RECORD_BYTES + 16);
  }

  tried(index: number): number {
    return this.#bytes.readUInt32LE(index * RECORD_BYTES + 20);
  }

  at(index: number): ManifestEntry {
    const at = index * RECORD_BYTES;
    return {
      line: this.#bytes.readDoubleLE(at),
      offset: this.#bytes.readDoubleLE(at + 8),
      length: this.#bytes.readUInt32LE(at + 16),
      tried: this.#bytes.readUInt32LE(at + 20),
      hash0: this.#bytes.readUInt32LE(at + 24),
      hash1: this.#bytes.readUInt32LE(at + 28),
    };
  }

  /** The records, laid out as in a file. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#count * RECORD_BYTES);
  }
}

/** A manifest in memory: at most 50,000 entries, so at most 1.6 MB. */
export interface Manifest {
  source: SourceObject;
  entries: ManifestEntries;
}

/** The manifest as a file. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const encoder = new RecordFileEncoder(MAGIC);
  return Buffer.concat([
    encoder.start({ source: manifest.source }),
    encoder.records(manifest.entries.bytes()),
    encoder.finish(),
  ]);
}

/**
 * Reads a manifest from below `work/`.
 * @throws {CorruptWorkFileError} if it is missing or does not read back as written.
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
    else entries.pushRecords(piece.records, piece.count);
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
