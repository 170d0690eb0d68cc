/** Times for people: whole seconds in UTC, and how far they are from now. */

/** `2026-11-30T12:00:00Z`. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

const UNITS: readonly [string, number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

/** `2 h`, `40 s`: the largest unit of which there is one at least. */
function spanText(ms: number): string {
  const [unit, size] = UNITS.find(([, length]) => ms >= length) ?? UNITS.at(-1)!;
  return `${Math.floor(ms / size)} ${unit}`;
}

/** `2 h ago`, `in 40 s`. */
export function agoText(ms: number, now: number): string {
  return ms > now ? `in ${spanText(ms - now)}` : `${spanText(now - ms)} ago`;
}

/** `0:59`, `62:03`: minutes and seconds that have passed. */
export function clockText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
