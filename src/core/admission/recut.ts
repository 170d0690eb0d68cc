/** Cuts a batch that is too large, for the enqueued-token limit or for its budget, into smaller ones. */
import { ManifestEntries, type ManifestEntry } from '../manifest.ts';

/** A part of a batch. */
export interface Part {
  entries: ManifestEntries;
  tokens: number;
}

/**
 * Consecutive parts of a batch, in order, none with more than `most` tokens unless it is a single request. A request's
 * part of the batch's tokens is taken to be its part of the bytes.
 */
export function cutByTokens(entries: ManifestEntries, tokens: number, most: number): Part[] {
  const perByte = tokensPerByte(entries, tokens);
  return cutBy(entries, perByte, most, ({ length }) => Math.ceil(length * perByte));
}

/** The same, where `weightOf` says what of a request must not add up to more than `most`. */
export function cutByWeight(
  entries: ManifestEntries,
  tokens: number,
  most: number,
  weightOf: (entry: ManifestEntry) => number,
): Part[] {
  return cutBy(entries, tokensPerByte(entries, tokens), most, weightOf);
}

function cutBy(
  entries: ManifestEntries,
  perByte: number,
  most: number,
  weightOf: (entry: ManifestEntry) => number,
): Part[] {
  const parts: Part[] = [];
  let part = { entries: new ManifestEntries(), tokens: 0 };
  let weight = 0;
  for (let index = 0; index < entries.count; index++) {
    const entry = entries.at(index);
    const { line, offset, length, tried, hash0, hash1 } = entry;
    const own = weightOf(entry);
    if (part.entries.count > 0 && weight + own > most) {
      parts.push(part);
      part = { entries: new ManifestEntries(), tokens: 0 };
      weight = 0;
    }
    part.entries.push(line, offset, length, tried, hash0, hash1);
    part.tokens += Math.ceil(length * perByte);
    weight += own;
  }
  if (part.entries.count > 0) parts.push(part);
  return parts;
}

function tokensPerByte(entries: ManifestEntries, tokens: number): number {
  let bytes = 0;
  for (let index = 0; index < entries.count; index++) bytes += entries.length(index);
  return tokens / Math.max(1, bytes);
}
