/** Days as people count them in a time zone: 23 to 25 hours where clocks are put forward or back. Pure. */
import { DAY_MS } from '../../contract/time.ts';

/** One is slow to make, and a poll asks for the day of each batch that waits. */
const formats = new Map<string, Intl.DateTimeFormat>();

/**
 * The day that it is.
 *
 * @param timeZone as IANA names it, or `UTC`.
 * @param at epoch ms
 * @returns `2026-11-30`
 */
export function dayIn(timeZone: string, at: number): string {
  if (timeZone === 'UTC') return new Date(at).toISOString().slice(0, 10);
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'iso8601',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
    });
    formats.set(timeZone, format);
  }
  const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, value]));
  return `${parts.get('year')}-${parts.get('month')}-${parts.get('day')}`;
}

/**
 * When the next day begins: at midnight, or at 01:00 where clocks are put forward at midnight.
 *
 * @param timeZone as for {@link dayIn}
 * @param at epoch ms
 * @returns epoch ms, after `at`
 */
export function nextDayIn(timeZone: string, at: number): number {
  const today = dayIn(timeZone, at);
  // The days that no calendar of the zone had (Samoa, 2011) are passed over by the dates alone.
  let before = at;
  let after = at + 2 * DAY_MS;
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (dayIn(timeZone, middle) > today) after = middle;
    else before = middle;
  }
  return after;
}
