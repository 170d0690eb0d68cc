/** The app as `cdk` starts it: a process of its own, with bundling. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { OTHER_CREDENTIALS } from '../../../lib/bundling.ts';
import { TEST_CONTEXT } from '../../support/synthesize.ts';

// A synth takes 5 seconds, but a busy machine must not turn that into a failure.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 240_000 });

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const TOKENIZERS = ['gpt-tokenizer/encoding/cl100k_base', 'gpt-tokenizer/encoding/o200k_base'];
const folder = mkdtempSync(join(tmpdir(), 'batchdrop-app-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Run {
  readonly exitCode: number;
  readonly stderr: string;
}

function run(
  args: string[],
  cwd: string,
  outdir: string,
  context: Record<string, unknown> = {},
): Promise<Run> {
  const env = { ...process.env, CDK_OUTDIR: outdir, CDK_CONTEXT_JSON: JSON.stringify(context) };
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd, env }, (error, _stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : Number(error.code), stderr });
    });
  });
}

const runApp = (cwd: string, outdir: string, context?: Record<string, unknown>) =>
  run([join(PROJECT, 'bin/app.ts')], cwd, outdir, context);

/** Path and SHA-256 of every file below a folder. */
function hashesOf(root: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((path) => statSync(join(root, path)).isFile())
      .map((path) => [
        path,
        createHash('sha256')
          .update(readFileSync(join(root, path)))
          .digest('hex'),
      ]),
  );
}

/** What a bundle imports that is not in it, by how it does so. */
async function externalImportsOf(bundle: string): Promise<Map<string, string>> {
  const { metafile } = await build({
    entryPoints: [bundle],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'silent',
  });
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  return new Map(imports.filter(({ path }) => !isBuiltin(path)).map(({ path, kind }) => [path, kind]));
}

describe('synthesized twice, from two working folders', () => {
  const first = join(folder, 'first');
  const second = join(folder, 'second');

  beforeAll(async () => {
    for (const [cwd, outdir] of [
      [PROJECT, first],
      [folder, second],
    ] as const) {
      const { exitCode, stderr } = await run([join(PROJECT, 'bin/app.ts')], cwd, outdir);
      if (exitCode !== 0) throw new Error(`synth from ${relative(PROJECT, cwd)} failed:\n${stderr}`);
    }
  });

  test('the template and every bundle are the same byte for byte', () => {
    const bundles = Object.entries(hashesOf(first)).filter(([path]) => path.endsWith('index.mjs'));
    expect(bundles.length).toBeGreaterThan(0);
    const { 'tree.json': _first, ...one } = hashesOf(first);
    const { 'tree.json': _second, ...two } = hashesOf(second);
    expect(two).toEqual(one);
  });

  test('each function has one ES module without a source map that needs nothing beside it but, late, the tokenizers of ingest', async () => {
    const { Resources } = JSON.parse(readFileSync(join(first, 'batchdrop.template.json'), 'utf8'));
    const functions = Object.values<{
      Type: string;
      Properties: { Code: { S3Key: string }; Environment: { Variables: Record<string, string> } };
    }>(Resources).filter(({ Type }) => Type === 'AWS::Lambda::Function');
    expect(functions).toHaveLength(7);
    for (const { Properties } of functions) {
      const asset = join(first, `asset.${Properties.Code.S3Key.replace(/\.zip$/, '')}`);
      const late = Properties.Environment.Variables.POWERTOOLS_SERVICE_NAME === 'ingest' ? TOKENIZERS : [];
      expect(readdirSync(asset)).toEqual(['index.mjs', ...(late.length > 0 ? ['node_modules'] : [])]);
      const code = readFileSync(join(asset, 'index.mjs'), 'utf8');
      expect(code.startsWith("import{createRequire as __cr}from'module';")).toBe(true);
      const imported = await externalImportsOf(join(asset, 'index.mjs'));
      expect([...imported.keys()].sort()).toEqual([...OTHER_CREDENTIALS, ...late].sort());
      expect([...new Set(imported.values())]).toEqual(['dynamic-import']);
      for (const name of late) {
        const parent = pathToFileURL(join(asset, 'index.mjs')).href;
        const script = `console.log((await import(import.meta.resolve('${name}', '${parent}'))).countTokens('Hello, world'))`;
        const flags = ['--experimental-import-meta-resolve', '--input-type=module', '--eval', script];
        expect(execFileSync(process.execPath, flags, { encoding: 'utf8' }).trim()).toBe('3');
      }
    }
  });
});

test('fails on a context value that cannot work, with the message alone, and writes no template', async () => {
  const outdir = join(folder, 'refused');
  const { exitCode, stderr } = await runApp(PROJECT, outdir, { removal: 'delete' });
  expect(exitCode).toBe(1);
  expect(stderr.trim()).toBe(
    'batchdrop: context removal is "delete", expected "retain" or "destroy": pass for example -c removal=destroy',
  );
  expect(existsSync(join(outdir, 'batchdrop.template.json'))).toBe(false);
});

test('fails when cdk-nag finds what was not acknowledged', async () => {
  const script = `
    import { Queue } from 'aws-cdk-lib/aws-sqs';
    import { createCheckedApp } from ${JSON.stringify(join(PROJECT, 'bin/checked-app.ts'))};
    const app = createCheckedApp();
    new Queue(app.node.findChild('batchdrop'), 'Naked');
    app.synth();`;
  const args = ['--input-type=module', '--eval', script];
  const { exitCode, stderr } = await run(args, PROJECT, join(folder, 'naked'), TEST_CONTEXT);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('AwsSolutions-SQS4');
  expect(stderr).toContain('Serverless-SQSRedrivePolicy');
});
