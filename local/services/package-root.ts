import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder that holds this code and its `package.json`: the repository, or the package `batchdrop-local`. */
export const PACKAGE_ROOT = rootAbove(import.meta.dirname);

function rootAbove(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : rootAbove(dirname(folder));
}
