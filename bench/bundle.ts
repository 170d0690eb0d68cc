import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { MAIN_FIELDS, OTHER_CREDENTIALS, REQUIRE_BANNER } from '../lib/bundling.ts';
import { CACHE_FOLDER } from './inputs/input-file.ts';

/** Bundles `ours/<name>.ts` as a function is for Lambda (lib/pipeline-function.ts); gives the bundle's path. */
export async function bundleOurs(name: 'ingest' | 'results'): Promise<string> {
  const outfile = join(CACHE_FOLDER, `${name}.mjs`);
  mkdirSync(CACHE_FOLDER, { recursive: true });
  await build({
    entryPoints: [join(import.meta.dirname, 'ours', `${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    minify: true,
    mainFields: MAIN_FIELDS,
    external: OTHER_CREDENTIALS,
    banner: { js: REQUIRE_BANNER },
    logLevel: 'error',
  });
  return outfile;
}
