/** Heaps of the functions that stream gigabytes: they are to hold little, whatever comes through. */

/** MB of the functions through which all results pass: collect and finalize. */
export const RESULTS_MEMORY_MB = 1024;

/** Of a function's memory, as AWS's own runtime has it. */
const OLD_GENERATION_SHARE = 0.9;
/**
 * One half of the young generation; AWS would give it 25 MB of 1,024. It grows to as much as it may have, however
 * little of it is alive, and is filled with what chunks and lines leave behind. With 4 MB a function holds 30 to 45
 * MB less, and is no slower (measured: docs/performance.md).
 */
const SEMI_SPACE_MB = 4;

/**
 * `NODE_OPTIONS` of a function that streams. Both limits, because AWS's runtime sets neither where one is named.
 * Source: `bootstrap` of the runtime nodejs24.x.
 */
export function heapLimits(memoryMb: number): string {
  const oldMb = Math.floor(OLD_GENERATION_SHARE * memoryMb);
  return `--max-old-space-size=${oldMb} --max-semi-space-size=${SEMI_SPACE_MB}`;
}
