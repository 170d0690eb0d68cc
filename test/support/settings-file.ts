import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Settings } from '../../src/contract/settings.ts';
import { settingsFileOf } from '../../src/contract/settings-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'batchdrop-settings-'));
afterAll(() => rmSync(folder, { recursive: true }));
let made = 0;

/** Path of a file as the settings layer has it; it goes when the test file ends. */
export function settingsFile(settings: Settings): string {
  made += 1;
  const path = join(folder, `${made}.json`);
  writeFileSync(path, settingsFileOf(settings));
  return path;
}
