/** Waits that double. */

/** The first wait and the longest one, in milliseconds. */
export interface Backoff {
  firstMs: number;
  maxMs: number;
}

/**
 * The wait in milliseconds after so many tries, from 1: the first wait, then twice as long each time, up to the
 * longest.
 */
export function waitAfter({ firstMs, maxMs }: Backoff, tries: number): number {
  return Math.min(firstMs * 2 ** Math.max(0, tries - 1), maxMs);
}
