/**
 * Puts modules that a function loads late beside its bundle, each as one file of its own: what is in the bundle is
 * parsed at every cold start, whether it is used or not.
 *
 * `node lib/bundle-apart.ts <folder of the bundle> <module, as it is imported> ...`
 */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const MODULES = '/node_modules/';

const [folder, ...names] = process.argv.slice(2);
if (folder === undefined || names.length === 0)
  throw new Error('a folder and the names of modules are expected');
for (const name of names) {
  const file = fileURLToPath(import.meta.resolve(name)).replaceAll('\\', '/');
  const root = file.slice(0, file.lastIndexOf(MODULES) + MODULES.length);
  const path = file.slice(root.length);
  await build({
    entryPoints: [file],
    outfile: join(folder, 'node_modules', path),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minify: true,
    logLevel: 'warning',
  });
  // By these Node finds the file under the module's name, and takes it for an ES module.
  for (let at = dirname(path); at !== '.'; at = dirname(at)) {
    const description = join(at, 'package.json');
    if (!existsSync(join(root, description))) continue;
    mkdirSync(join(folder, 'node_modules', at), { recursive: true });
    copyFileSync(join(root, description), join(folder, 'node_modules', description));
  }
}
