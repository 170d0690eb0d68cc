/** The sizes that S3 sets, and how an object of any size is cut into parts within them. */
const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Sizes at which S3 asks for another call. A test may pass smaller ones. */
export interface S3Sizes {
  /** The smallest part that may be followed by another one. */
  minPartBytes: number;
  /** The first part of a multipart upload. */
  firstPartBytes: number;
  /** The largest object that CopyObject copies. */
  copyObjectBytes: number;
  /** One UploadPartCopy. */
  copyPartBytes: number;
}

/**
 * CopyObject copies up to 5 GB (5,368,709,120 bytes); a part has 5 MiB to 5 GiB and an upload at most 10,000 of them.
 * Source: S3 User Guide, "Amazon S3 multipart upload limits"; API reference, CopyObject.
 */
export const S3_SIZES: S3Sizes = {
  minPartBytes: 5 * MIB,
  firstPartBytes: 8 * MIB,
  copyObjectBytes: 5 * GIB,
  copyPartBytes: GIB,
};

/** Source: S3 User Guide, "Amazon S3 multipart upload limits". */
export const MAX_PARTS = 10_000;

/** How many UploadPartCopy run at a time. */
export const MAX_COPIES_IN_FLIGHT = 4;

/**
 * Size of a part by its number, which begins at 1: the first thousand parts have `firstPartBytes`, each next thousand
 * twice as much. With 8 MiB, 10,000 parts hold 7.8 TiB, which is beyond the 5 TB that one object may have, and what
 * a writer keeps in memory stays at 24 MiB up to 8 GB, at 96 MiB up to 58 GB.
 */
export function partBytesOf(partNumber: number, firstPartBytes: number): number {
  return firstPartBytes * 2 ** Math.floor((partNumber - 1) / 1000);
}

/** Cuts `size` bytes into ranges (`end` exclusive) of `partBytes`, or of more where 10,000 ranges would not do. */
export function copyRangesOf(size: number, partBytes: number): { start: number; end: number }[] {
  const step = Math.max(partBytes, Math.ceil(size / MAX_PARTS));
  const ranges: { start: number; end: number }[] = [];
  for (let start = 0; start < size; start += step) ranges.push({ start, end: Math.min(start + step, size) });
  return ranges;
}
