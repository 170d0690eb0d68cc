import { expect, test } from 'vitest';
import { waitAfter } from '../../../../src/core/base/backoff.ts';

test('waits double from the first one on, up to the longest', () => {
  const backoff = { firstMs: 30, maxMs: 200 };
  expect([0, 1, 2, 3, 4, 5, 2_000].map((tries) => waitAfter(backoff, tries))).toEqual([
    30, 30, 60, 120, 200, 200, 200,
  ]);
});
