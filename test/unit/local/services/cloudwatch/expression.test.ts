import { describe, expect, it } from 'vitest';
import { parseExpression } from '../../../../../local/services/cloudwatch/expression.ts';

const VALUES: Record<string, number | undefined> = { errors: 3, calls: 12, none: undefined, zero: 0 };
const compute = (text: string) => parseExpression(text).evaluate((id) => VALUES[id]);

describe('a metric math expression', () => {
  it.each<[string, number | undefined]>([
    ['errors + calls', 15],
    ['errors - calls * 2', -21],
    ['(errors + calls) / 3', 5],
    ['100 * errors / calls', 25],
    ['-errors', -3],
    ['errors / MAX([calls, 1])', 0.25],
    ['SUM([errors, calls, none])', 15],
    ['MIN([errors, calls]) + AVG([errors, 5])', 7],
    ['FILL(none, 0) + 1', 1],
    ['IF(errors >= 3, errors / calls, 0)', 0.25],
    ['IF(errors > 3, errors / calls, 0)', 0],
    ['IF(errors != 3, 1, 2) + IF(zero == 0, 10, 20) + IF(calls <= 11, 100, 200)', 212],
    // What is not chosen may be missing.
    ['IF(errors < 5, 1, none)', 1],
  ])('%s is %d', (text, value) => {
    expect(compute(text)).toBe(value);
  });

  it('is missing where a part is missing, and where it divides by zero', () => {
    expect(compute('errors + none')).toBeUndefined();
    expect(compute('errors / zero')).toBeUndefined();
    expect(compute('SUM([none, none])')).toBeUndefined();
    expect(compute('IF(none >= 1, 1, 0)')).toBeUndefined();
    expect(compute('IF(errors >= 1, none, 0)')).toBeUndefined();
  });

  it('names the series that it is computed of', () => {
    expect(parseExpression('100 * errors / FILL(calls, 1)').ids).toEqual(['errors', 'calls']);
  });

  it.each([
    ['errors +', 'character 9'],
    ['errors calls', 'character 7'],
    ['ANOMALY_DETECTION_BAND(errors)', 'a known function'],
    ['MAX(errors)', 'expected "["'],
    ['IF(errors, 1, 0)', 'expected a comparison'],
    ['IF(errors >= 1, 1)', 'expected ","'],
    ['', 'a number, a series'],
  ])('refuses "%s" and says where', (text, part) => {
    expect(() => parseExpression(text)).toThrow(part);
  });
});
