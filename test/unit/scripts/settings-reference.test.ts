import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withCurrentTable } from '../../../scripts/settings-reference.ts';

const DOCUMENT = join(import.meta.dirname, '../../../docs/settings.md');

describe('docs/settings.md', () => {
  it('has the table that the schema gives; otherwise run `npm run docs:settings`', () => {
    const document = readFileSync(DOCUMENT, 'utf8');
    expect(withCurrentTable(document)).toBe(document);
  });

  it('fails to be written where the marks of the table are gone', () => {
    expect(() => withCurrentTable('# Settings\n')).toThrow('restore them');
  });
});
