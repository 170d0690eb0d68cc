import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ManifestEntries } from '../../../../src/core/files/manifest.ts';
import { cutIntoSlices } from '../../../../src/core/files/slices.ts';

/** Lines in order, of these lengths. */
function entriesOf(lengths: readonly number[]): ManifestEntries {
  const entries = new ManifestEntries();
  let offset = 0;
  for (const [index, length] of lengths.entries()) {
    entries.push({ line: index + 1, offset, length, tried: 0, hash0: index, hash1: index });
    offset += length;
  }
  return entries;
}

const linesOf = (slice: ManifestEntries): number[] =>
  Array.from({ length: slice.count }, (_, index) => slice.line(index));
const bytesOf = (slice: ManifestEntries): number =>
  Array.from({ length: slice.count }, (_, index) => slice.length(index)).reduce(
    (sum, bytes) => sum + bytes,
    0,
  );

test('every request is in one slice, in order; no slice is empty or larger than a worker holds', () => {
  const length = fc.oneof(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 1, max: 40_000_000 }));
  fc.assert(
    fc.property(fc.array(length, { maxLength: 1_500 }), (lengths) => {
      const slices = cutIntoSlices(entriesOf(lengths));
      expect(slices.flatMap(linesOf)).toEqual(lengths.map((_, index) => index + 1));
      for (const slice of slices) {
        expect(slice.count).toBeGreaterThan(0);
        expect(slice.count).toBeLessThanOrEqual(500);
        expect(slice.count === 1 || bytesOf(slice) <= 32_000_000).toBe(true);
      }
    }),
    { numRuns: 50 },
  );
});

test('50,000 small requests are 100 slices, 100,000 as well', () => {
  for (const [requests, each] of [
    [50_000, 500],
    [100_000, 1_000],
  ] as const) {
    const slices = cutIntoSlices(entriesOf(new Array<number>(requests).fill(100)));
    expect(slices.map(({ count }) => count)).toEqual(new Array<number>(100).fill(each));
  }
});

test('of no requests there are no slices', () => {
  expect(cutIntoSlices(new ManifestEntries())).toEqual([]);
});
