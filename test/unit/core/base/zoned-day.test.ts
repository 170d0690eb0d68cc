import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOUR_MS } from '../../../../src/contract/time.ts';
import { dayIn, nextDayIn } from '../../../../src/core/base/zoned-day.ts';
import { propertyRuns } from '../../../support/property-runs.ts';

const at = (iso: string): number => Date.parse(iso);
/** When a day began in a zone, and how many hours it had. */
function lengthOf(timeZone: string, somewhere: string): [begins: string, hours: number] {
  const begins = nextDayIn(timeZone, at(somewhere));
  const hours = (nextDayIn(timeZone, begins) - begins) / HOUR_MS;
  return [new Date(begins).toISOString(), hours];
}

describe('a day', () => {
  it('begins at midnight of its zone, in UTC unless one is named', () => {
    expect(dayIn('UTC', at('2026-11-30T23:59:59.999Z'))).toBe('2026-11-30');
    expect(dayIn('Europe/Berlin', at('2026-11-30T22:59:59.999Z'))).toBe('2026-11-30');
    expect(dayIn('Europe/Berlin', at('2026-11-30T23:00:00Z'))).toBe('2026-12-01');
    expect(dayIn('America/Los_Angeles', at('2026-11-30T07:59:59Z'))).toBe('2026-11-29');
    expect(dayIn('Asia/Kathmandu', at('2026-11-30T18:15:00Z'))).toBe('2026-12-01');
  });

  it.each([
    ['Europe/Berlin', 'in spring', '2026-03-28T12:00:00Z', ['2026-03-28T23:00:00.000Z', 23]],
    ['Europe/Berlin', 'in autumn', '2026-10-24T12:00:00Z', ['2026-10-24T22:00:00.000Z', 25]],
    ['America/New_York', 'in spring', '2026-03-07T12:00:00Z', ['2026-03-08T05:00:00.000Z', 23]],
    ['America/New_York', 'in autumn', '2026-10-31T12:00:00Z', ['2026-11-01T04:00:00.000Z', 25]],
    ['Australia/Lord_Howe', 'by half an hour', '2026-04-04T12:00:00Z', ['2026-04-04T13:00:00.000Z', 24.5]],
    ['Africa/Cairo', 'at midnight', '2026-04-23T12:00:00Z', ['2026-04-23T22:00:00.000Z', 23]],
    ['UTC', 'never', '2026-03-28T12:00:00Z', ['2026-03-29T00:00:00.000Z', 24]],
  ])('in %s, where clocks change %s, has the hours that there are', (timeZone, _, somewhere, expected) => {
    expect(lengthOf(timeZone, somewhere)).toEqual(expected);
  });

  it('that no calendar had is passed over', () => {
    const last = at('2011-12-30T09:00:00Z');
    expect(dayIn('Pacific/Apia', last)).toBe('2011-12-29');
    const next = nextDayIn('Pacific/Apia', last);
    expect(new Date(next).toISOString()).toBe('2011-12-30T10:00:00.000Z');
    expect(dayIn('Pacific/Apia', next)).toBe('2011-12-31');
  });

  it('in any zone of this century: the next one begins within 25 hours, and in one instant', () => {
    const zones = Intl.supportedValuesOf('timeZone');
    const time = fc.integer({ min: at('2015-01-01'), max: at('2040-01-01') });
    fc.assert(
      fc.property(fc.constantFrom(...zones), time, (timeZone, now) => {
        const today = dayIn(timeZone, now);
        const next = nextDayIn(timeZone, now);
        expect(next).toBeGreaterThan(now);
        expect(next - now).toBeLessThanOrEqual(25 * HOUR_MS);
        expect(dayIn(timeZone, next - 1)).toBe(today);
        expect(dayIn(timeZone, next) > today).toBe(true);
        const hours = (nextDayIn(timeZone, next) - next) / HOUR_MS;
        expect(hours).toBeGreaterThanOrEqual(23);
        expect(hours).toBeLessThanOrEqual(25);
      }),
      { numRuns: propertyRuns(2_000) },
    );
  });
});
