import { readFileSync } from 'node:fs';
import type { Settings } from '../contract/settings.ts';
import { parseSettingsFile } from '../contract/settings-file.ts';

/**
 * Reads the settings of the deployment.
 * @param path what `SETTINGS_FILE` says.
 * @throws {Error} naming the file and what is wrong, if it is missing or not of this release.
 */
export function readSettingsFile(path: string): Settings {
  try {
    return parseSettingsFile(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(
      `SETTINGS_FILE is ${path}, which is not the settings file that this release writes at synth; deploy again: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
