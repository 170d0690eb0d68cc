import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatUsd,
  fromMicrodollars,
  fromUsd,
  toMicrodollars,
  toUsd,
} from '../../../../src/core/base/money.ts';

const amount = fc.bigInt({ min: 0n, max: 10n ** 24n });

describe('money', () => {
  it('is the same amount after it was written as a decimal and read again', () => {
    fc.assert(fc.property(amount, (picodollars) => fromUsd(toUsd(picodollars)) === picodollars));
  });

  it.each([
    [425_000_000n, '0.000425'],
    [12_000_000_000_000n, '12'],
    [0n, '0'],
    [-500_000_000_000n, '-0.5'],
  ])('%d picodollars are %s USD', (picodollars, text) => {
    expect(toUsd(picodollars)).toBe(text);
  });

  it.each(['', '-1', '1.', '.5', '1e3', '1,000', '0.0000000000001', ' 1'])(
    'fails to read %j as a decimal',
    (text) => {
      expect(fromUsd(text)).toBeUndefined();
    },
  );

  it('is rounded up where it is reserved, by less than a millionth', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), (picodollars) => {
        const excess = fromMicrodollars(toMicrodollars(picodollars)) - picodollars;
        expect(excess >= 0n && excess < 1_000_000n).toBe(true);
      }),
    );
  });

  it.each([
    [1_234_500_000_000_000n, '$1,234.50'],
    [4_300_000_000n, '$0.0043'],
    [95_000_000_000n, '$0.095'],
    [995_000_000_000n, '$1.00'],
    [0n, '$0.00'],
    [-1_000_000_000_000n, '-$1.00'],
  ])('%d picodollars are shown as %s', (picodollars, text) => {
    expect(formatUsd(picodollars)).toBe(text);
  });
});
