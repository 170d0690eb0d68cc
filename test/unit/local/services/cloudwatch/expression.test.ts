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
  ])('%s is %d', (text, value) => {
    expect(compute(text)).toBe(value);
  });

  it('is missing where a part is missing, and where it divides by zero', () => {
    expect(compute('errors + none')).toBeUndefined();
    expect(compute('errors / zero')).toBeUndefined();
    expect(compute('SUM([none, none])')).toBeUndefined();
  });

  it('names the series that it is computed of', () => {
    expect(parseExpression('100 * errors / FILL(calls, 1)').ids).toEqual(['errors', 'calls']);
  });

  it.each([
    ['errors +', 'character 9'],
    ['errors calls', 'character 7'],
    ['ANOMALY_DETECTION_BAND(errors)', 'a known function'],
    ['MAX(errors)', 'expected "["'],
    ['', 'a number, a series'],
  ])('refuses "%s" and says where', (text, part) => {
    expect(() => parseExpression(text)).toThrow(part);
  });
});
