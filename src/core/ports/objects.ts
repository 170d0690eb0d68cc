/** The bucket: inputs, everything that batchdrop writes beside them, and listings. */
import type { KeyVersion, ListCursor, ObjectHead, SourceObject } from '../model/objects.ts';

/**
 * A stream of bytes in chunks of any size. A chunk is valid until the next one is asked for, if nothing else is said.
 */
export type ByteStream = AsyncIterable<Uint8Array>;

/** Inputs and everything that batchdrop writes beside them. */
export interface ObjectStore {
  /** The object at a key now, or at one version of it; `undefined` if there is nothing (any more). */
  head(bucket: string, key: string, versionId?: string): Promise<ObjectHead | undefined>;
  /**
   * Reads bytes `start` to `end` (exclusive; default: the end of the object).
   * @throws {ObjectGoneError} if the object or version does not exist.
   */
  read(source: SourceObject, start?: number, end?: number): Promise<ByteStream>;
  /** A small object whole, or `undefined`. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Writes a small object. With `ifAbsent`, `false` says that another writer was first and nothing was written. */
  put(
    key: string,
    body: Uint8Array,
    options?: { ifAbsent?: boolean; contentType?: string },
  ): Promise<boolean>;
  /**
   * Opens an object of any size for writing; it becomes visible, whole, when `close` returns.
   * @param options.resume what {@link ObjectWriter.suspend} gave for the same key: the writer continues from there. One
   * state may be resumed more than once: what was written after it by a worker that died is forgotten.
   */
  openWrite(key: string, options?: { contentType?: string; resume?: WriterState | undefined }): ObjectWriter;
  /** Copies the object with the ETag `input.etag` to a key below `work/`. */
  pin(input: ObjectHead, toKey: string): Promise<void>;
  /** Removes an object; a missing one is fine. */
  remove(key: string): Promise<void>;
}

/** What jobs leave below `work/`. */
export interface WorkFiles {
  /**
   * Removes some of the objects whose keys begin with `prefix`, at least one if there are any. A bucket that keeps
   * versions keeps theirs.
   * @returns whether nothing is left.
   */
  removeBelow(prefix: string): Promise<boolean>;
  /** The keys of all objects that begin with `prefix`, in no order; for a few thousand at most. */
  listBelow(prefix: string): Promise<string[]>;
}

/** A version of a key, as a listing reports it. */
export type ErasableVersion = Pick<KeyVersion, 'versionId' | 'etag' | 'isLatest'>;

/** Removes what is kept for good, older versions too. */
export interface Erasure {
  /**
   * Removes versions of a key for good; missing ones are fine. What has no version id is removed only while it still
   * has its ETag: what another writer has put in its place stays.
   * @returns how many were there and are removed.
   */
  eraseVersions(key: string, versions: readonly ErasableVersion[]): Promise<number>;
  /**
   * Removes every version, and every delete marker, of some of the keys that begin with `prefix`; of at least one if
   * there are any.
   * @returns how many there were, and whether nothing is left.
   */
  eraseBelow(prefix: string): Promise<{ erased: number; isEmpty: boolean }>;
}

/** What lies in the bucket. */
export interface Inputs {
  /**
   * A page of all versions of all objects below a prefix that can be read, in the order of their keys.
   * @param after what the page before gave as `next`.
   */
  listVersions(prefix: string, after?: ListCursor): Promise<{ versions: ObjectHead[]; next?: ListCursor }>;
  /**
   * A page of what is kept at exactly this key, newest first: objects in the order in which the store got them, also
   * within one second. A delete marker that is not the latest follows the objects of its second.
   * @param after what the page before gave as `next`.
   */
  listKey(key: string, after?: ListCursor): Promise<{ versions: KeyVersion[]; next?: ListCursor }>;
}

/** The object that says which stack owns which prefix of the bucket. */
export interface OwnersStore {
  /** The current content, never an earlier state; `undefined` if there is none. */
  readOwners(): Promise<{ body: string; etag: string } | undefined>;
  /**
   * Replaces the content, in 20 s at most.
   * @param etag of what was read; `undefined` if nothing was there.
   * @returns `false` if the content is, or may be, another one: nothing was written, read it again.
   */
  writeOwners(body: string, etag: string | undefined): Promise<boolean>;
}

/**
 * Writes one object front to back; memory does not grow with its size. After a failure a writer takes nothing more; one
 * that was resumed leaves what its state names as it was, so that the state can be resumed once more.
 *
 * Every method but `abort` may throw {@link UploadGoneError} if the writer was resumed.
 */
export interface ObjectWriter {
  /** `bytes` may be used again once this returns. */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Writes bytes `start` to `end` (exclusive) of an object that does not change. Long stretches do not pass through
   * this process.
   * @throws {ObjectGoneError} now or from a later call, if the object or version does not exist.
   */
  copy(source: SourceObject, start: number, end: number): Promise<void>;
  /**
   * Ends the work of this process on the object: everything that was written is safe, and `openWrite` resumes from what
   * this gives. The state keeps fewer than 5 MiB of the object's bytes. It can be resumed for less than seven days,
   * after which the bucket gives up what was not ended.
   */
  suspend(): Promise<WriterState>;
  /** Makes the object visible and says how many bytes it has. */
  close(): Promise<number>;
  /**
   * Leaves nothing behind. Safe to call after a failure of any other method, and without effect after `suspend` and
   * `close`: to give up a suspended write, open it again and abort.
   */
  abort(): Promise<void>;
}

/** A write that is to be resumed: plain data, to be kept as it is. */
export interface WriterState {
  /** Bytes that the object has so far. */
  bytes: number;
  /** The last of them, which no part holds yet: fewer than 5 MiB. */
  tail: Uint8Array;
  /** Where the others are; absent while there are none. */
  upload?: { id: string; parts: WriterPart[] } | undefined;
}

/** A part of an upload, by what must be said of it to complete. */
export interface WriterPart {
  etag: string;
  crc32?: string | undefined;
}
