import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { BUNDLE_OPTIONS, OTHER_CREDENTIALS } from '../lib/bundling.ts';
import { CACHE_FOLDER } from './inputs/input-file.ts';

/** Bundles `ours/<name>.ts` as a function is for Lambda (lib/bundling.ts); gives the bundle's path. */
export async function bundleOurs(name: 'ingest' | 'results'): Promise<string> {
  const outfile = join(CACHE_FOLDER, `${name}.mjs`);
  mkdirSync(CACHE_FOLDER, { recursive: true });
  await build({
    ...BUNDLE_OPTIONS,
    entryPoints: [join(import.meta.dirname, 'ours', `${name}.ts`)],
    outfile,
    external: OTHER_CREDENTIALS,
  });
  return outfile;
}
