/** Cuts a batch that is too large for the enqueued-token limit into smaller ones. */
import { ManifestEntries } from '../manifest.ts';

/**
 * Consecutive parts of a batch, in order, none with more than `most` tokens unless it is a single request. A request's
 * part of the batch's tokens is taken to be its part of the bytes.
 */
export function cutByTokens(
  entries: ManifestEntries,
  tokens: number,
  most: number,
): { entries: ManifestEntries; tokens: number }[] {
  let bytes = 0;
  for (let index = 0; index < entries.count; index++) bytes += entries.length(index);
  const perByte = tokens / Math.max(1, bytes);
  const parts: { entries: ManifestEntries; tokens: number }[] = [];
  let part = { entries: new ManifestEntries(), tokens: 0 };
  for (let index = 0; index < entries.count; index++) {
    const { line, offset, length, tried, hash0, hash1 } = entries.at(index);
    const own = Math.ceil(length * perByte);
    if (part.entries.count > 0 && part.tokens + own > most) {
      parts.push(part);
      part = { entries: new ManifestEntries(), tokens: 0 };
    }
    part.entries.push(line, offset, length, tried, hash0, hash1);
    part.tokens += own;
  }
  if (part.entries.count > 0) parts.push(part);
  return parts;
}
