import { createHash } from 'node:crypto';
import { release } from '../../../src/adapters/body-chunks.ts';
import { DAY_MS } from '../../../src/contract/time.ts';
import {
  BatchdropError,
  CorruptWorkFileError,
  ObjectGoneError,
  UploadGoneError,
} from '../../../src/core/base/errors.ts';
import type { KeyVersion, ListCursor, ObjectHead, SourceObject } from '../../../src/core/model/objects.ts';
import type { Ambient } from '../../../src/core/ports/ambient.ts';
import type {
  ByteStream,
  ErasableVersion,
  Erasure,
  Inputs,
  ObjectStore,
  ObjectWriter,
  WorkFiles,
  WriterState,
} from '../../../src/core/ports/objects.ts';

/** Chunks that a read gives; small, so that readers have to cope with cuts anywhere. */
const CHUNK_BYTES = 64 * 1024;

interface StoredVersion {
  versionId: string;
  /** `undefined`: a delete marker. */
  body: Uint8Array | undefined;
  etag: string;
  lastModified: number;
  metadata?: Record<string, string> | undefined;
}

/** What of a bucket's lifecycle rule concerns objects, as CloudFormation spells it. */
export interface LifecycleRule {
  Status: 'Enabled' | 'Disabled';
  Prefix?: string;
  TagFilters?: readonly { Key: string; Value: string }[];
  ExpirationInDays?: number;
  ExpiredObjectDeleteMarker?: boolean;
  NoncurrentVersionExpiration?: { NoncurrentDays: number };
}

/** S3's own. Source: S3 User Guide, "Amazon S3 multipart upload limits". */
const MIN_PART_BYTES = 5 * 1024 * 1024;
/** S3's own. Source: S3 API reference, ListObjectVersions. */
const MAX_PAGE = 1_000;

/** {@link ObjectStore} and {@link Inputs} in memory, with versions and uploads as S3 keeps them. */
export class MemoryObjects implements ObjectStore, Inputs, WorkFiles, Erasure {
  readonly #bucket: string;
  readonly #isVersioned: boolean;
  readonly #ambient: Pick<Ambient, 'now'>;
  /** By `<bucket>/<key>`, oldest first. */
  readonly #versions = new Map<string, StoredVersion[]>();
  /** Parts of the uploads that have neither ended nor been given up, by upload id and number. */
  readonly #uploads = new Map<string, Uint8Array[]>();
  readonly #minPartBytes: number;
  readonly #pageSize: number;
  #uploadsMade = 0;
  #written = 0;

  /**
   * @param options.bucket where everything is that is addressed by key alone.
   * @param options.isVersioned whether buckets keep old versions. Default: true.
   * @param options.pageSize versions that a page of a listing has. Default: 1,000, as in S3.
   * @param options.minPartBytes what a suspended writer keeps in its state is less. Default: 5 MiB, as in S3.
   */
  constructor(
    options: { bucket: string; isVersioned?: boolean; minPartBytes?: number; pageSize?: number },
    ambient: Pick<Ambient, 'now'>,
  ) {
    this.#minPartBytes = options.minPartBytes ?? MIN_PART_BYTES;
    this.#pageSize = options.pageSize ?? MAX_PAGE;
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

  /** How many uploads were begun and neither ended nor given up: for assertions. */
  countOpenUploads(): number {
    return this.#uploads.size;
  }

  /** Gives up every upload, as the bucket's lifecycle rule does after a week: for tests. */
  dropUploads(): void {
    this.#uploads.clear();
  }

  async head(bucket: string, key: string, versionId?: string): Promise<ObjectHead | undefined> {
    const found = this.#find({ bucket, key, ...(versionId === undefined ? {} : { versionId }) });
    const head = found && this.#headOf(bucket, key, found);
    return head && { ...head, ...(found?.metadata === undefined ? {} : { metadata: found.metadata }) };
  }

  async listVersions(
    prefix: string,
    after?: ListCursor,
  ): Promise<{ versions: ObjectHead[]; next?: ListCursor }> {
    const below = `${this.#bucket}/${prefix}`;
    const all = [...this.#versions]
      .filter(([path]) => path.startsWith(below))
      .sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
      // Newest first within a key.
      .flatMap(([path, versions]) =>
        versions.toReversed().map((version) => ({ key: path.slice(this.#bucket.length + 1), version })),
      )
      .filter(({ key, version }) => after === undefined || isAfter(key, version.versionId, after));
    const page = all.slice(0, this.#pageSize);
    const last = page.at(-1);
    const versions = page.flatMap(({ key, version }) => this.#headOf(this.#bucket, key, version) ?? []);
    if (last === undefined || page.length === all.length) return { versions };
    return { versions, next: { key: last.key, versionId: last.version.versionId } };
  }

  async listKey(key: string, after?: ListCursor): Promise<{ versions: KeyVersion[]; next?: ListCursor }> {
    const kept = (this.#versions.get(`${this.#bucket}/${key}`) ?? []).toReversed();
    const from =
      after === undefined ? 0 : kept.findIndex(({ versionId }) => ageOf(versionId) < ageOf(after.versionId!));
    const page = from === -1 ? [] : kept.slice(from, from + this.#pageSize);
    const versions = page.map(
      (version): KeyVersion => ({
        bucket: this.#bucket,
        key,
        ...(this.#isVersioned ? { versionId: version.versionId } : {}),
        etag: version.body === undefined ? '' : version.etag,
        lastModified: version.lastModified,
        size: version.body?.length ?? 0,
        isLatest: version === kept[0],
        isDeleteMarker: version.body === undefined,
      }),
    );
    const last = page.at(-1);
    return last === undefined || last === kept.at(-1)
      ? { versions }
      : { versions, next: { key, versionId: last.versionId } };
  }

  /** Nothing for a delete marker. */
  #headOf(bucket: string, key: string, version: StoredVersion): ObjectHead | undefined {
    if (version.body === undefined) return undefined;
    return {
      bucket,
      key,
      ...(this.#isVersioned ? { versionId: version.versionId } : {}),
      etag: version.etag,
      lastModified: version.lastModified,
      size: version.body.length,
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
    return body === undefined ? undefined : new Uint8Array(body);
  }

  /** @param options.metadata user metadata, as a drop may have it. */
  async put(
    key: string,
    body: Uint8Array,
    options: { ifAbsent?: boolean; contentType?: string; metadata?: Record<string, string> } = {},
  ): Promise<boolean> {
    if (options.ifAbsent && this.#find({ bucket: this.#bucket, key })?.body !== undefined) return false;
    this.#store(key, new Uint8Array(body), options.metadata);
    return true;
  }

  openWrite(
    key: string,
    options: { contentType?: string; resume?: WriterState | undefined } = {},
  ): ObjectWriter {
    return new MemoryWriter({
      key,
      resume: options.resume,
      minPartBytes: this.#minPartBytes,
      uploads: this.#uploads,
      uploadId: () => `upload-${this.#uploadsMade++}`,
      read: (source) => this.#find(source)?.body,
      store: (body) => this.#store(key, body),
    });
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

  async removeBelow(prefix: string): Promise<boolean> {
    const keys = this.keys().filter((key) => key.startsWith(prefix));
    for (const key of keys.slice(0, this.#pageSize)) await this.remove(key);
    return keys.length <= this.#pageSize;
  }

  async eraseVersions(key: string, versions: readonly ErasableVersion[]): Promise<number> {
    const path = `${this.#bucket}/${key}`;
    const before = this.#versions.get(path) ?? [];
    const kept = before.filter(
      ({ versionId, etag }) =>
        !versions.some((one) => (this.#isVersioned ? one.versionId === versionId : one.etag === etag)),
    );
    if (kept.length === 0) this.#versions.delete(path);
    else this.#versions.set(path, kept);
    return before.length - kept.length;
  }

  async eraseBelow(prefix: string): Promise<{ erased: number; isEmpty: boolean }> {
    const below = [...this.#versions].filter(([path]) => path.startsWith(`${this.#bucket}/${prefix}`));
    const page = below.slice(0, this.#pageSize);
    for (const [path] of page) this.#versions.delete(path);
    return {
      erased: page.reduce((sum, [, versions]) => sum + versions.length, 0),
      isEmpty: below.length <= this.#pageSize,
    };
  }

  async listBelow(prefix: string): Promise<string[]> {
    return this.keys().filter((key) => key.startsWith(prefix));
  }

  /**
   * Does once what the lifecycle rules of a bucket do every day: for tests. No object here has tags, so that a rule
   * which asks for one concerns none.
   * @param rules as `AWS::S3::Bucket` has them.
   */
  applyLifecycle(rules: readonly LifecycleRule[]): void {
    const now = this.#ambient.now();
    for (const rule of rules) {
      if (rule.Status !== 'Enabled' || (rule.TagFilters?.length ?? 0) > 0) continue;
      for (const [path, versions] of [...this.#versions]) {
        if (path.startsWith(`${this.#bucket}/${rule.Prefix ?? ''}`)) this.#expire(rule, path, versions, now);
      }
    }
  }

  #expire(rule: LifecycleRule, path: string, versions: readonly StoredVersion[], now: number): void {
    const isOlder = (since: number, days: number) => now - since >= days * DAY_MS;
    const current = versions.at(-1)!;
    const { ExpirationInDays: days, NoncurrentVersionExpiration: noncurrent } = rule;
    if (days !== undefined && current.body !== undefined && isOlder(current.lastModified, days)) {
      if (this.#isVersioned) this.#store(path.slice(this.#bucket.length + 1), undefined);
      else this.#versions.delete(path);
      return;
    }
    const kept = versions.filter((_, index) => {
      const next = versions[index + 1];
      // A version is noncurrent since the next one was put.
      return next === undefined || !noncurrent || !isOlder(next.lastModified, noncurrent.NoncurrentDays);
    });
    const isMarkerAlone = kept.length === 1 && kept[0]!.body === undefined;
    if (isMarkerAlone && rule.ExpiredObjectDeleteMarker === true) this.#versions.delete(path);
    else this.#versions.set(path, kept);
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

  #store(key: string, body: Uint8Array | undefined, metadata?: Record<string, string>): void {
    this.#written += 1;
    const path = `${this.#bucket}/${key}`;
    const version: StoredVersion = {
      versionId: versionIdOf(this.#written),
      body,
      etag: etagOf(body ?? new Uint8Array()),
      // S3 keeps whole seconds.
      lastModified: Math.floor(this.#ambient.now() / 1000) * 1000,
      metadata,
    };
    this.#versions.set(path, this.#isVersioned ? [...(this.#versions.get(path) ?? []), version] : [version]);
  }
}

interface MemoryWriterOptions {
  key: string;
  resume: WriterState | undefined;
  minPartBytes: number;
  uploads: Map<string, Uint8Array[]>;
  /** A fresh id. */
  uploadId(): string;
  read(source: SourceObject): Uint8Array | undefined;
  store(body: Uint8Array): void;
}

/** A writer that keeps its bytes as S3 would: in parts of an upload once there are enough of them. */
class MemoryWriter implements ObjectWriter {
  readonly #options: MemoryWriterOptions;
  readonly #etags: string[];
  #uploadId: string | undefined;
  #chunks: Uint8Array[];
  #pending: number;
  #bytes: number;
  #state: 'open' | 'suspended' | 'closed' | 'aborted' = 'open';

  constructor(options: MemoryWriterOptions) {
    const { resume } = options;
    this.#options = options;
    this.#etags = (resume?.upload?.parts ?? []).map(({ etag }) => etag);
    this.#uploadId = resume?.upload?.id;
    this.#chunks = resume === undefined ? [] : [resume.tail.slice()];
    this.#pending = resume?.tail.length ?? 0;
    this.#bytes = resume?.bytes ?? 0;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    // Not `slice`, which copies nothing if the bytes are a Buffer.
    this.#chunks.push(new Uint8Array(bytes));
    this.#pending += bytes.length;
    this.#bytes += bytes.length;
    if (this.#pending >= 2 * this.#options.minPartBytes) this.#sendPart();
  }

  async copy(source: SourceObject, start: number, end: number): Promise<void> {
    this.#assertOpen();
    const body = this.#options.read(source);
    if (body === undefined) throw new ObjectGoneError(`s3://${source.bucket}/${source.key} is gone`);
    if (end > body.length) {
      throw new CorruptWorkFileError(`${source.key} ends at byte ${body.length}; ${end} were to be copied`);
    }
    await this.write(body.subarray(start, end));
  }

  async suspend(): Promise<WriterState> {
    this.#assertOpen();
    if (this.#pending >= this.#options.minPartBytes) this.#sendPart();
    this.#state = 'suspended';
    return {
      bytes: this.#bytes,
      tail: new Uint8Array(Buffer.concat(this.#chunks)),
      ...(this.#uploadId === undefined
        ? {}
        : { upload: { id: this.#uploadId, parts: this.#etags.map((etag) => ({ etag })) } }),
    };
  }

  async close(): Promise<number> {
    this.#assertOpen();
    const { uploads, store } = this.#options;
    if (this.#uploadId === undefined) store(new Uint8Array(Buffer.concat(this.#chunks)));
    else {
      if (this.#pending > 0) this.#sendPart();
      const parts = this.#upload().slice(0, this.#etags.length);
      if (parts.some((part, index) => etagOf(part) !== this.#etags[index])) throw this.#gone();
      store(new Uint8Array(Buffer.concat(parts)));
      uploads.delete(this.#uploadId);
    }
    this.#state = 'closed';
    return this.#bytes;
  }

  async abort(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'aborted';
    if (this.#uploadId !== undefined) this.#options.uploads.delete(this.#uploadId);
  }

  #sendPart(): void {
    if (this.#uploadId === undefined) {
      this.#uploadId = this.#options.uploadId();
      this.#options.uploads.set(this.#uploadId, []);
    }
    const part = new Uint8Array(Buffer.concat(this.#chunks));
    this.#upload()[this.#etags.length] = part;
    this.#etags.push(etagOf(part));
    this.#chunks = [];
    this.#pending = 0;
  }

  #upload(): Uint8Array[] {
    const upload = this.#options.uploads.get(this.#uploadId!);
    if (upload === undefined) throw this.#gone();
    return upload;
  }

  #gone(): UploadGoneError {
    return new UploadGoneError(`the upload of ${this.#options.key} was ended, or another worker wrote to it`);
  }

  #assertOpen(): void {
    if (this.#state !== 'open') {
      throw new BatchdropError(`${this.#options.key}: the writer is ${this.#state} already`);
    }
  }
}

/** An id that says nothing of its age to those who compare ids, as S3's say nothing. */
function versionIdOf(written: number): string {
  const digest = createHash('md5').update(String(written)).digest('hex');
  return `v${digest.slice(0, 6)}.${String(written).padStart(8, '0')}`;
}

/** Greater for newer versions; for this store alone. */
function ageOf(versionId: string): string {
  return versionId.slice(versionId.indexOf('.'));
}

/** Whether a version stands after another in a listing; newer versions come first. */
function isAfter(key: string, versionId: string, after: ListCursor): boolean {
  const order = Buffer.compare(Buffer.from(key), Buffer.from(after.key));
  return (
    order > 0 || (order === 0 && after.versionId !== undefined && ageOf(versionId) < ageOf(after.versionId))
  );
}

/** S3's ETag of an object that was put, or of a part: its MD5. */
function etagOf(body: Uint8Array): string {
  return `"${createHash('md5').update(body).digest('hex')}"`;
}

async function* chunksOf(body: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < body.length; start += CHUNK_BYTES) {
    // Not `slice`, which makes no copy of a Buffer.
    const chunk = new Uint8Array(body.subarray(start, start + CHUNK_BYTES));
    yield chunk;
    // As S3's are: a reader that keeps one fails its test.
    release(chunk);
  }
}
