import { expect, test } from 'vitest';
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../../src/contract/time.ts';
import { isShortWait, refusalWaitMs } from '../../../../src/core/scheduling/refusal-wait.ts';

test('a refused batch waits for 30 seconds, then twice as long each time, up to an hour', () => {
  expect([1, 2, 3].map(refusalWaitMs)).toEqual([30 * SECOND_MS, MINUTE_MS, 2 * MINUTE_MS]);
  expect(refusalWaitMs(50)).toBe(HOUR_MS);
});

test('it keeps what is reserved for it over four minutes, and no longer', () => {
  expect([0, 1, 4 * MINUTE_MS, 4 * MINUTE_MS + 1].map(isShortWait)).toEqual([false, true, true, false]);
});
