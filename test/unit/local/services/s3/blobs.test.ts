import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joinSegments, type Segment, sliceSegments } from '../../../../../local/services/s3/blobs.ts';

const segments = fc.array(
  fc.record({
    blob: fc.constantFrom('a', 'b'),
    start: fc.integer({ min: 0, max: 20 }),
    length: fc.integer({ min: 1, max: 10 }),
  }),
  { minLength: 1, maxLength: 8 },
);

/** Every byte that segments spell, by its place. */
function spelled(list: readonly Segment[]): string[] {
  return list.flatMap(({ blob, start, length }) =>
    Array.from({ length }, (_, index) => `${blob}${start + index}`),
  );
}

describe('sliceSegments', () => {
  it('spells exactly the bytes of the range, for any range', () => {
    fc.assert(
      fc.property(segments, fc.nat(), fc.nat(), (list, from, count) => {
        const bytes = spelled(list);
        const first = from % bytes.length;
        const last = Math.min(bytes.length - 1, first + count);
        expect(spelled(sliceSegments(list, first, last))).toEqual(bytes.slice(first, last + 1));
      }),
    );
  });

  it('addresses bytes beyond 5 GiB', () => {
    const gib = 1024 ** 3;
    const parts = Array.from({ length: 8 }, (_, index) => ({ blob: `blob-${index}`, start: 7, length: gib }));
    expect(sliceSegments(parts, 6 * gib - 1, 6 * gib)).toEqual([
      { blob: 'blob-5', start: 7 + gib - 1, length: 1 },
      { blob: 'blob-6', start: 7, length: 1 },
    ]);
  });
});

describe('joinSegments', () => {
  it('spells the same bytes with neighbours joined', () => {
    fc.assert(
      fc.property(segments, (list) => {
        expect(spelled(joinSegments(list))).toEqual(spelled(list));
      }),
    );
  });

  it('makes one segment of a copy in consecutive ranges', () => {
    expect(
      joinSegments([
        { blob: 'a', start: 0, length: 5 },
        { blob: 'a', start: 5, length: 3 },
      ]),
    ).toEqual([{ blob: 'a', start: 0, length: 8 }]);
  });
});
