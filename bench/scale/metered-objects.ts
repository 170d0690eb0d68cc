/**
 * The bucket in memory, with every request to S3 counted that the real adapter would make for objects of the size that
 * the model's small ones stand for.
 */

import { partBytesOf, S3_SIZES } from '../../src/adapters/s3/sizes.ts';
import type { ObjectHead, SourceObject } from '../../src/core/model/objects.ts';
import type { Ambient } from '../../src/core/ports/ambient.ts';
import type { ByteStream, ObjectWriter, WriterState } from '../../src/core/ports/objects.ts';
import { MemoryObjects } from '../../test/support/memory/objects.ts';

/** What calls of the bucket have taken. */
export interface BucketUse {
  /** PUT, COPY, POST and LIST: S3 charges these alike. */
  writes: number;
  /** GET and HEAD. */
  reads: number;
  /** Objects made, each of which EventBridge is told of. */
  objects: number;
  /** Bytes written, copies within S3 included. */
  bytesWritten: number;
  /** Bytes that pass through the function. */
  bytesMoved: number;
}

/** What is counted, from nothing. */
export function noBucketUse(): BucketUse {
  return { writes: 0, reads: 0, objects: 0, bytesWritten: 0, bytesMoved: 0 };
}

/** How many bytes one byte of the model stands for, by the key of its object. */
export type ScaleOf = (key: string) => number;

/** Ranges that large files are read in: `core/files/parallel-read.ts`. */
const READ_BYTES = 8 * 1024 * 1024;

export class MeteredObjects extends MemoryObjects {
  readonly #onUse: (use: Partial<BucketUse>) => void;
  readonly #scaleOf: ScaleOf;

  constructor(
    bucket: string,
    ambient: Pick<Ambient, 'now'>,
    scaleOf: ScaleOf,
    onUse: (use: Partial<BucketUse>) => void,
  ) {
    super({ bucket, isVersioned: true }, ambient);
    this.#scaleOf = scaleOf;
    this.#onUse = onUse;
  }

  override async head(...where: Parameters<MemoryObjects['head']>): Promise<ObjectHead | undefined> {
    this.#onUse({ reads: 1 });
    return super.head(...where);
  }

  override async get(key: string): Promise<Uint8Array | undefined> {
    const body = await super.get(key);
    this.#onUse({ reads: 1, bytesMoved: (body?.length ?? 0) * this.#scaleOf(key) });
    return body;
  }

  override async read(source: SourceObject, start?: number, end?: number): Promise<ByteStream> {
    const stream = await super.read(source, start, end);
    const scale = this.#scaleOf(source.key);
    const onUse = this.#onUse;
    return (async function* () {
      let bytes = 0;
      try {
        for await (const chunk of stream) {
          bytes += chunk.length;
          yield chunk;
        }
      } finally {
        onUse({ reads: Math.max(1, Math.ceil((bytes * scale) / READ_BYTES)), bytesMoved: bytes * scale });
      }
    })();
  }

  override async listVersions(...which: Parameters<MemoryObjects['listVersions']>) {
    // Listing is priced as writing is. Source: S3 pricing, "PUT, COPY, POST, LIST requests".
    this.#onUse({ writes: 1 });
    return super.listVersions(...which);
  }

  override async put(...what: Parameters<MemoryObjects['put']>): Promise<boolean> {
    const [key, body] = what;
    const bytes = body.length * this.#scaleOf(key);
    this.#onUse({ writes: 1, objects: 1, bytesWritten: bytes, bytesMoved: bytes });
    return super.put(...what);
  }

  override openWrite(
    key: string,
    options: { contentType?: string; resume?: WriterState | undefined } = {},
  ): ObjectWriter {
    const writer = super.openWrite(key, options);
    const scale = this.#scaleOf(key);
    let written = 0;
    let copied = 0;
    return {
      write: (bytes) => {
        written += bytes.length * scale;
        return writer.write(bytes);
      },
      copy: (source, start, end) => {
        copied += (end - start) * scale;
        return writer.copy(source, start, end);
      },
      suspend: () => writer.suspend(),
      close: async () => {
        const bytes = await writer.close();
        const parts = partsOf(written) + Math.ceil(copied / S3_SIZES.copyPartBytes);
        this.#onUse({
          // More than one part: beside them, one call to create the upload and one to complete it.
          writes: parts > 1 ? parts + 2 : 1,
          objects: 1,
          bytesWritten: written + copied,
          bytesMoved: written,
        });
        return bytes;
      },
      abort: () => writer.abort(),
    };
  }
}

function partsOf(bytes: number): number {
  let parts = 0;
  for (let left = bytes; left > 0; parts++) left -= partBytesOf(parts + 1, S3_SIZES.firstPartBytes);
  return parts;
}
