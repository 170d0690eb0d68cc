/** Each control of docs/approval.md that names a test names one that there is, and periods are those of the code. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { IGNORED_DAYS } from '../../../src/core/model/ignored-drop.ts';

const ROOT = join(import.meta.dirname, '../../..');
const text = readFileSync(join(ROOT, 'docs/approval.md'), 'utf8');
const named = [...text.matchAll(/\[[^\]]+\]\(\.\.\/(test\/[^)]+)\) "([^"|]+)"/g)];

test.each(named.map(([, file, name]) => [name!, file!]))('there is a test "%s" in %s', (name, file) => {
  expect(readFileSync(join(ROOT, file), 'utf8')).toContain(name);
});

test('controls have tests, or a reason why they are not met', () => {
  const rows = [
    ...text.slice(text.indexOf('## Controls')).matchAll(/^\| (\w+\.\d+[^|]*) \| ([^|]+) \| ([^|]*) ?\|$/gm),
  ];
  expect(rows.length).toBeGreaterThan(12);
  const bare = rows.filter(
    ([, , how, tested]) => !tested!.includes('../test/') && !how!.startsWith('not met: '),
  );
  expect(bare.map(([, control]) => control)).toEqual([]);
});

test('periods are those of the code', () => {
  const kept = (file: string, constant: string) =>
    new RegExp(`const ${constant} = (.+);`).exec(readFileSync(join(ROOT, file), 'utf8'))?.[1];
  expect(kept('src/adapters/dynamodb/job-index.ts', 'LISTED_MS')).toBe('400 * DAY_MS');
  expect(kept('src/adapters/dynamodb/webhooks.ts', 'OBSERVED_KEPT_MS')).toBe('72 * HOUR_MS');
  expect(kept('src/adapters/dynamodb/quota.ts', 'SETTLED_KEPT_MS')).toBe('7 * 24 * 60 * 60_000');
  expect(text).toContain('| index of ended jobs | 400 days |');
  expect(text).toContain('| ids of webhooks | 72 hours |');
  expect(text).toContain('| settled reservations | 7 days |');
  expect(text).toContain(`| drops that are not run | ${IGNORED_DAYS} days |`);
});
