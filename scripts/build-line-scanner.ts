/**
 * Builds the line scanner: AssemblyScript in src/core/requests/scanner/scan-lines.as to WebAssembly, inlined as
 * base64 in src/core/requests/scanner/module.ts, which is committed. `npm run build:scanner` writes it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

const ROOT = join(import.meta.dirname, '..');
const FOLDER = 'src/core/requests/scanner';
const SOURCE = `${FOLDER}/scan-lines.as`;
const MODULE = join(ROOT, FOLDER, 'module.ts');
/** What the compiler calls them: it takes no other extension, but our own tools would take `.ts` for TypeScript. */
const INPUT = 'scan-lines.ts';
const OUTPUT = 'scan-lines.wasm';

/**
 * Compiles the committed source; the same source and compiler give the same bytes.
 * @throws if the source does not compile, with the compiler's messages.
 */
export async function compileScanner(): Promise<Uint8Array> {
  let wasm: Uint8Array | undefined;
  const options = [
    '-O3',
    '--converge',
    '--noAssert',
    '--runtime',
    'stub',
    '--enable',
    'simd',
    '--use',
    'abort=',
  ];
  const { error, stderr } = await asc.main(
    [INPUT, '--outFile', OUTPUT, '--initialMemory', '16', ...options],
    {
      readFile: (name) => (name === INPUT ? readFileSync(join(ROOT, SOURCE), 'utf8') : null),
      writeFile: (name, contents) => {
        if (name === OUTPUT) wasm = contents as unknown as Uint8Array;
      },
      listFiles: () => [],
    },
  );
  if (error !== null || wasm === undefined)
    throw new Error(`${SOURCE} does not compile: ${error?.message}\n${stderr.toString()}`);
  return wasm;
}

/** The text of module.ts for these bytes. */
export function moduleText(wasm: Uint8Array): string {
  return [
    '/** Built from scan-lines.as by `npm run build:scanner`; do not edit. WebAssembly with SIMD, base64. */',
    'export const SCAN_LINES_WASM =',
    `  '${Buffer.from(wasm).toString('base64')}';`,
    '',
  ].join('\n');
}

if (process.argv[1] === import.meta.filename) {
  const wasm = await compileScanner();
  writeFileSync(MODULE, moduleText(wasm));
  console.log(`${MODULE}: ${wasm.length} bytes of WebAssembly`);
}
