/**
 * The most output tokens that a request may be answered with, as it says itself: one byte of its manifest entry, the
 * fourth of those that count its tries (see tries.ts), so that every batch that the request is ever in knows what
 * it may cost.
 */

/**
 * What a byte means: 0 for a request that does not say, 1 for none, then powers of the eighth root of 2: a limit is
 * kept exact if it is a power of 2, else rounded up by at most 9 %. The last one means 3 billion.
 */
const STEPS_PER_DOUBLING = 8;
const SHIFT = 24;
const LIMITS = Array.from({ length: 256 }, (_, byte) =>
  byte < 2 ? 0 : Math.ceil(2 ** ((byte - 2) / STEPS_PER_DOUBLING)),
);

/** The tries of a manifest entry with the request's limit beside them. */
export function withOutputLimit(tried: number, tokens: number | undefined): number {
  return ((tried & 0xffffff) | (byteOf(tokens) << SHIFT)) >>> 0;
}

/** The limit, rounded up; `undefined` if the request does not say. */
export function outputLimitIn(tried: number): number | undefined {
  const byte = tried >>> SHIFT;
  return byte === 0 ? undefined : LIMITS[byte]!;
}

/** Bytes by limit, 0 where none was looked for yet: a logarithm for each request is a twentieth of a scan. */
const KNOWN = new Uint8Array(2 ** 16);

function byteOf(tokens: number | undefined): number {
  if (tokens === undefined) return 0;
  if (!(tokens < KNOWN.length)) return findByte(tokens);
  const at = Math.max(0, Math.ceil(tokens));
  if (KNOWN[at] === 0) KNOWN[at] = findByte(at);
  return KNOWN[at]!;
}

function findByte(tokens: number): number {
  if (tokens <= 0) return 1;
  const byte = 2 + Math.ceil(Math.log2(Math.min(tokens, LIMITS[255]!)) * STEPS_PER_DOUBLING);
  // Where the logarithm was rounded down or up.
  if (LIMITS[byte - 1]! >= tokens && byte > 2) return byte - 1;
  return Math.min(255, LIMITS[byte]! >= tokens ? byte : byte + 1);
}
