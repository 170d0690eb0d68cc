/**
 * Files of fixed-size records: the framing that manifests and run indexes share.
 *
 * ```
 * offset      bytes  what
 * 0           4      magic, ASCII
 * 4           2      version of the layout, little-endian
 * 6           2      size of one record in bytes
 * 8           4      length of the header, n
 * 12          n      header, UTF-8 JSON
 * 12 + n      r * k  records, all numbers little-endian
 * end - 12    8      number of records, k, as a float64
 * end - 4     4      CRC-32 of everything before it
 * ```
 *
 * A file is written front to back without knowing `k`, and read in blocks without holding it whole.
 */
import { crc32 } from 'node:zlib';
import { CorruptWorkFileError } from '../base/errors.ts';
import type { ByteStream } from '../ports/objects.ts';

/** Bytes of every record: both layouts fit, and blocks of S3's sizes hold whole records. */
export const RECORD_BYTES = 32;
const VERSION = 1;
const PREAMBLE_BYTES = 12;
const TRAILER_BYTES = 12;

/** How far the bytes of a record file have been produced. */
export interface RecordFileState {
  checksum: number;
  records: number;
}

/** Produces the bytes of a record file, piece by piece. */
export class RecordFileEncoder {
  #checksum: number;
  #records: number;
  readonly #magic: string;

  /** @param resume the {@link state} of another one, to continue after its last piece. */
  constructor(magic: string, resume: RecordFileState = { checksum: 0, records: 0 }) {
    this.#magic = magic;
    this.#checksum = resume.checksum;
    this.#records = resume.records;
  }

  state(): RecordFileState {
    return { checksum: this.#checksum, records: this.#records };
  }

  /** The first bytes of the file. */
  start(header: unknown): Uint8Array {
    const json = Buffer.from(JSON.stringify(header));
    const bytes = Buffer.alloc(PREAMBLE_BYTES + json.length);
    bytes.write(this.#magic, 0, 'latin1');
    bytes.writeUInt16LE(VERSION, 4);
    bytes.writeUInt16LE(RECORD_BYTES, 6);
    bytes.writeUInt32LE(json.length, 8);
    json.copy(bytes, PREAMBLE_BYTES);
    return this.#count(bytes);
  }

  /** Whole records, already laid out. */
  records(bytes: Uint8Array): Uint8Array {
    this.#records += bytes.length / RECORD_BYTES;
    return this.#count(bytes);
  }

  /** The last bytes of the file. */
  finish(): Uint8Array {
    const trailer = Buffer.alloc(TRAILER_BYTES);
    trailer.writeDoubleLE(this.#records, 0);
    trailer.writeUInt32LE(crc32(trailer.subarray(0, 8), this.#checksum), 8);
    return trailer;
  }

  #count(bytes: Uint8Array): Uint8Array {
    this.#checksum = crc32(bytes, this.#checksum);
    return bytes;
  }
}

/** What {@link readRecordFile} yields: the header once, then blocks of whole records. */
export type RecordFilePiece = { header: unknown } | { records: DataView; count: number };

/**
 * Reads a record file as it streams in.
 * @param name where it came from, for the message.
 * @throws {CorruptWorkFileError} if the framing, the number of records or the checksum is not as written.
 */
export async function* readRecordFile(
  stream: ByteStream,
  magic: string,
  name: string,
): AsyncGenerator<RecordFilePiece> {
  /** What is left of the chunks before, which are gone. */
  let rest: Buffer = Buffer.alloc(0);
  let headerRead = false;
  let checksum = 0;
  let records = 0;
  const corrupt = (what: string): CorruptWorkFileError =>
    new CorruptWorkFileError(`${name} is damaged: ${what}; expected a ${magic} file, version ${VERSION}`);
  for await (const chunk of stream) {
    let buffer =
      rest.length === 0
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
        : Buffer.concat([rest, chunk]);
    if (!headerRead) {
      if (buffer.length < PREAMBLE_BYTES) {
        rest = Buffer.from(buffer);
        continue;
      }
      const found = buffer.toString('latin1', 0, 4);
      if (found !== magic) throw corrupt(`it begins with ${JSON.stringify(found)}`);
      if (buffer.readUInt16LE(4) !== VERSION) throw corrupt(`its version is ${buffer.readUInt16LE(4)}`);
      if (buffer.readUInt16LE(6) !== RECORD_BYTES)
        throw corrupt(`its records have ${buffer.readUInt16LE(6)} bytes`);
      const end = PREAMBLE_BYTES + buffer.readUInt32LE(8);
      if (buffer.length < end) {
        rest = Buffer.from(buffer);
        continue;
      }
      checksum = crc32(buffer.subarray(0, end));
      const header = parseJson(buffer.toString('utf8', PREAMBLE_BYTES, end));
      if (header === undefined) throw corrupt('its header is not JSON');
      yield { header };
      headerRead = true;
      buffer = buffer.subarray(end);
    }
    // The trailer is shorter than a record: what is left after whole records may be the trailer, so it is kept back.
    const count = Math.floor(Math.max(0, buffer.length - TRAILER_BYTES) / RECORD_BYTES);
    if (count > 0) {
      const block = buffer.subarray(0, count * RECORD_BYTES);
      checksum = crc32(block, checksum);
      records += count;
      yield { records: new DataView(block.buffer, block.byteOffset, block.byteLength), count };
      buffer = buffer.subarray(block.length);
    }
    rest = Buffer.from(buffer);
  }
  if (!headerRead || rest.length !== TRAILER_BYTES) throw corrupt('it is cut short');
  if (rest.readDoubleLE(0) !== records) {
    throw corrupt(`it has ${records} records and says ${rest.readDoubleLE(0)}`);
  }
  if (rest.readUInt32LE(8) !== crc32(rest.subarray(0, 8), checksum))
    throw corrupt('its checksum does not match');
}

/** `undefined` if it is none: the parser's own message would quote what it read. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
