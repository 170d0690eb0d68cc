import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';

/** A run of bytes of a blob. An object is a list of them; copies share blobs and take no space of their own. */
export interface Segment {
  readonly blob: string;
  readonly start: number;
  readonly length: number;
}

/** How many bytes are gathered before they are written to disk. */
const WRITE_BYTES = 1 << 20;

/** How many bytes are read from disk at a time for a response. */
const READ_BYTES = 256 << 10;

/**
 * The files that hold object bytes. A blob is written once, never changed, and unlinked when the last reference to it
 * is released. A reference is a version, a part of an upload, or a response that is being sent.
 */
export class BlobStore {
  readonly #dir: string;
  readonly #references = new Map<string, number>();
  readonly #removals = new Set<Promise<void>>();
  #isSwept = false;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Opens a blob for writing. It has no reference yet: commit what refers to it, or `discard` it. */
  async create(): Promise<BlobWriter> {
    const name = randomUUID();
    return new BlobWriter(name, await open(path.join(this.#dir, name), 'wx'));
  }

  retain(segments: readonly Segment[]): void {
    for (const { blob } of segments) this.#references.set(blob, (this.#references.get(blob) ?? 0) + 1);
  }

  release(segments: readonly Segment[]): void {
    for (const { blob } of segments) {
      const references = (this.#references.get(blob) ?? 0) - 1;
      if (references > 0) this.#references.set(blob, references);
      else if (this.#isSwept) this.discard(blob);
      else this.#references.delete(blob);
    }
  }

  /** Removes a blob that nothing refers to. A removal that fails is made good by `sweep` at the next start. */
  discard(blob: string): void {
    this.#references.delete(blob);
    const removal = rm(path.join(this.#dir, blob), { force: true })
      .catch(() => {})
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }

  /**
   * Reads segments one after another; a file is opened when its turn comes, so memory stays flat.
   *
   * @throws Error when a file is missing or too short, which only another program can have caused
   */
  async *read(segments: readonly Segment[]): AsyncGenerator<Buffer> {
    for (const { blob, start, length } of segments) {
      const file = path.join(this.#dir, blob);
      let left = length;
      const bytes = createReadStream(file, { start, end: start + length - 1, highWaterMark: READ_BYTES });
      for await (const chunk of bytes as AsyncIterable<Buffer>) {
        left -= chunk.length;
        yield chunk;
      }
      // Without this the client would wait for the bytes that Content-Length promised.
      if (left > 0)
        throw new Error(`${file}: expected ${length} bytes from ${start} on, ${left} are not there.`);
    }
  }

  /**
   * To be called once, when all references are known: creates the folder if need be and removes every blob without a
   * reference, which a crash left behind. Until then nothing is removed: a journal may release the last reference to
   * a blob that a later line refers to, where a copy was under way while its source was deleted.
   */
  async sweep(): Promise<void> {
    await mkdir(this.#dir, { recursive: true });
    for (const name of await readdir(this.#dir)) {
      if (!this.#references.has(name)) await rm(path.join(this.#dir, name), { force: true });
    }
    this.#isSwept = true;
  }

  /** Waits for removals under way. */
  async close(): Promise<void> {
    await Promise.all(this.#removals);
  }
}

/** Writes one blob; bytes go to disk while the caller hashes the next ones. */
export class BlobWriter {
  readonly name: string;
  readonly #file: FileHandle;
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(name: string, file: FileHandle) {
    this.name = name;
    this.#file = file;
  }

  async write(bytes: Buffer): Promise<void> {
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.length;
    if (this.#gatheredBytes >= WRITE_BYTES) await this.#flush();
  }

  /** Writes what is left and closes the file. Must be called also when the upload has failed. */
  async close(): Promise<void> {
    try {
      await this.#flush();
      await this.#writing;
    } finally {
      await this.#file.close();
    }
  }

  async #flush(): Promise<void> {
    await this.#writing;
    if (this.#gathered.length === 0) return;
    const bytes = this.#gathered;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    this.#writing = writeAll(this.#file, bytes);
    // Awaited at the next flush or at close; until then a failure must not count as unhandled.
    this.#writing.catch(() => {});
  }
}

/** `writev` may write less than it was given, for example when the disk runs full. */
async function writeAll(file: FileHandle, buffers: readonly Buffer[]): Promise<void> {
  let rest = buffers;
  while (rest.length > 0) {
    let { bytesWritten } = await file.writev(rest);
    let whole = 0;
    while (whole < rest.length && bytesWritten >= rest[whole]!.length) bytesWritten -= rest[whole++]!.length;
    rest = rest.slice(whole);
    if (bytesWritten > 0) rest = [rest[0]!.subarray(bytesWritten), ...rest.slice(1)];
  }
}

/** The segments that hold bytes `first` to `last` (inclusive) of the whole that `segments` spell. */
export function sliceSegments(segments: readonly Segment[], first: number, last: number): Segment[] {
  const slice: Segment[] = [];
  let offset = 0;
  for (const { blob, start, length } of segments) {
    const from = Math.max(first - offset, 0);
    const to = Math.min(last - offset, length - 1);
    if (from <= to) slice.push({ blob, start: start + from, length: to - from + 1 });
    offset += length;
    if (offset > last) break;
  }
  return slice;
}

/** Joins neighbours that continue each other in one blob, as after a part-by-part copy. */
export function joinSegments(segments: readonly Segment[]): Segment[] {
  const joined: Segment[] = [];
  for (const segment of segments) {
    const before = joined.at(-1);
    if (before && before.blob === segment.blob && before.start + before.length === segment.start) {
      joined[joined.length - 1] = { ...before, length: before.length + segment.length };
    } else joined.push(segment);
  }
  return joined;
}
