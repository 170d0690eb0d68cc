/**
 * Buckets, object versions and uploads in progress: what the server knows, and how that survives.
 *
 * On disk, under the one folder that is passed in:
 *
 *   journal.jsonl        every commit since the last start, after a snapshot of the state at that start
 *   journal.jsonl.next   a snapshot that was being written when the process died; overwritten at the next start
 *   blobs/<uuid>         bytes of objects and parts, written once; metadata refers to runs of bytes in them
 *
 * One line of the journal is one commit: a JSON array of `Mutation`s that happen together (a version, the end of its
 * upload and the event that tells of it). The order of every write is: blob, journal line, memory, event, answer. So
 *
 * - killed before the journal line: nobody was answered; the blob has no reference and is removed at the next start;
 * - killed after it: the write stands, and its event, which is in the same line, is sent at the next start unless the
 *   line `eventDelivered` follows (so an event may come twice, as from AWS);
 * - killed while writing it: the line has no newline and is ignored.
 *
 * Check, journal line and memory are one synchronous step: no lock is needed for conditional writes, and nobody reads
 * what could still be lost. The page cache is not flushed, so this holds for a killed process, not for a power failure.
 * One process at a time may use a folder.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { BlobStore, joinSegments, type Segment } from './blobs.ts';
import type { Checksum, ChecksumAlgorithm, ChecksumType } from './checksums.ts';
import { S3Error } from './errors.ts';
import { Journal } from './journal.ts';
import {
  type ChangeCause,
  type ObjectChange,
  objectChangeToEvent,
  type S3Event,
  sendsToEventBridge,
} from './notifications.ts';
import { SortedKeys } from './sorted-keys.ts';
import { childText, parseXml } from './xml.ts';

export interface Tag {
  readonly key: string;
  readonly value: string;
}

/** What an object is, apart from its place in a bucket. */
export interface ObjectContent {
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly segments: readonly Segment[];
  /** Response headers that were set with the object: content-type, x-amz-meta-… */
  readonly headers: Readonly<Record<string, string>>;
  readonly checksum?: Checksum;
  /** Of an object made by a multipart upload. */
  readonly partSizesBytes?: readonly number[];
  readonly tags?: readonly Tag[];
}

interface VersionPlace {
  /** `null` in a bucket that was not versioned at the time. */
  readonly versionId: string;
  readonly lastModifiedMs: number;
  readonly sequencer: string;
}

export interface ObjectVersion extends ObjectContent, VersionPlace {
  readonly kind: 'object';
}

export interface DeleteMarker extends VersionPlace {
  readonly kind: 'delete-marker';
}

export type Version = ObjectVersion | DeleteMarker;

export interface UploadPart {
  readonly sizeBytes: number;
  /** Hexadecimal MD5, without quotes. */
  readonly etag: string;
  readonly segments: readonly Segment[];
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly value: string };
  readonly lastModifiedMs: number;
}

export interface UploadStart {
  readonly uploadId: string;
  readonly bucket: string;
  readonly key: string;
  readonly initiatedMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly tags?: readonly Tag[];
  readonly checksumAlgorithm?: ChecksumAlgorithm;
  readonly checksumType?: ChecksumType;
}

export interface Upload extends UploadStart {
  readonly parts: ReadonlyMap<number, UploadPart>;
}

export interface Bucket {
  readonly name: string;
  readonly createdMs: number;
  /** Undefined until versioning is set for the first time; after that it can only be suspended. */
  readonly versioning: 'Enabled' | 'Suspended' | undefined;
  /** Documents as the client sent them, by the name of their subresource (`lifecycle`, `policy`, …). */
  readonly configuration: ReadonlyMap<string, string>;
  readonly keys: SortedKeys;
  /** Newest first; never empty. */
  readonly versions: ReadonlyMap<string, readonly Version[]>;
}

/** Preconditions on the version that a write would replace. */
export interface WriteConditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

type Mutation =
  | { readonly op: 'createBucket'; readonly bucket: string; readonly createdMs: number }
  | { readonly op: 'deleteBucket'; readonly bucket: string }
  | {
      readonly op: 'setConfiguration';
      readonly bucket: string;
      readonly name: string;
      readonly document: string | null;
    }
  | { readonly op: 'putVersion'; readonly bucket: string; readonly key: string; readonly version: Version }
  | {
      readonly op: 'removeVersion';
      readonly bucket: string;
      readonly key: string;
      readonly versionId: string;
    }
  | { readonly op: 'createUpload'; readonly upload: UploadStart }
  | {
      readonly op: 'putPart';
      readonly uploadId: string;
      readonly partNumber: number;
      readonly part: UploadPart;
    }
  | { readonly op: 'endUpload'; readonly uploadId: string }
  | { readonly op: 'event'; readonly event: S3Event }
  | { readonly op: 'eventDelivered'; readonly id: string };

interface MutableBucket extends Bucket {
  versioning: 'Enabled' | 'Suspended' | undefined;
  readonly configuration: Map<string, string>;
  readonly versions: Map<string, Version[]>;
}

interface MutableUpload extends Upload {
  readonly parts: Map<number, UploadPart>;
}

export interface ObjectStoreOptions {
  readonly dir: string;
  readonly region: string;
  /** Clock for LastModified, version order and events, in milliseconds. */
  readonly now: () => number;
  /** Takes events in the order of commits. An event counts as delivered when this has returned or resolved. */
  readonly onEvent?: ((event: S3Event) => void | Promise<void>) | undefined;
}

/** The state of the server. Reads are plain; every write is one commit (see the head of this file). */
export class ObjectStore {
  readonly blobs: BlobStore;
  readonly #options: ObjectStoreOptions;
  readonly #buckets = new Map<string, MutableBucket>();
  readonly #uploads = new Map<string, MutableUpload>();
  readonly #undeliveredEvents = new Map<string, S3Event>();
  #lastSequence = 0n;
  #journal: Journal<readonly Mutation[]> | undefined;

  private constructor(options: ObjectStoreOptions) {
    this.#options = options;
    this.blobs = new BlobStore(path.join(options.dir, 'blobs'));
  }

  /**
   * Reads what is in the folder, or starts an empty store there.
   *
   * @throws Error when the journal is damaged in a way that no crash explains
   */
  static async open(options: ObjectStoreOptions): Promise<ObjectStore> {
    await mkdir(options.dir, { recursive: true });
    const store = new ObjectStore(options);
    const file = path.join(options.dir, 'journal.jsonl');
    for await (const commit of Journal.read<readonly Mutation[]>(file)) {
      for (const mutation of commit) store.#apply(mutation);
    }
    store.#journal = Journal.replace(file, store.#snapshot());
    await store.blobs.sweep();
    return store;
  }

  /** Sends the events that were committed but not delivered before the last stop. */
  redeliverEvents(): void {
    for (const event of [...this.#undeliveredEvents.values()]) this.#deliver(event);
  }

  /** Closes the files. Writes that come later fail. */
  async close(): Promise<void> {
    this.#journal?.close();
    this.#journal = undefined;
    await this.blobs.close();
  }

  // ---- buckets

  listBuckets(): Bucket[] {
    return [...this.#buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws S3Error `NoSuchBucket` */
  getBucket(name: string): Bucket {
    return this.#bucket(name);
  }

  /** @throws S3Error `BucketAlreadyOwnedByYou` */
  createBucket(name: string): void {
    if (this.#buckets.has(name)) throw new S3Error('BucketAlreadyOwnedByYou');
    this.#commit([{ op: 'createBucket', bucket: name, createdMs: this.#nowToTheSecond() }]);
  }

  /**
   * Deletes an empty bucket and its uploads in progress.
   *
   * @throws S3Error `NoSuchBucket` or `BucketNotEmpty`
   */
  deleteBucket(name: string): void {
    if (this.#bucket(name).versions.size > 0) throw new S3Error('BucketNotEmpty');
    const uploads = this.listUploads(name);
    this.#commit([
      ...uploads.map(({ uploadId }) => ({ op: 'endUpload', uploadId }) as const),
      { op: 'deleteBucket', bucket: name },
    ]);
  }

  /** Sets a configuration document, or removes it with null. */
  setConfiguration(bucket: string, name: string, document: string | null): void {
    this.#bucket(bucket);
    this.#commit([{ op: 'setConfiguration', bucket, name, document }]);
  }

  // ---- objects

  /** As `getObject`, but gives undefined for whatever cannot be read. */
  findObject(bucket: string, key: string, versionId?: string): ObjectVersion | undefined {
    const versions = this.#buckets.get(bucket)?.versions.get(key) ?? [];
    const version =
      versionId === undefined ? versions[0] : versions.find((candidate) => candidate.versionId === versionId);
    return version?.kind === 'object' ? version : undefined;
  }

  /**
   * The object that a read of a key, or of one version of it, gives.
   *
   * @throws S3Error `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`, or `MethodNotAllowed` for a delete marker by version
   */
  getObject(bucket: string, key: string, versionId?: string): ObjectVersion {
    const versions = this.#bucket(bucket).versions.get(key) ?? [];
    const version =
      versionId === undefined ? versions[0] : versions.find((candidate) => candidate.versionId === versionId);
    if (!version) throw new S3Error(versionId === undefined ? 'NoSuchKey' : 'NoSuchVersion');
    if (version.kind === 'object') return version;
    const headers = { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.versionId };
    if (versionId === undefined) throw new S3Error('NoSuchKey', undefined, headers);
    throw new S3Error('MethodNotAllowed', undefined, {
      ...headers,
      allow: 'DELETE',
      'last-modified': new Date(version.lastModifiedMs).toUTCString(),
    });
  }

  /**
   * Checks preconditions against what is current now. `putObject` checks again: this one saves the client an upload.
   *
   * @throws S3Error `NoSuchBucket`, `PreconditionFailed`, `NoSuchKey` or `NotImplemented`
   */
  checkWriteConditions(bucket: string, key: string, { ifMatch, ifNoneMatch }: WriteConditions): void {
    this.#bucket(bucket);
    const current = this.findObject(bucket, key);
    if (ifNoneMatch !== undefined && ifNoneMatch !== '*') throw new S3Error('NotImplemented');
    if (ifNoneMatch !== undefined && current) throw new S3Error('PreconditionFailed');
    if (ifMatch === undefined) return;
    if (!current) throw new S3Error('NoSuchKey');
    if (!etagMatches(ifMatch, current.etag)) throw new S3Error('PreconditionFailed');
  }

  /**
   * Makes an object the current version of a key, if the conditions hold.
   *
   * @param endedUploadId the multipart upload that this completes
   * @throws S3Error as `checkWriteConditions`
   */
  putObject(
    bucket: string,
    key: string,
    content: ObjectContent,
    conditions: WriteConditions,
    cause: ChangeCause,
    endedUploadId?: string,
  ): ObjectVersion {
    this.checkWriteConditions(bucket, key, conditions);
    const version: ObjectVersion = {
      kind: 'object',
      ...this.#nextPlace(this.#bucket(bucket).versioning === 'Enabled'),
      ...content,
      segments: joinSegments(content.segments),
    };
    this.#commit([
      { op: 'putVersion', bucket, key, version },
      ...(endedUploadId === undefined ? [] : [{ op: 'endUpload', uploadId: endedUploadId } as const]),
      ...this.#eventOf({
        ...cause,
        bucket,
        key,
        etag: version.etag,
        sizeBytes: version.sizeBytes,
        versionId: version.versionId,
        sequencer: version.sequencer,
        atMs: version.lastModifiedMs,
      }),
    ]);
    return version;
  }

  /**
   * Deletes as S3 does: a version for good, or by a delete marker where the bucket is versioned. What is not there is
   * deleted already.
   *
   * @returns the version that was removed or the marker that was made, if any
   * @throws S3Error `NoSuchBucket` or `PreconditionFailed`
   */
  deleteObject(
    bucket: string,
    key: string,
    versionId: string | undefined,
    ifMatch: string | undefined,
    cause: ChangeCause,
  ): Version | undefined {
    const { versioning, versions } = this.#bucket(bucket);
    const current = this.findObject(bucket, key);
    if (ifMatch !== undefined && !(current && etagMatches(ifMatch, current.etag))) {
      throw new S3Error('PreconditionFailed');
    }
    if (versionId === undefined && versioning !== undefined) return this.#addDeleteMarker(bucket, key, cause);

    const removedId = versionId ?? 'null';
    const removed = versions.get(key)?.find((version) => version.versionId === removedId);
    if (!removed) return undefined;
    const { sequencer, lastModifiedMs } = this.#nextPlace(false);
    this.#commit([
      { op: 'removeVersion', bucket, key, versionId: removedId },
      ...this.#eventOf({
        ...cause,
        bucket,
        key,
        etag: removed.kind === 'object' ? removed.etag : EMPTY_ETAG,
        versionId: removedId,
        sequencer,
        atMs: lastModifiedMs,
        deletion: 'Permanently Deleted',
      }),
    ]);
    return removed;
  }

  #addDeleteMarker(bucket: string, key: string, cause: ChangeCause): DeleteMarker {
    const isVersioned = this.#bucket(bucket).versioning === 'Enabled';
    const marker: DeleteMarker = { kind: 'delete-marker', ...this.#nextPlace(isVersioned) };
    this.#commit([
      { op: 'putVersion', bucket, key, version: marker },
      ...this.#eventOf({
        ...cause,
        bucket,
        key,
        etag: EMPTY_ETAG,
        versionId: marker.versionId,
        sequencer: marker.sequencer,
        atMs: marker.lastModifiedMs,
        deletion: 'Delete Marker Created',
      }),
    ]);
    return marker;
  }

  /** Replaces the tags of an object version, which is otherwise unchanged. */
  setTags(bucket: string, key: string, versionId: string | undefined, tags: readonly Tag[]): ObjectVersion {
    const version = { ...this.getObject(bucket, key, versionId), tags };
    this.#commit([{ op: 'putVersion', bucket, key, version }]);
    return version;
  }

  // ---- multipart uploads

  createUpload(start: Omit<UploadStart, 'uploadId' | 'initiatedMs'>): UploadStart {
    this.#bucket(start.bucket);
    const upload = {
      ...start,
      uploadId: randomBytes(32).toString('base64url'),
      initiatedMs: this.#nowToTheSecond(),
    };
    this.#commit([{ op: 'createUpload', upload }]);
    return upload;
  }

  /** @throws S3Error `NoSuchBucket` or `NoSuchUpload` */
  getUpload(bucket: string, key: string, uploadId: string): Upload {
    this.#bucket(bucket);
    const upload = this.#uploads.get(uploadId);
    if (!upload || upload.bucket !== bucket || upload.key !== key) throw new S3Error('NoSuchUpload');
    return upload;
  }

  /** In S3's order: by key, then by time of initiation. */
  listUploads(bucket: string): Upload[] {
    return [...this.#uploads.values()]
      .filter((upload) => upload.bucket === bucket)
      .sort(
        (a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) || a.initiatedMs - b.initiatedMs,
      );
  }

  /** Adds a part or replaces the one of that number. */
  putPart(upload: Upload, partNumber: number, part: Omit<UploadPart, 'lastModifiedMs'>): UploadPart {
    this.getUpload(upload.bucket, upload.key, upload.uploadId);
    const dated = { ...part, lastModifiedMs: this.#nowToTheSecond() };
    this.#commit([{ op: 'putPart', uploadId: upload.uploadId, partNumber, part: dated }]);
    return dated;
  }

  abortUpload({ uploadId }: Upload): void {
    this.#commit([{ op: 'endUpload', uploadId }]);
  }

  // ---- commits

  #commit(mutations: readonly Mutation[]): void {
    if (!this.#journal) throw new Error('The S3 server is closed.');
    this.#journal.append(mutations);
    for (const mutation of mutations) this.#apply(mutation);
    for (const mutation of mutations) if (mutation.op === 'event') this.#deliver(mutation.event);
  }

  /** The one place that changes memory, for commits as they happen and for those read back at the start. */
  #apply(mutation: Mutation): void {
    switch (mutation.op) {
      case 'createBucket':
        this.#buckets.set(mutation.bucket, {
          name: mutation.bucket,
          createdMs: mutation.createdMs,
          versioning: undefined,
          configuration: new Map(),
          keys: new SortedKeys(),
          versions: new Map(),
        });
        break;
      case 'deleteBucket':
        this.#buckets.delete(mutation.bucket);
        break;
      case 'setConfiguration':
        this.#applyConfiguration(this.#bucket(mutation.bucket), mutation.name, mutation.document);
        break;
      case 'putVersion':
        this.#applyVersion(this.#bucket(mutation.bucket), mutation.key, mutation.version);
        break;
      case 'removeVersion':
        this.#applyRemoval(this.#bucket(mutation.bucket), mutation.key, mutation.versionId);
        break;
      case 'createUpload':
        this.#uploads.set(mutation.upload.uploadId, { ...mutation.upload, parts: new Map() });
        break;
      case 'putPart': {
        const parts = this.#uploads.get(mutation.uploadId)?.parts;
        this.blobs.retain(mutation.part.segments);
        this.blobs.release(parts?.get(mutation.partNumber)?.segments ?? []);
        parts?.set(mutation.partNumber, mutation.part);
        break;
      }
      case 'endUpload':
        for (const part of this.#uploads.get(mutation.uploadId)?.parts.values() ?? []) {
          this.blobs.release(part.segments);
        }
        this.#uploads.delete(mutation.uploadId);
        break;
      case 'event':
        this.#undeliveredEvents.set(mutation.event.id, mutation.event);
        break;
      case 'eventDelivered':
        this.#undeliveredEvents.delete(mutation.id);
        break;
    }
  }

  #applyConfiguration(bucket: MutableBucket, name: string, document: string | null): void {
    if (document === null) bucket.configuration.delete(name);
    else bucket.configuration.set(name, document);
    if (name === 'versioning' && document !== null) {
      bucket.versioning = childText(parseXml(document), 'Status') === 'Enabled' ? 'Enabled' : 'Suspended';
    }
  }

  /** Adds a version in front, or in the place of the one with the same id if only its tags have changed. */
  #applyVersion(bucket: MutableBucket, key: string, version: Version): void {
    if (version.kind === 'object') this.blobs.retain(version.segments);
    if (BigInt(`0x${version.sequencer}`) > this.#lastSequence) {
      this.#lastSequence = BigInt(`0x${version.sequencer}`);
    }
    const versions = bucket.versions.get(key) ?? [];
    const index = versions.findIndex((candidate) => candidate.versionId === version.versionId);
    const replaced = versions[index];
    if (replaced?.kind === 'object') this.blobs.release(replaced.segments);
    if (replaced?.sequencer === version.sequencer) versions[index] = version;
    else {
      if (replaced) versions.splice(index, 1);
      versions.unshift(version);
    }
    bucket.versions.set(key, versions);
    bucket.keys.add(key);
  }

  #applyRemoval(bucket: MutableBucket, key: string, versionId: string): void {
    const versions = bucket.versions.get(key) ?? [];
    const index = versions.findIndex((version) => version.versionId === versionId);
    const removed = versions[index];
    if (!removed) return;
    if (removed.kind === 'object') this.blobs.release(removed.segments);
    versions.splice(index, 1);
    if (versions.length > 0) return;
    bucket.versions.delete(key);
    bucket.keys.delete(key);
  }

  /** The state as commits that would make it. */
  *#snapshot(): Generator<readonly Mutation[]> {
    for (const bucket of this.#buckets.values()) {
      yield [{ op: 'createBucket', bucket: bucket.name, createdMs: bucket.createdMs }];
      for (const [name, document] of bucket.configuration) {
        yield [{ op: 'setConfiguration', bucket: bucket.name, name, document }];
      }
      for (let index = 0; index < bucket.keys.size; index++) {
        const key = bucket.keys.at(index)!;
        for (const version of bucket.versions.get(key)!.toReversed()) {
          yield [{ op: 'putVersion', bucket: bucket.name, key, version }];
        }
      }
    }
    for (const { parts, ...upload } of this.#uploads.values()) {
      yield [{ op: 'createUpload', upload }];
      for (const [partNumber, part] of parts) {
        yield [{ op: 'putPart', uploadId: upload.uploadId, partNumber, part }];
      }
    }
    for (const event of this.#undeliveredEvents.values()) yield [{ op: 'event', event }];
  }

  // ---- events

  #eventOf(change: ObjectChange): Mutation[] {
    const notification = this.#bucket(change.bucket).configuration.get('notification');
    if (!this.#options.onEvent || notification === undefined || !sendsToEventBridge(notification)) return [];
    return [{ op: 'event', event: objectChangeToEvent(change, this.#options.region) }];
  }

  /** An event that the receiver throws on stays undelivered: it is sent again at the next start. */
  #deliver(event: S3Event): void {
    const delivered = () => {
      if (this.#journal) this.#commit([{ op: 'eventDelivered', id: event.id }]);
    };
    try {
      const receipt = this.#options.onEvent?.(event);
      if (receipt instanceof Promise) receipt.then(delivered).catch(() => {});
      else delivered();
    } catch {
      // Kept for the next start, see above; the write that it tells of has been committed and must be answered.
    }
  }

  // ---- small parts

  #bucket(name: string): MutableBucket {
    const bucket = this.#buckets.get(name);
    if (!bucket) throw new S3Error('NoSuchBucket');
    return bucket;
  }

  /** S3 keeps times to the second. */
  #nowToTheSecond(): number {
    return Math.floor(this.#options.now() / 1000) * 1000;
  }

  /** Version ids begin with the sequencer, so that they sort by age and a listing can go on after a deleted one. */
  #nextPlace(isVersioned: boolean): VersionPlace {
    const fromClock = BigInt(Math.floor(this.#options.now())) << 20n;
    this.#lastSequence = fromClock > this.#lastSequence ? fromClock : this.#lastSequence + 1n;
    const sequencer = this.#lastSequence.toString(16).padStart(16, '0');
    return {
      versionId: isVersioned ? `${sequencer}${randomBytes(8).toString('hex')}` : 'null',
      lastModifiedMs: this.#nowToTheSecond(),
      sequencer,
    };
  }
}

/** MD5 of nothing: the ETag that S3 gives for delete markers in events. */
const EMPTY_ETAG = 'd41d8cd98f00b204e9800998ecf8427e';

/** Compares the value of If-Match or If-None-Match, with or without quotes, a list or `*`, with an ETag. */
export function etagMatches(condition: string, etag: string): boolean {
  return condition
    .split(',')
    .map((candidate) => candidate.trim().replace(/^(W\/)?"?|"$/g, ''))
    .some((candidate) => candidate === '*' || candidate === etag);
}
