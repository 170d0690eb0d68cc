import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileScanner, moduleText } from '../../../scripts/build-line-scanner.ts';

const MODULE = join(import.meta.dirname, '../../../src/core/requests/scanner/module.ts');

describe('the WebAssembly of the line scanner', () => {
  it('is what its source compiles to, byte for byte', async () => {
    // If this fails, run `npm run build:scanner` and commit what it writes.
    expect(moduleText(await compileScanner())).toBe(readFileSync(MODULE, 'utf8'));
  });

  it('is a few kilobytes, as it is part of every bundle that ingests', async () => {
    expect((await compileScanner()).length).toBeLessThan(10_240);
  });
});
