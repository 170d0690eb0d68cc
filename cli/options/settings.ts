import { readFile } from 'node:fs/promises';
import type { Route } from '../../src/contract/route.ts';
import type { Settings } from '../../src/contract/settings.ts';
import { readSettings, SettingsTextError } from '../../src/contract/settings-text.ts';
import { routeOf } from '../../src/core/requests/route.ts';
import { UsageError } from '../view/exit.ts';

/**
 * @param path of a settings file; without one there are no settings, and `undefined` is given.
 * @throws {UsageError} if there is no such file, or what it holds cannot work.
 */
export async function settingsOf(path: string | undefined): Promise<Settings | undefined> {
  if (path === undefined) return undefined;
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      `--settings ${path}: a JSON file of settings is expected, but it cannot be read (${error.code})`,
    );
  });
  try {
    return readSettings(text, path);
  } catch (error) {
    if (error instanceof SettingsTextError) throw new UsageError(`--settings: ${error.message}`);
    throw error;
  }
}

/** @throws {UsageError} if the file would be no input under this key, naming the routes that there are. */
export function requireRoute(settings: Settings, file: string, key: string): Route {
  const route = routeOf(settings, key);
  if (route !== undefined) return route;
  const routes = settings.routes.map(
    ({ name, prefix, match, ignore }) =>
      `"${name}" takes keys below ${prefix} that match ${match.join(', ')}` +
      `${ignore.length === 0 ? '' : ` and none of ${ignore.join(', ')}`}`,
  );
  throw new UsageError(
    `${file}: no route of the settings takes the key ${key}. Of the routes whose prefix it has, the longest decides: ` +
      `${routes.join('; ')}. Give it another key, or rename it.`,
  );
}
