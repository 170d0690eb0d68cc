/** Objects in the bucket: one version of an input, what S3 says of it, and where a listing is. */
import * as z from 'zod';

/** See {@link SourceObject}. */
export const sourceSchema = z.object({
  bucket: z.string(),
  key: z.string(),
  /** Absent only for objects below `work/`, which batchdrop writes once and never changes. */
  versionId: z.exactOptional(z.string()),
});
/** One immutable version of one object: what a job reads and what manifests point into. */
export type SourceObject = z.infer<typeof sourceSchema>;

/** What HeadObject says of an input. */
export interface ObjectHead {
  bucket: string;
  key: string;
  /** Absent in a bucket without versioning. */
  versionId?: string;
  etag: string;
  /** Epoch milliseconds; S3 keeps whole seconds. */
  lastModified: number;
  size: number;
  /**
   * User metadata, `x-amz-meta-` left out, names in small letters. Absent if there is none, in listings, and in
   * records.
   */
  metadata?: Record<string, string> | undefined;
}

/** What S3 keeps at a key, as a listing of its versions reports. */
export interface KeyVersion extends ObjectHead {
  /** Whether it is what the key gives when no version is asked for. */
  isLatest: boolean;
  /** A delete marker: there was no object from then on. Its `size` is 0 and its `etag` is empty. */
  isDeleteMarker: boolean;
}

/** See {@link ListCursor}. */
export const listCursorSchema = z.object({
  key: z.string(),
  /** Absent: after every version of the key. */
  versionId: z.exactOptional(z.string()),
});
/** Where a listing of versions is: after this one. Plain data, to be kept as it is. */
export type ListCursor = z.infer<typeof listCursorSchema>;
