import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
const SOURCES = ['src/core/**/*.ts', 'src/providers/**/*.ts', 'src/contract/messages.ts'].flatMap((pattern) =>
  globSync(pattern, { cwd: ROOT }).map((path) => readFileSync(join(ROOT, path), 'utf8')),
);
const DOCUMENT = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');

/**
 * Codes that are in no file, record or message that a user reads; of other names with `_` (`batchdrop_…`: metadata of
 * batches).
 */
const INTERNAL = /^(not_sent|api_key_replaced|batchdrop_.*)$/;
/** In every list of codes that a user can meet, one of these is. */
const ANCHORS = /'(empty_file|duplicate_custom_id|insufficient_quota|billing_not_active)'/;

/** Codes of our own, and those of OpenAI's that decide something. */
function codesInSource(): Set<string> {
  const codes = new Set<string>();
  for (const text of SOURCES) {
    for (const [, code] of text.matchAll(
      /\b(?:(?:code|heldReason|hold: \{ reason)\??: |toReasonRecorded\(batch, )'([a-z_0-9]+)'/g,
    ))
      codes.add(code!);
    for (const [, code] of text.matchAll(/\bconst [A-Z_]+ = '([a-z]+(?:_[a-z0-9]+)+)'/g)) codes.add(code!);
    for (const [list] of text.matchAll(/(?:'[a-z0-9_]+'\s*[|,\])]\s*){3,}/g))
      if (ANCHORS.test(list)) for (const [, code] of list.matchAll(/'([a-z0-9_]+)'/g)) codes.add(code!);
  }
  return codes;
}

/** Codes in the first column of the tables of codes. */
function codesInDocument(): string[] {
  return [...DOCUMENT.matchAll(/^\| (`[a-z_0-9]+`[^|]*)\|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([a-z_0-9]+)`/g)].map(([, code]) => code!),
  );
}

describe('docs/errors.md', () => {
  it('explains every code that the source can give a user', () => {
    const codes = [...codesInSource()].filter((code) => !INTERNAL.test(code));
    expect(codes.length).toBeGreaterThan(50);
    const explained = new Set(codesInDocument());
    expect(codes.filter((code) => !explained.has(code))).toEqual([]);
  });

  it('explains no code that the source does not have', () => {
    const text = SOURCES.join('\n');
    const isInSource = (code: string) =>
      text.includes(`'${code}'`) || (code.startsWith('response_') && text.includes(`'${code.slice(9)}'`));
    expect(codesInDocument().filter((code) => !isInSource(code))).toEqual([]);
  });
});
