/** Cuts a batch that is too large, for the enqueued-token limit or for its budget, into smaller ones. */
import { ManifestEntries, type ManifestEntry } from '../files/manifest.ts';
import { type BatchRecord, tokensOf } from '../model/batch.ts';

/** A part of a batch. */
export interface Part {
  entries: ManifestEntries;
  /** Absent if the batch has no estimate either: four bytes a token are good for the queue, but bound no money. */
  tokens?: number | undefined;
}

/** What is known of the tokens of a batch that is to be cut. */
type Estimated = Pick<BatchRecord, 'tokens' | 'bytes'>;

/**
 * Consecutive parts of a batch, in order and of much the same size, none with more than `most` tokens unless it is a
 * single request. A request's part of the batch's tokens is taken to be its part of the bytes.
 */
export function cutByTokens(batch: Estimated, entries: ManifestEntries, most: number): Part[] {
  return cutByWeight(batch, entries, most, tokensOfEach(batch, entries));
}

/** The same, where `weightOf` says what of a request must not add up to more than `most`. */
export function cutByWeight(
  batch: Estimated,
  entries: ManifestEntries,
  most: number,
  weightOf: (entry: ManifestEntry) => number,
): Part[] {
  const tokensOfOne = tokensOfEach(batch, entries);
  const parts: Required<Part>[] = [];
  let part = { entries: new ManifestEntries(), tokens: 0 };
  let weight = 0;
  let all = 0;
  for (let index = 0; index < entries.count; index++) all += weightOf(entries.at(index));
  const even = all / Math.ceil(all / most);
  for (let index = 0; index < entries.count; index++) {
    const entry = entries.at(index);
    const { line, offset, length, tried, hash0, hash1 } = entry;
    const own = weightOf(entry);
    if (part.entries.count > 0 && (weight >= even || weight + own > most)) {
      parts.push(part);
      part = { entries: new ManifestEntries(), tokens: 0 };
      weight = 0;
    }
    part.entries.push({ line, offset, length, tried, hash0, hash1 });
    part.tokens += tokensOfOne(entry);
    weight += own;
  }
  if (part.entries.count > 0) parts.push(part);
  return batch.tokens === undefined ? parts.map(({ entries }) => ({ entries })) : parts;
}

/** A request's part of the batch's tokens: its part of the bytes, rounded up. */
export function tokensOfEach(
  batch: Estimated,
  entries: ManifestEntries,
): (entry: Pick<ManifestEntry, 'length'>) => number {
  let bytes = 0;
  for (let index = 0; index < entries.count; index++) bytes += entries.length(index);
  const perByte = tokensOf(batch) / Math.max(1, bytes);
  return ({ length }) => Math.ceil(length * perByte);
}
