import { expect, test } from 'vitest';
import { readDuration } from '../../../src/contract/durations.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';

test('minutes, hours and days are read', () => {
  expect(readDuration('90m')).toBe(90 * MINUTE_MS);
  expect(readDuration('24h')).toBe(24 * HOUR_MS);
  expect(readDuration('2d')).toBe(2 * DAY_MS);
});

test.each(['', '0h', '1', 'h', '1.5h', '-1h', '01h', '1s', '1 h', '1H', '123456m', '1h30m'])(
  'fails to read %j as a duration',
  (text) => {
    expect(readDuration(text)).toBeUndefined();
  },
);
