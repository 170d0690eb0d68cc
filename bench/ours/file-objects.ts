import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { copyFile, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { finished } from 'node:stream/promises';
import { ObjectGoneError } from '../../src/core/base/errors.ts';
import type { ObjectHead, SourceObject } from '../../src/core/model/objects.ts';
import type { ByteStream, ObjectStore, ObjectWriter } from '../../src/core/ports/objects.ts';

/** Half of what the floors take: it is copied once more, and that from the second-level cache. */
const CHUNK_BYTES = 512 * 1024;

/**
 * {@link ObjectStore} on plain files, so that what is measured is the core and not a client of S3. One object is the
 * input; everything else stands below a folder, under its key.
 */
export class FileObjects implements ObjectStore {
  readonly #inputKey: string;
  readonly #inputPath: string;
  readonly #folder: string;
  readonly #made = new Set<string>();

  /** @param input the key that stands for the file at `path`. */
  constructor(input: { key: string; path: string }, folder: string) {
    this.#inputKey = input.key;
    this.#inputPath = input.path;
    this.#folder = folder;
  }

  async head(bucket: string, key: string, versionId?: string): Promise<ObjectHead | undefined> {
    const found = await orMissing(stat(this.#pathOf(key)));
    if (found === undefined) return undefined;
    return {
      bucket,
      key,
      ...(versionId === undefined ? {} : { versionId }),
      etag: createHash('md5').update(key).digest('hex'),
      lastModified: Math.floor(found.mtimeMs),
      size: found.size,
    };
  }

  async read(source: SourceObject, start = 0, end?: number): Promise<ByteStream> {
    const path = this.#pathOf(source.key);
    const size = (await orMissing(stat(path)))?.size;
    if (size === undefined) throw new ObjectGoneError(`${path} is gone`);
    return readFrom(path, start, Math.min(end ?? size, size));
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return orMissing(readFile(this.#pathOf(key)));
  }

  async put(key: string, body: Uint8Array, options: { ifAbsent?: boolean } = {}): Promise<boolean> {
    const path = await this.#pathFor(key);
    try {
      await writeFile(path, body, { flag: options.ifAbsent ? 'wx' : 'w' });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      return false;
    }
  }

  openWrite(key: string): ObjectWriter {
    const partial = `${this.#pathOf(key)}.partial`;
    const opened = this.#pathFor(key).then(() => createWriteStream(partial));
    return {
      write: async (bytes) => {
        const stream = await opened;
        await new Promise<void>((resolve, reject) => {
          stream.write(bytes, (error) => (error ? reject(error) : resolve()));
        });
      },
      close: async () => {
        const stream = await opened;
        stream.end();
        await finished(stream);
        await rename(partial, this.#pathOf(key));
        return stream.bytesWritten;
      },
      // Ingest in one pass does neither.
      copy: () => Promise.reject(new Error('files are not copied here')),
      suspend: () => Promise.reject(new Error('writing files is not suspended here')),
      abort: async () => {
        (await opened).destroy();
        await rm(partial, { force: true });
      },
    };
  }

  async pin(input: ObjectHead, toKey: string): Promise<void> {
    await copyFile(this.#pathOf(input.key), await this.#pathFor(toKey));
  }

  async remove(key: string): Promise<void> {
    await rm(this.#pathOf(key), { force: true });
  }

  #pathOf(key: string): string {
    return key === this.#inputKey ? this.#inputPath : join(this.#folder, key);
  }

  /** The path of something to be written; makes its folder. */
  async #pathFor(key: string): Promise<string> {
    const path = this.#pathOf(key);
    const folder = dirname(path);
    if (!this.#made.has(folder)) await mkdir(folder, { recursive: true });
    this.#made.add(folder);
    return path;
  }
}

/**
 * Bytes `start` to `end` (exclusive) of a file, through one buffer: what is made anew for each chunk costs a third of a
 * scan.
 */
async function* readFrom(path: string, start: number, end: number): AsyncGenerator<Uint8Array> {
  if (start >= end) return;
  const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, end - start));
  const file = await open(path);
  try {
    for (let at = start; at < end; ) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - at), at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function orMissing<Result>(found: Promise<Result>): Promise<Result | undefined> {
  try {
    return await found;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
