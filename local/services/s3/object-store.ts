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
 * upload and the event that reports it). The order of every write is: blob, journal line, memory, event, answer. So
 *
 * - killed before the journal line: no client was answered; the blob has no reference and is removed at the next start;
 * - killed after it: the write is kept, and its event, which is in the same line, is sent at the next start unless the
 *   line `eventDelivered` follows (so an event may come twice, as from AWS);
 * - killed while writing it: the line has no newline and is ignored.
 *
 * Check, journal line and memory are one synchronous step: no lock is needed for conditional writes, and no reader
 * sees what could still be lost. The page cache is not flushed, so this holds for a killed process, not for a power
 * failure. One process at a time may use a folder.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { BlobStore, joinSegments } from './blobs.ts';
import { S3Error } from './errors.ts';
import { Journal } from './journal.ts';
import {
  type ChangeCause,
  type ObjectChange,
  objectChangeToEvent,
  type S3Event,
  sendsToEventBridge,
} from './notifications.ts';
import type {
  Bucket,
  DeleteMarker,
  Mutation,
  ObjectContent,
  ObjectVersion,
  Upload,
  UploadPart,
  UploadStart,
  Version,
  VersionPlace,
  WriteConditions,
} from './records.ts';
import { StoreState } from './state.ts';

export interface ObjectStoreOptions {
  readonly dir: string;
  readonly region: string;
  /** Clock for LastModified, version order and events, in milliseconds. */
  readonly now: () => number;
  /** Takes events in the order of commits. An event counts as delivered when this has returned or resolved. */
  readonly onEvent?: ((event: S3Event) => void | Promise<void>) | undefined;
}

/** How an object is written. */
export interface ObjectWrite {
  readonly conditions: WriteConditions;
  readonly cause: ChangeCause;
  /** The multipart upload that this completes. */
  readonly endedUploadId?: string | undefined;
}

/** The state of the server. Reads are plain; every write is one commit (see the head of this file). */
export class ObjectStore {
  readonly blobs: BlobStore;
  readonly #options: ObjectStoreOptions;
  readonly #state: StoreState;
  #journal: Journal<readonly Mutation[]> | undefined;

  private constructor(options: ObjectStoreOptions) {
    this.#options = options;
    this.blobs = new BlobStore(path.join(options.dir, 'blobs'));
    this.#state = new StoreState(this.blobs);
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
      for (const mutation of commit) store.#state.apply(mutation);
    }
    store.#journal = Journal.replace(file, store.#state.snapshot());
    await store.blobs.sweep();
    return store;
  }

  /** Sends the events that were committed but not delivered before the last stop. */
  redeliverEvents(): void {
    for (const event of [...this.#state.undeliveredEvents.values()]) this.#deliver(event);
  }

  /** Closes the files. Writes that come later fail. */
  async close(): Promise<void> {
    this.#journal?.close();
    this.#journal = undefined;
    await this.blobs.close();
  }

  // ---- buckets

  listBuckets(): Bucket[] {
    return [...this.#state.buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws S3Error `NoSuchBucket` */
  getBucket(name: string): Bucket {
    return this.#state.bucket(name);
  }

  /** @throws S3Error `BucketAlreadyOwnedByYou` */
  createBucket(name: string): void {
    if (this.#state.buckets.has(name)) throw new S3Error('BucketAlreadyOwnedByYou');
    this.#commit([{ op: 'createBucket', bucket: name, createdMs: this.#nowToTheSecond() }]);
  }

  /** Sets a configuration document. */
  setConfiguration(bucket: string, name: string, document: string): void {
    this.#state.bucket(bucket);
    this.#commit([{ op: 'setConfiguration', bucket, name, document }]);
  }

  // ---- objects

  /** As `getObject`, but gives undefined for whatever cannot be read. */
  findObject(bucket: string, key: string, versionId?: string): ObjectVersion | undefined {
    const version = chosenVersion(this.#state.buckets.get(bucket), key, versionId);
    return version?.kind === 'object' ? version : undefined;
  }

  /**
   * The object that a read of a key, or of one version of it, gives.
   *
   * @throws S3Error `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`, or `MethodNotAllowed` for a delete marker by version
   */
  getObject(bucket: string, key: string, versionId?: string): ObjectVersion {
    const version = chosenVersion(this.#state.bucket(bucket), key, versionId);
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
    this.#state.bucket(bucket);
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
   * @throws S3Error as `checkWriteConditions`
   */
  putObject(
    bucket: string,
    key: string,
    content: ObjectContent,
    { conditions, cause, endedUploadId }: ObjectWrite,
  ): ObjectVersion {
    this.checkWriteConditions(bucket, key, conditions);
    const version: ObjectVersion = {
      kind: 'object',
      ...this.#nextPlace(this.#state.bucket(bucket).versioning === 'Enabled'),
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
   * @throws S3Error `NoSuchBucket`; with a condition also `PreconditionFailed`, `NoSuchKey`, or `NotImplemented` if a
   * version is named
   */
  deleteObject(
    bucket: string,
    key: string,
    versionId: string | undefined,
    ifMatch: string | undefined,
    cause: ChangeCause,
  ): Version | undefined {
    const { versioning, versions } = this.#state.bucket(bucket);
    const current = this.findObject(bucket, key);
    if (ifMatch !== undefined) {
      // Both as S3 was seen to answer: localstack issue 13894, ministack issue 1475.
      if (versionId !== undefined) throw new S3Error('NotImplemented');
      if (!current) throw new S3Error('NoSuchKey');
      if (!etagMatches(ifMatch, current.etag)) throw new S3Error('PreconditionFailed');
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
    const isVersioned = this.#state.bucket(bucket).versioning === 'Enabled';
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

  // ---- multipart uploads

  createUpload(start: Omit<UploadStart, 'uploadId' | 'initiatedMs'>): UploadStart {
    this.#state.bucket(start.bucket);
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
    this.#state.bucket(bucket);
    const upload = this.#state.uploads.get(uploadId);
    if (!upload || upload.bucket !== bucket || upload.key !== key) throw new S3Error('NoSuchUpload');
    return upload;
  }

  /** In S3's order: by key, then by time of initiation. */
  listUploads(bucket: string): Upload[] {
    return [...this.#state.uploads.values()]
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
    for (const mutation of mutations) this.#state.apply(mutation);
    for (const mutation of mutations) if (mutation.op === 'event') this.#deliver(mutation.event);
  }

  // ---- events

  #eventOf(change: ObjectChange): Mutation[] {
    const notification = this.#state.bucket(change.bucket).configuration.get('notification');
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
      // Kept for the next start, see above; the write that it reports has been committed and must be answered.
    }
  }

  // ---- small parts

  /** S3 keeps times to the second. */
  #nowToTheSecond(): number {
    return Math.floor(this.#options.now() / 1000) * 1000;
  }

  /** Version ids begin with the sequencer, so that they sort by age and a listing can continue after a deleted one. */
  #nextPlace(isVersioned: boolean): VersionPlace {
    const fromClock = BigInt(Math.floor(this.#options.now())) << 20n;
    this.#state.lastSequence =
      fromClock > this.#state.lastSequence ? fromClock : this.#state.lastSequence + 1n;
    const sequencer = this.#state.lastSequence.toString(16).padStart(16, '0');
    return {
      versionId: isVersioned ? `${sequencer}${randomBytes(8).toString('hex')}` : 'null',
      lastModifiedMs: this.#nowToTheSecond(),
      sequencer,
    };
  }
}

/** The newest version of a key, or the one that is named. */
function chosenVersion(
  bucket: Bucket | undefined,
  key: string,
  versionId: string | undefined,
): Version | undefined {
  const versions = bucket?.versions.get(key) ?? [];
  return versionId === undefined ? versions[0] : versions.find((version) => version.versionId === versionId);
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
