import { MINUTE_MS } from '../../contract/time.ts';
/**
 * A number of turns that no 60 minutes may exceed, for all workers and wherever the hour begins. Turns are counted by
 * the minute, and minutes are only forgotten when they are surely more than an hour old, on clocks that differ by up
 * to a minute.
 */

/** Turns that were taken in one minute (epoch minutes). */
export interface MinuteOfTurns {
  minute: number;
  count: number;
}

/** A minute that began 60 minutes ago has turns that are younger; one more for the clocks. */
const REMEMBERED_MINUTES = 61;

/** The minutes with one more turn taken, or the milliseconds until one may be free. */
export function takeTurnOf(
  minutes: readonly MinuteOfTurns[],
  perHour: number,
  now: number,
): { minutes: MinuteOfTurns[] } | { waitMs: number } {
  const recent = recentOf(minutes, now);
  if (countOf(recent) >= perHour) {
    const free = (recent[0]?.minute ?? Math.floor(now / MINUTE_MS)) + REMEMBERED_MINUTES + 1;
    return { waitMs: free * MINUTE_MS - now };
  }
  const minute = Math.floor(now / MINUTE_MS);
  const others = recent.filter((other) => other.minute !== minute);
  const count = (recent.find((other) => other.minute === minute)?.count ?? 0) + 1;
  return { minutes: [...others, { minute, count }].sort((one, other) => one.minute - other.minute) };
}

/** How many turns are free. */
export function turnsLeftOf(minutes: readonly MinuteOfTurns[], perHour: number, now: number): number {
  return Math.max(0, perHour - countOf(recentOf(minutes, now)));
}

function recentOf(minutes: readonly MinuteOfTurns[], now: number): MinuteOfTurns[] {
  const oldest = Math.floor(now / MINUTE_MS) - REMEMBERED_MINUTES;
  return minutes.filter(({ minute }) => minute >= oldest);
}

function countOf(minutes: readonly MinuteOfTurns[]): number {
  return minutes.reduce((sum, { count }) => sum + count, 0);
}
