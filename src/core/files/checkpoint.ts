/**
 * A checkpoint: what a worker that runs out of time leaves for the next one, as one object below `work/`. Its record in
 * the table names it; a checkpoint that no record names counts for nothing.
 *
 * ```
 * offset   bytes  what
 * 0        4      magic, `BDCP`
 * 4        4      version of the layout, uint32, little-endian
 * 8        4      length of the header, n, uint32
 * 12       n      header, UTF-8 JSON: kind, state, and the length of each blob
 * 12 + n          the blobs, one after the other
 * end - 4  4      CRC-32 of everything before it
 * ```
 *
 * The state is plain data, with bytes anywhere in it: they are kept in the blobs, and in the JSON as
 * `{"$blob": index}`.
 */
import { crc32 } from 'node:zlib';
import { CorruptWorkFileError } from '../base/errors.ts';
import type { ObjectStore } from '../ports/objects.ts';

const MAGIC = 'BDCP';
const VERSION = 1;
const PREAMBLE_BYTES = 12;
const CHECKSUM_BYTES = 4;

interface Header {
  kind: string;
  state: unknown;
  blobs: number[];
}

/**
 * Writes a checkpoint.
 * @param kind what reads it, such as `merge`: another kind is refused when it is read.
 * @param state plain data, and `Uint8Array`s anywhere in it.
 */
export async function writeCheckpoint(
  objects: Pick<ObjectStore, 'openWrite'>,
  key: string,
  kind: string,
  state: unknown,
): Promise<void> {
  const writer = objects.openWrite(key);
  try {
    for (const piece of encode(kind, state)) await writer.write(piece);
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/**
 * Reads a checkpoint; its bytes come back as `Uint8Array`s with memory of their own.
 * @throws {CorruptWorkFileError} if it is missing or damaged.
 */
export async function readCheckpoint(
  objects: Pick<ObjectStore, 'get'>,
  key: string,
  kind: string,
): Promise<unknown> {
  const bytes = await objects.get(key);
  if (bytes === undefined) throw new CorruptWorkFileError(`the checkpoint ${key} is missing`);
  return decode(bytes, kind, key);
}

function* encode(kind: string, state: unknown): Generator<Uint8Array> {
  const blobs: Uint8Array[] = [];
  const stateJson = JSON.stringify(state, function (this: Record<string, unknown>, name, value: unknown) {
    // `value` of a Buffer is what its toJSON made of it.
    const original = this[name];
    if (!(original instanceof Uint8Array)) return value;
    blobs.push(original);
    return { $blob: blobs.length - 1 };
  });
  const lengths = JSON.stringify(blobs.map((blob) => blob.length));
  const header = Buffer.from(`{"kind":${JSON.stringify(kind)},"state":${stateJson},"blobs":${lengths}}`);
  const preamble = Buffer.alloc(PREAMBLE_BYTES);
  preamble.write(MAGIC, 0, 'latin1');
  preamble.writeUInt32LE(VERSION, 4);
  preamble.writeUInt32LE(header.length, 8);
  let checksum = 0;
  for (const piece of [preamble, header, ...blobs]) {
    checksum = crc32(piece, checksum);
    yield piece;
  }
  const trailer = Buffer.alloc(CHECKSUM_BYTES);
  trailer.writeUInt32LE(checksum);
  yield trailer;
}

function decode(bytes: Uint8Array, kind: string, key: string): unknown {
  const corrupt = (what: string): CorruptWorkFileError =>
    new CorruptWorkFileError(`${key} is damaged: ${what}; expected a ${kind} checkpoint, version ${VERSION}`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = buffer.length - CHECKSUM_BYTES;
  if (end < PREAMBLE_BYTES) throw corrupt('it is cut short');
  if (buffer.readUInt32LE(end) !== crc32(buffer.subarray(0, end))) {
    throw corrupt('its checksum does not match');
  }
  if (buffer.toString('latin1', 0, 4) !== MAGIC) throw corrupt('it begins with something else');
  if (buffer.readUInt32LE(4) !== VERSION) throw corrupt(`its version is ${buffer.readUInt32LE(4)}`);
  let at = PREAMBLE_BYTES + buffer.readUInt32LE(8);
  const header = JSON.parse(buffer.toString('utf8', PREAMBLE_BYTES, at)) as Header;
  if (header.kind !== kind) throw corrupt(`it is a ${header.kind} checkpoint`);
  const blobs = header.blobs.map((length) => {
    const blob = new Uint8Array(bytes.subarray(at, at + length));
    at += length;
    return blob;
  });
  return withBlobs(header.state, blobs);
}

/** The same data, its bytes in their places. */
function withBlobs(value: unknown, blobs: readonly Uint8Array[]): unknown {
  if (Array.isArray(value)) return value.map((item) => withBlobs(item, blobs));
  if (typeof value !== 'object' || value === null) return value;
  if ('$blob' in value) return blobs[value.$blob as number];
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withBlobs(item, blobs)]));
}
