import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../../src/contract/settings.ts';
import { settingsFileOf } from '../../src/contract/settings-file.ts';
import { workerFolder } from './worker-folder.ts';

const folder = workerFolder('batchdrop-settings-');
let made = 0;

/** Path of a file as the settings layer has it; it goes when the test worker ends. */
export function settingsFile(settings: Settings): string {
  made += 1;
  const path = join(folder, `${made}.json`);
  writeFileSync(path, settingsFileOf(settings));
  return path;
}
