/** Each threat of docs/security.md names a test that there is. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
const text = readFileSync(join(ROOT, 'docs/security.md'), 'utf8');
const threats = text
  .slice(text.indexOf('## Threats'), text.indexOf('## Left to the account'))
  .split(/^### /m)
  .slice(1)
  .map((section) => ({
    threat: section.split('\n')[0]!,
    tests: [...section.matchAll(/^- \[[^\]]+\]\(\.\.\/(test\/[^)]+)\) "((?:[^"\\]|\\.)+)"$/gm)].map(
      ([, file, name]) => ({ file: file!, name: name!.replaceAll('\\"', '"') }),
    ),
  }));

describe('threats', () => {
  test('are written down', () => {
    expect(threats.length).toBeGreaterThan(10);
  });

  test.each(threats)('$threat: names tests, and each of them is there', ({ tests }) => {
    expect(tests.length).toBeGreaterThan(0);
    const missing = tests.filter(({ file, name }) => {
      const path = join(ROOT, file);
      return !existsSync(path) || !readFileSync(path, 'utf8').includes(name);
    });
    expect(missing).toEqual([]);
  });
});
