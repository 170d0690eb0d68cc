import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { median, ratiosOf, rounded, spreadOf } from '../../../bench/statistics.ts';

const times = fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 20 });

describe('median', () => {
  it.each([
    [[3], 3],
    [[5, 1, 3], 3],
    [[4, 1, 3, 2], 2.5],
    [[1, 1, 1_000], 1],
  ])('of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  it('has as many values below it as above it, whatever their order', () => {
    fc.assert(
      fc.property(times, (values) => {
        const middle = median(values);
        const below = values.filter((value) => value < middle).length;
        const above = values.filter((value) => value > middle).length;
        expect(Math.max(below, above)).toBeLessThanOrEqual(values.length / 2);
        expect(median(values.toReversed())).toBe(middle);
      }),
    );
  });

  it('fails on no values', () => {
    expect(() => median([])).toThrow(RangeError);
  });

  it('does not change the order of what it is given', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe('spread', () => {
  it('says median, least and greatest', () => {
    expect(spreadOf([4, 1, 2])).toEqual({ median: 2, low: 1, high: 4 });
  });
});

describe('ratios', () => {
  it('compare each round with the same round of the baseline', () => {
    // A round in which the whole machine was ten times slower counts like any other.
    expect(ratiosOf([20, 200, 24], [10, 100, 10])).toEqual({ median: 2, low: 2, high: 2.4 });
  });

  it('of anything with itself are 1', () => {
    fc.assert(
      fc.property(times, (values) => {
        expect(ratiosOf(values, values)).toEqual({ median: 1, low: 1, high: 1 });
      }),
    );
  });

  it('fail where rounds are missing', () => {
    expect(() => ratiosOf([1, 2], [1])).toThrow(RangeError);
  });
});

describe('rounding', () => {
  it.each([
    [1234.5, 1230],
    [0.98765, 0.988],
    [2, 2],
  ])('keeps three digits: %d is %d', (value, expected) => {
    expect(rounded(value)).toBe(expected);
  });
});
