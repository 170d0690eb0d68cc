import { expect, test } from 'vitest';
import { ignoredDropsText } from '../../../../cli/view/ignored-view.ts';

const NOW = Date.UTC(2026, 10, 30, 12);

test('a table says what was dropped and when, and below it each reason is explained once', () => {
  const drops = [
    { v: 1, key: 'input/a.csv', why: 'not_matched', route: 'nightly', at: NOW - 60_000 },
    { v: 1, key: 'input/b.csv', why: 'not_matched', route: 'nightly', at: NOW - 120_000 },
    { v: 1, key: 'input/2026/11/30/elsewhere/than/routes.jsonl', why: 'no_route', at: NOW - 7_200_000 },
  ] as const;
  expect(ignoredDropsText(drops, NOW, 60)).toBe(
    [
      'WHY          WHEN       KEY                          ROUTE',
      'not_matched  1 min ago  input/a.csv                  nightly',
      'not_matched  2 min ago  input/b.csv                  nightly',
      'no_route     2 h ago    input/2026/11…/routes.jsonl',
      '',
      'no_route     ignored: no route has a prefix that the key begins with',
      'not_matched  ignored: it matches no glob in match of route "nightly"',
    ].join('\n'),
  );
});
