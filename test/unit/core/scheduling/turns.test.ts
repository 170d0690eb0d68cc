import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HOUR_MS, MINUTE_MS } from '../../../../src/contract/time.ts';
import { type MinuteOfTurns, takeTurnOf, turnsLeftOf } from '../../../../src/core/scheduling/turns.ts';

const NOW = 1_790_000_000_000;

test('no 60 minutes have more turns than an hour may have, and each wait that is stated ends with a free turn', () => {
  const pauses = fc.array(fc.integer({ min: 0, max: 20 * MINUTE_MS }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(pauses, fc.integer({ min: 1, max: 5 }), (list, perHour) => {
      const taken: number[] = [];
      let minutes: MinuteOfTurns[] = [];
      let now = NOW;
      for (const pause of list) {
        now += pause;
        let turn = takeTurnOf(minutes, perHour, now);
        if ('waitMs' in turn) {
          expect(turnsLeftOf(minutes, perHour, now)).toBe(0);
          expect(turn.waitMs).toBeGreaterThan(0);
          now += turn.waitMs;
          turn = takeTurnOf(minutes, perHour, now);
        }
        if (!('minutes' in turn)) throw new Error('the wait did not end with a free turn');
        minutes = turn.minutes;
        taken.push(now);
        const hour = taken.filter((at) => at > now - HOUR_MS);
        expect(hour.length).toBeLessThanOrEqual(perHour);
      }
    }),
  );
});

test('turns are counted by the minute, oldest first', () => {
  const minute = Math.floor(NOW / MINUTE_MS);
  const one = takeTurnOf([], 3, NOW);
  const two = takeTurnOf('minutes' in one ? one.minutes : [], 3, NOW + 1);
  expect(two).toEqual({ minutes: [{ minute, count: 2 }] });
  expect(turnsLeftOf([{ minute, count: 2 }], 3, NOW)).toBe(1);
  expect(turnsLeftOf([{ minute, count: 2 }], 3, NOW + 2 * HOUR_MS)).toBe(3);
});
