import { createHash } from 'node:crypto';
import { BatchdropError, ObjectGoneError } from '../../core/errors.ts';
import type { ObjectHead, SourceObject } from '../../core/model.ts';
import type { Ambient, ByteStream, ObjectStore, ObjectWriter } from '../../core/ports.ts';

/** Chunks that a read gives; small, so that whoever reads has to cope with cuts anywhere. */
const CHUNK_BYTES = 64 * 1024;

interface StoredVersion {
  versionId: string;
  /** `undefined`: a delete marker. */
  body: Uint8Array | undefined;
  etag: string;
  lastModified: number;
}

/** {@link ObjectStore} in memory, with versions as S3 keeps them. */
export class MemoryObjects implements ObjectStore {
  readonly #bucket: string;
  readonly #isVersioned: boolean;
  readonly #ambient: Pick<Ambient, 'now'>;
  /** By `<bucket>/<key>`, oldest first. */
  readonly #versions = new Map<string, StoredVersion[]>();
  #written = 0;

  /**
   * @param options.bucket where everything is that is addressed by key alone.
   * @param options.isVersioned whether buckets keep old versions. Default: true.
   */
  constructor(options: { bucket: string; isVersioned?: boolean }, ambient: Pick<Ambient, 'now'>) {
    this.#bucket = options.bucket;
    this.#isVersioned = options.isVersioned ?? true;
    this.#ambient = ambient;
  }

  /** Every key of the bucket that has an object now, sorted: for assertions. */
  keys(): string[] {
    const prefix = `${this.#bucket}/`;
    return [...this.#versions]
      .filter(([path, versions]) => path.startsWith(prefix) && versions.at(-1)?.body !== undefined)
      .map(([path]) => path.slice(prefix.length))
      .sort();
  }

  async head(bucket: string, key: string, versionId?: string): Promise<ObjectHead | undefined> {
    const found = this.#find({ bucket, key, ...(versionId === undefined ? {} : { versionId }) });
    if (found?.body === undefined) return undefined;
    return {
      bucket,
      key,
      ...(this.#isVersioned ? { versionId: found.versionId } : {}),
      etag: found.etag,
      lastModified: found.lastModified,
      size: found.body.length,
    };
  }

  async read(source: SourceObject, start = 0, end?: number): Promise<ByteStream> {
    const body = this.#find(source)?.body;
    if (body === undefined) {
      throw new ObjectGoneError(`s3://${source.bucket}/${source.key} is gone`);
    }
    return chunksOf(body.subarray(start, end));
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const body = this.#find({ bucket: this.#bucket, key })?.body;
    return body === undefined ? undefined : body.slice();
  }

  async put(
    key: string,
    body: Uint8Array,
    options: { ifAbsent?: boolean; contentType?: string } = {},
  ): Promise<boolean> {
    if (options.ifAbsent && this.#find({ bucket: this.#bucket, key })?.body !== undefined) return false;
    this.#store(key, body.slice());
    return true;
  }

  openWrite(key: string): ObjectWriter {
    const chunks: Uint8Array[] = [];
    let state: 'open' | 'closed' | 'aborted' = 'open';
    const assertOpen = () => {
      if (state !== 'open') throw new BatchdropError(`${key}: the writer is ${state} already`);
    };
    return {
      write: async (bytes) => {
        assertOpen();
        chunks.push(bytes.slice());
      },
      close: async () => {
        assertOpen();
        state = 'closed';
        const body = new Uint8Array(Buffer.concat(chunks));
        this.#store(key, body);
        return body.length;
      },
      abort: async () => {
        if (state === 'open') state = 'aborted';
      },
    };
  }

  async pin(input: ObjectHead, toKey: string): Promise<void> {
    const found = this.#find(input);
    if (found?.body === undefined || found.etag !== input.etag) {
      throw new ObjectGoneError(`s3://${input.bucket}/${input.key} is gone or was replaced`);
    }
    this.#store(toKey, found.body);
  }

  async remove(key: string): Promise<void> {
    if (this.#isVersioned) this.#store(key, undefined);
    else this.#versions.delete(`${this.#bucket}/${key}`);
  }

  /** Removes every version, as somebody with the rights may do behind our back: for tests. */
  destroy(key: string): void {
    this.#versions.delete(`${this.#bucket}/${key}`);
  }

  #find({ bucket, key, versionId }: SourceObject): StoredVersion | undefined {
    const versions = this.#versions.get(`${bucket}/${key}`) ?? [];
    return versionId === undefined
      ? versions.at(-1)
      : versions.find((version) => version.versionId === versionId);
  }

  #store(key: string, body: Uint8Array | undefined): void {
    this.#written += 1;
    const path = `${this.#bucket}/${key}`;
    const version: StoredVersion = {
      versionId: `v${String(this.#written).padStart(8, '0')}`,
      body,
      etag: `"${createHash('md5')
        .update(body ?? '')
        .digest('hex')}"`,
      // S3 keeps whole seconds.
      lastModified: Math.floor(this.#ambient.now() / 1000) * 1000,
    };
    this.#versions.set(path, this.#isVersioned ? [...(this.#versions.get(path) ?? []), version] : [version]);
  }
}

async function* chunksOf(body: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < body.length; start += CHUNK_BYTES) {
    yield body.slice(start, start + CHUNK_BYTES);
  }
}
