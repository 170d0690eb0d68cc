import { InvalidArgumentError } from 'commander';
import { readDuration } from '../../src/contract/durations.ts';

/** Reads `90m`, `2h` or `1d` as milliseconds, as the settings do. */
export function durationMs(text: string): number {
  const ms = readDuration(text);
  if (ms === undefined)
    throw new InvalidArgumentError('a duration above zero such as 90m, 2h or 1d is expected.');
  return ms;
}

/** `1 h 30 min`, `45 s`, `2 d`. */
export function formatDuration(ms: number): string {
  const minutes = Math.ceil(ms / 60_000);
  if (ms < 120_000) return `${Math.ceil(ms / 1_000)} s`;
  const [days, hours, rest] = [Math.floor(minutes / 1_440), Math.floor(minutes / 60) % 24, minutes % 60];
  // A day is given in hours, as OpenAI does.
  if (days === 1 && hours === 0 && rest === 0) return '24 h';
  return [
    [days, 'd'],
    [hours, 'h'],
    [days > 0 ? 0 : rest, 'min'],
  ]
    .filter(([count]) => count !== 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

/** A whole number above zero, `_` and `,` allowed between digits. */
export function positiveCount(text: string): number {
  const count = Number(text.replace(/[_,]/g, ''));
  if (!Number.isSafeInteger(count) || count <= 0)
    throw new InvalidArgumentError('a whole number above zero is expected.');
  return count;
}
