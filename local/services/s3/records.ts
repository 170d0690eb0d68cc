/** What the S3 server keeps: buckets, object versions, uploads, and the changes that its journal has. */
import type { Segment } from './blobs.ts';
import type { Checksum, ChecksumAlgorithm, ChecksumType } from './checksums.ts';
import type { S3Event } from './notifications.ts';
import type { SortedKeys } from './sorted-keys.ts';

/** What an object is, apart from its place in a bucket. */
export interface ObjectContent {
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  readonly segments: readonly Segment[];
  /** Response headers that were set with the object: content-type, x-amz-meta-… */
  readonly headers: Readonly<Record<string, string>>;
  readonly checksum?: Checksum | undefined;
  /** Of an object made by a multipart upload. */
  readonly partSizesBytes?: readonly number[] | undefined;
}

/** Where a version is among those of its key. */
export interface VersionPlace {
  /** `null` in a bucket that was not versioned at the time. */
  readonly versionId: string;
  readonly lastModifiedMs: number;
  readonly sequencer: string;
}

/** A version with content. */
export interface ObjectVersion extends ObjectContent, VersionPlace {
  readonly kind: 'object';
}

/** A version that says that the key is deleted. */
export interface DeleteMarker extends VersionPlace {
  readonly kind: 'delete-marker';
}

/** One version of a key. */
export type Version = ObjectVersion | DeleteMarker;

/** A part of an upload. */
export interface UploadPart {
  readonly sizeBytes: number;
  /** Hexadecimal MD5, without quotes. */
  readonly etag: string;
  readonly segments: readonly Segment[];
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly value: string } | undefined;
  readonly lastModifiedMs: number;
}

/** What an upload was begun with. */
export interface UploadStart {
  readonly uploadId: string;
  readonly bucket: string;
  readonly key: string;
  readonly initiatedMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly checksumAlgorithm?: ChecksumAlgorithm | undefined;
  readonly checksumType?: ChecksumType | undefined;
}

/** An upload in progress. */
export interface Upload extends UploadStart {
  readonly parts: ReadonlyMap<number, UploadPart>;
}

/** A bucket with all its versions. */
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

/** One change of the state; several that happen together are one commit. */
export type Mutation =
  | { readonly op: 'createBucket'; readonly bucket: string; readonly createdMs: number }
  | {
      readonly op: 'setConfiguration';
      readonly bucket: string;
      readonly name: string;
      readonly document: string;
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

/** A bucket while it is changed. */
export interface MutableBucket extends Bucket {
  versioning: 'Enabled' | 'Suspended' | undefined;
  readonly configuration: Map<string, string>;
  readonly versions: Map<string, Version[]>;
}

/** An upload while it is changed. */
export interface MutableUpload extends Upload {
  readonly parts: Map<number, UploadPart>;
}
