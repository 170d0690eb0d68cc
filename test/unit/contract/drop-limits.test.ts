import { expect, test } from 'vitest';
import { dropLimitsSchema } from '../../../src/contract/drop-limits.ts';

test('a route may limit the files of an hour, of a day, or both', () => {
  for (const limits of [{ perHour: 1 }, { perDay: 1_000_000 }, { perHour: 60, perDay: 500 }])
    expect(dropLimitsSchema.parse(limits)).toEqual(limits);
});

test.each([{}, { perHour: 0 }, { perDay: 1.5 }, { perDay: 1_000_001 }, { perHour: '60' }])(
  'what limits nothing, or is no whole number, is refused with what is expected: %j',
  (limits) => {
    const { error } = dropLimitsSchema.safeParse(limits);
    expect(error?.issues[0]?.message).toMatch(/^drops is \{"perHour": 60\}, \{"perDay": 1000\} or both/);
  },
);

test('another period is no member, so that a limit that is not kept is not believed', () => {
  expect(dropLimitsSchema.safeParse({ perMinute: 1 }).success).toBe(false);
});
