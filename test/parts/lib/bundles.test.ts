/** How large the functions' bundles are, and what is not in them: each byte is parsed at each cold start. */
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { beforeAll, expect, test } from 'vitest';
import { BUNDLE_OPTIONS, OTHER_CREDENTIALS } from '../../../lib/bundling.ts';

const LAMBDAS = fileURLToPath(new URL('../../../lambdas', import.meta.url));

/**
 * Bytes that each may have: 3 % more than it had on 2026-11-30 (docs/performance.md), rounded up. What needs more takes a figure of
 * its own there and here; first look with esbuild's `--analyze` whether the function uses what it holds.
 */
const MAX_BYTES: Readonly<Record<string, number>> = {
  call: 1_166_000,
  collect: 1_220_000,
  finalize: 1_187_000,
  ingest: 849_000,
  observe: 1_126_000,
  operate: 682_000,
  poll: 1_167_000,
  submit: 1_134_000,
  webhook: 455_000,
};

/** What a function may not hold, and the functions that may. */
const KEPT_OUT: readonly [what: string, path: RegExp, mayHold: readonly string[]][] = [
  ['the prices', /^src\/providers\/openai\/prices\/table\.ts/, ['collect', 'finalize', 'ingest', 'poll']],
  ['the checks of sure refusals', /^src\/providers\/openai\/preflight\.ts/, ['ingest']],
  ['the line scanner', /^src\/core\/requests\/scanner\//, ['ingest']],
  ['the client of EventBridge', /client-eventbridge\//, ['finalize', 'ingest']],
  ['the clients that fetch credentials', /nested-clients\//, []],
  ['what runs on a laptop only', /^(cli|local|lib|bench)\//, []],
];

/** By function: its bytes, and the bytes of each file in it. */
const bundles = new Map<string, { bytes: number; inputs: Map<string, number> }>();

beforeAll(async () => {
  // All at once, so that what they share is read once; each comes out as it does alone.
  const { metafile } = await build({
    ...BUNDLE_OPTIONS,
    entryPoints: readdirSync(LAMBDAS).map((name) => join(LAMBDAS, name, 'handler.ts')),
    absWorkingDir: dirname(LAMBDAS),
    outdir: 'unwritten',
    write: false,
    metafile: true,
    external: [...OTHER_CREDENTIALS, 'gpt-tokenizer/*'],
  });
  for (const [path, { bytes, inputs }] of Object.entries(metafile.outputs)) {
    const used = Object.entries(inputs).map(([input, { bytesInOutput }]) => [input, bytesInOutput] as const);
    bundles.set(basename(dirname(path)), { bytes, inputs: new Map(used) });
  }
});

test('every function has a bound, and no bundle is larger than it', () => {
  expect([...bundles.keys()].sort()).toEqual(Object.keys(MAX_BYTES));
  const tooLarge = [...bundles].filter(([name, { bytes }]) => bytes > MAX_BYTES[name]!);
  expect(
    tooLarge.map(([name, { bytes }]) => `${name}: ${bytes} bytes, ${MAX_BYTES[name]} are allowed`),
  ).toEqual([]);
});

test.each(KEPT_OUT)('bundles without a use for it are without %s', (_what, path, mayHold) => {
  const holders = [...bundles]
    .filter(([, { inputs }]) => [...inputs].some(([input, bytes]) => bytes > 0 && path.test(input)))
    .map(([name]) => name);
  expect(holders.sort()).toEqual(mayHold);
});
