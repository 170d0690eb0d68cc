/** The state of the S3 server in memory, and how the changes of the journal make it. */
import type { BlobStore } from './blobs.ts';
import { S3Error } from './errors.ts';
import type { S3Event } from './notifications.ts';
import type { MutableBucket, MutableUpload, Mutation, Version } from './records.ts';
import { SortedKeys } from './sorted-keys.ts';
import { childText, parseXml } from './xml.ts';

/** Buckets, uploads in progress and events that are not delivered yet. */
export class StoreState {
  readonly buckets = new Map<string, MutableBucket>();
  readonly uploads = new Map<string, MutableUpload>();
  readonly undeliveredEvents = new Map<string, S3Event>();
  /** Sequencer of the latest version. */
  lastSequence = 0n;
  readonly #blobs: BlobStore;

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /** @throws S3Error `NoSuchBucket` */
  bucket(name: string): MutableBucket {
    const bucket = this.buckets.get(name);
    if (!bucket) throw new S3Error('NoSuchBucket');
    return bucket;
  }

  /** The one place that changes memory, for commits as they happen and for those read back at the start. */
  apply(mutation: Mutation): void {
    switch (mutation.op) {
      case 'createBucket':
        this.buckets.set(mutation.bucket, {
          name: mutation.bucket,
          createdMs: mutation.createdMs,
          versioning: undefined,
          configuration: new Map(),
          keys: new SortedKeys(),
          versions: new Map(),
        });
        break;
      case 'setConfiguration':
        this.#applyConfiguration(this.bucket(mutation.bucket), mutation.name, mutation.document);
        break;
      case 'putVersion':
        this.#applyVersion(this.bucket(mutation.bucket), mutation.key, mutation.version);
        break;
      case 'removeVersion':
        this.#applyRemoval(this.bucket(mutation.bucket), mutation.key, mutation.versionId);
        break;
      case 'createUpload':
        this.uploads.set(mutation.upload.uploadId, { ...mutation.upload, parts: new Map() });
        break;
      case 'putPart': {
        const parts = this.uploads.get(mutation.uploadId)?.parts;
        this.#blobs.retain(mutation.part.segments);
        this.#blobs.release(parts?.get(mutation.partNumber)?.segments ?? []);
        parts?.set(mutation.partNumber, mutation.part);
        break;
      }
      case 'endUpload':
        for (const part of this.uploads.get(mutation.uploadId)?.parts.values() ?? []) {
          this.#blobs.release(part.segments);
        }
        this.uploads.delete(mutation.uploadId);
        break;
      case 'event':
        this.undeliveredEvents.set(mutation.event.id, mutation.event);
        break;
      case 'eventDelivered':
        this.undeliveredEvents.delete(mutation.id);
        break;
    }
  }

  #applyConfiguration(bucket: MutableBucket, name: string, document: string): void {
    bucket.configuration.set(name, document);
    if (name === 'versioning') {
      bucket.versioning = childText(parseXml(document), 'Status') === 'Enabled' ? 'Enabled' : 'Suspended';
    }
  }

  /** Adds a version in front, or in the place of the one with the same id. */
  #applyVersion(bucket: MutableBucket, key: string, version: Version): void {
    if (version.kind === 'object') this.#blobs.retain(version.segments);
    if (BigInt(`0x${version.sequencer}`) > this.lastSequence) {
      this.lastSequence = BigInt(`0x${version.sequencer}`);
    }
    const versions = bucket.versions.get(key) ?? [];
    const index = versions.findIndex((candidate) => candidate.versionId === version.versionId);
    const replaced = versions[index];
    if (replaced?.kind === 'object') this.#blobs.release(replaced.segments);
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
    if (removed.kind === 'object') this.#blobs.release(removed.segments);
    versions.splice(index, 1);
    if (versions.length > 0) return;
    bucket.versions.delete(key);
    bucket.keys.delete(key);
  }

  /** The state as commits that would make it. */
  *snapshot(): Generator<readonly Mutation[]> {
    for (const bucket of this.buckets.values()) {
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
    for (const { parts, ...upload } of this.uploads.values()) {
      yield [{ op: 'createUpload', upload }];
      for (const [partNumber, part] of parts) {
        yield [{ op: 'putPart', uploadId: upload.uploadId, partNumber, part }];
      }
    }
    for (const event of this.undeliveredEvents.values()) yield [{ op: 'event', event }];
  }
}
