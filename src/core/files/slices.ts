/** Cuts what continues in flex or standard into slices: as much as one invocation can call and hold in memory. */
import { ManifestEntries } from './manifest.ts';

/** A worker that dies leaves at most so many requests to another one. */
const SLICE_REQUESTS = 500;
/** A worker holds a slice in memory, in requests and in answers. */
const SLICE_BYTES = 32_000_000;
/** A record holds the places of all slices of a batch: 50,000 requests make 100. */
const MAX_SLICES = 100;

/**
 * Consecutive parts, in order; none is empty, and none has more bytes than a slice may have, unless it is one
 * request.
 */
export function cutIntoSlices(entries: ManifestEntries): ManifestEntries[] {
  const most = Math.max(SLICE_REQUESTS, Math.ceil(entries.count / MAX_SLICES));
  const slices: ManifestEntries[] = [];
  let start = 0;
  let bytes = 0;
  const cutAt = (end: number): void => {
    const slice = new ManifestEntries(end - start);
    slice.pushRange(entries, start, end);
    slices.push(slice);
    start = end;
    bytes = 0;
  };
  for (let index = 0; index < entries.count; index++) {
    const length = entries.length(index);
    if (index > start && (index - start >= most || bytes + length > SLICE_BYTES)) cutAt(index);
    bytes += length;
  }
  if (start < entries.count) cutAt(entries.count);
  return slices;
}
