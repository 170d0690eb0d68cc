/** Drops that are not run and that no receipt answers, as a table and what its words mean. */
import { type IgnoredDrop, ignoredText } from '../../src/core/model/ignored-drop.ts';
import { tableLines } from './table-text.ts';
import { agoText } from './time.ts';

/** The table, as wide as the terminal at most; below it one line for each reason in it. */
export function ignoredDropsText(drops: readonly IgnoredDrop[], now: number, width: number): string {
  const table = tableLines(
    [
      { heading: 'WHY', of: ({ why }: IgnoredDrop) => why },
      { heading: 'WHEN', of: ({ at }) => agoText(at, now) },
      { heading: 'KEY', of: ({ key }) => key, takesRest: true },
      { heading: 'ROUTE', of: ({ route }) => route ?? '' },
    ],
    drops,
    width,
  );
  const longest = Math.max(...drops.map(({ why }) => why.length));
  const reasons = drops.map(({ why, route }) => `${why.padEnd(longest)}  ${ignoredText(why, route)}`);
  return [...table, '', ...[...new Set(reasons)].sort()].join('\n');
}
