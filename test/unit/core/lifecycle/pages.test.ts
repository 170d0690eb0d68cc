/** Lists that are read page by page: circles are noticed, and nothing else is taken for one. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { advance, isPast } from '../../../../src/core/lifecycle/pages.ts';
import type { PagePosition } from '../../../../src/core/model/batch.ts';

/** Pages read until a circle is noticed, or the list ends. */
function readList(nextOf: (after: string | undefined) => string | undefined): {
  pages: number;
  isCircle: boolean;
} {
  let position: PagePosition | undefined;
  for (let pages = 1; ; pages++) {
    const next = nextOf(position?.after);
    if (next === undefined) return { pages, isCircle: false };
    position = advance(position, next);
    if (position === undefined) return { pages, isCircle: true };
  }
}

it('a list that ends is read to its end', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3_000 }), (length) => {
      const nextOf = (after = '0') => (Number(after) + 1 < length ? String(Number(after) + 1) : undefined);
      expect(readList(nextOf)).toEqual({ pages: length, isCircle: false });
    }),
  );
});

it('a list that leads in a circle is noticed, wherever it closes, without reading it many times', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 1, max: 200 }), (before, length) => {
      const nextOf = (after = '-1') => {
        const next = Number(after) + 1;
        return String(next < before + length ? next : before);
      };
      const { pages, isCircle } = readList(nextOf);
      expect(isCircle).toBe(true);
      expect(pages).toBeLessThanOrEqual(3 * (before + length) + 2);
    }),
  );
});

it('an empty page is not past anything: more may follow', () => {
  expect(isPast([], 10)).toBe(false);
  expect(isPast([{ createdAt: 9 }], 10)).toBe(true);
  expect(isPast([{ createdAt: 9 }, { createdAt: 10 }], 10)).toBe(false);
});
