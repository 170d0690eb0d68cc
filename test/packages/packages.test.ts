/** The packages, as their users get them: from tarballs, in a folder outside the checkout. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { referenceOf } from '../../scripts/api-reference.ts';
import { installedIn, licenceProblems } from '../../scripts/licences.ts';
import { LOWEST_CDK, PACKAGES } from '../../scripts/packages.ts';
import { pythonEnvironment } from '../support/python-environment.ts';
import { install, lend, nodePackage, outcomeOf, pack, ROOT, succeed } from './install.ts';

const run = promisify(execFile);

// Installing takes as long as the network does.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 900_000 });

const MB = 1_000_000;
/** What a tarball may have. */
const MAX_TARBALL_BYTES: Readonly<Record<string, number>> = {
  batchdrop: 5 * MB,
  'batchdrop-local': 0.5 * MB,
  'openai-batch-emulator': 0.5 * MB,
};
/** Lowest version of Node that the packages of the construct and the emulator say they run on. */
const LOWEST_NODE = '22.12.0';
const FILMS = join(ROOT, 'examples/three-films.jsonl');
const APPS = join(import.meta.dirname, 'apps');

const folder = mkdtempSync(join(tmpdir(), 'batchdrop-packages-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let tarballs: Record<string, string>;
/** A project with all packages and the versions of the repository. */
const current = join(folder, 'current');
/** A project with the construct, the command line and the emulator, and the lowest versions that they take. */
const lowest = join(folder, 'lowest');
const node = { current: process.execPath, lowest: join(lowest, 'node_modules/.bin/node') };

beforeAll(async () => {
  tarballs = await pack(join(folder, 'dist'));
  const { 'aws-cdk-lib': cdk, constructs } = packageJson.dependencies;
  await Promise.all([
    install(current, [`aws-cdk-lib@${cdk}`, `constructs@${constructs}`, ...Object.values(tarballs)]),
    install(lowest, [
      `aws-cdk-lib@${LOWEST_CDK}`,
      'constructs@10.5.0',
      `${nodePackage()}@${LOWEST_NODE}`,
      tarballs.batchdrop!,
      tarballs['openai-batch-emulator']!,
    ]),
  ]);
});

/** Paths of all files below a folder. */
function filesBelow(root: string): string[] {
  return globSync('**', { cwd: root, exclude: (path) => path === '' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => statSync(join(root, path)).isFile());
}

describe.each(PACKAGES.map(({ name }) => name))('%s', (name) => {
  const root = join(current, 'node_modules', name);

  test('is as small as it is said to be', () => {
    const { size } = statSync(tarballs[name]!);
    console.log(`${name}: ${(size / MB).toFixed(2)} MB`);
    expect(size).toBeLessThan(MAX_TARBALL_BYTES[name]!);
  });

  test('holds compiled code, declarations and documents, and no test, no source and no program', () => {
    const files = filesBelow(root);
    expect(files.length).toBeGreaterThan(20);
    expect(files.filter((path) => !/(\.m?js|\.d\.ts|\.json|\.md|\.txt|(^|\/)LICENSE)$/.test(path))).toEqual(
      [],
    );
    expect(
      files.filter((path) => /(^|\/)(test|tests|__tests__|fixtures)\/|\.(test|spec)\./.test(path)),
    ).toEqual([]);
    const programs = files.filter((path) =>
      /^(\x7fELF|MZ|\xcf\xfa\xed\xfe)/.test(readFileSync(join(root, path), 'latin1').slice(0, 4)),
    );
    expect(programs).toEqual([]);
  });

  test('names no folder of the machine that made it', () => {
    const texts = filesBelow(root).filter((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return [ROOT, folder, homedir() === '/' ? ROOT : `${homedir()}/`].some((place) => text.includes(place));
    });
    expect(texts).toEqual([]);
  });

  test('has a docstring for each name that it exports, and docs/api says what it is now', () => {
    const { text, gaps } = referenceOf(root);
    expect(gaps).toEqual([]);
    expect(
      readFileSync(join(ROOT, 'docs/api', `${name}.md`), 'utf8'),
      'npm run pack && npm run docs:api',
    ).toBe(text);
  });

  test('runs nothing when it is installed, and says what it needs', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(manifest).not.toHaveProperty('scripts');
    expect(manifest).toMatchObject({ version: packageJson.version, license: 'Apache-2.0', type: 'module' });
    expect(manifest.engines.node).toMatch(/^>=\d/);
  });
});

test('what is installed with the packages has licences that ask for a notice at the most', () => {
  const installed = globSync('**/node_modules/{*,@*/*}/package.json', { cwd: current })
    .map((path) => installedIn(join(current, path, '..')))
    .filter(({ name }) => name !== undefined);
  expect(installed.length).toBeGreaterThan(50);
  expect(licenceProblems(installed)).toEqual([]);
});

test('batchdrop passes on the licences of what its bundles hold', () => {
  const notices = readFileSync(join(current, 'node_modules/batchdrop/THIRD-PARTY-NOTICES.txt'), 'utf8');
  for (const name of [
    'openai',
    '@aws-sdk/client-s3',
    'zod',
    'gpt-tokenizer',
    '@aws-lambda-powertools/logger',
  ])
    expect(notices).toMatch(new RegExp(`^${name} \\d`, 'm'));
});

/** How the fixture apps are started, by name; TypeScript is compiled first, with the compiler of the checkout. */
const KINDS = {
  'TypeScript, ES module': { app: 'typescript', type: 'module', entry: 'app.js' },
  'TypeScript, CommonJS': { app: 'typescript', type: 'commonjs', entry: 'app.js' },
  'JavaScript, ES module': { app: 'javascript', type: 'module', entry: 'app.mjs' },
  'JavaScript, CommonJS': { app: 'commonjs', type: 'commonjs', entry: 'app.cjs' },
} as const;
type Kind = keyof typeof KINDS;

/** Synthesizes an app in a project. @returns the folder that it wrote. */
async function synthesize(project: 'current' | 'lowest', kind: Kind): Promise<string> {
  const { app, type, entry } = KINDS[kind];
  const root = project === 'current' ? current : lowest;
  const place = join(root, kind.replaceAll(/\W+/g, '-'));
  cpSync(join(APPS, app), place, { recursive: true });
  writeFileSync(join(place, 'package.json'), JSON.stringify({ type }));
  if (app === 'typescript') {
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    // Declarations are checked, too: ours must stand without our compiler options.
    const flags = ['--strict', '--skipLibCheck', 'false', '--target', 'es2022', '--module', 'nodenext'];
    const types = ['--types', 'node', '--typeRoots', join(ROOT, 'node_modules/@types')];
    await succeed(tsc, [...flags, ...types, 'app.ts'], { cwd: place });
  }
  const outdir = join(place, 'cdk.out');
  await succeed(entry, [], { cwd: place, env: { CDK_OUTDIR: outdir }, node: node[project] });
  return outdir;
}

const templateOf = (outdir: string, stack: string) =>
  JSON.parse(readFileSync(join(outdir, `${stack}.template.json`), 'utf8'));

const ALL_KINDS = Object.keys(KINDS) as Kind[];
/** With the lowest versions, each language and each kind of module once: an app takes half a minute of a busy machine. */
const KINDS_OF_LOWEST: Kind[] = ['TypeScript, ES module', 'JavaScript, CommonJS'];

describe.each([
  ['current', packageJson.dependencies['aws-cdk-lib'], ALL_KINDS],
  ['lowest', LOWEST_CDK, KINDS_OF_LOWEST],
] as const)('apps in a project with the %s versions, aws-cdk-lib %s', (project, _version, kinds) => {
  /** Of the first app; the others must synthesize the same. */
  let first: unknown;

  test.each(kinds)('%s: synthesizes the bundles of the package', async (kind) => {
    const outdir = await synthesize(project, kind);
    const own = templateOf(outdir, 'Own');
    const functions = Object.values<{ Type: string; Properties: { Code: { S3Key: string } } }>(
      own.Resources,
    ).filter(({ Type }) => Type === 'AWS::Lambda::Function');
    expect(functions).toHaveLength(7);
    const bundles = globSync('functions/*/index.mjs', { cwd: join(current, 'node_modules/batchdrop') });
    expect(bundles).toHaveLength(9);
    const known = new Set(
      bundles.map((path) => readFileSync(join(current, 'node_modules/batchdrop', path), 'utf8')),
    );
    for (const { Properties } of functions) {
      const asset = join(outdir, `asset.${Properties.Code.S3Key.replace(/\.zip$/, '')}`, 'index.mjs');
      expect(known.has(readFileSync(asset, 'utf8'))).toBe(true);
    }
    const templates = { own, whole: templateOf(outdir, 'Whole') };
    first ??= templates;
    expect(templates).toEqual(first);
  });
});

describe('the command line', () => {
  const start = (project: 'current' | 'lowest', ...args: string[]) =>
    outcomeOf(join(folder, project, 'node_modules/batchdrop/bin/batchdrop.js'), args, {
      cwd: join(folder, project),
      node: node[project],
    });

  test.each(['current', 'lowest'] as const)(
    'runs with the %s versions: help, version, plan with its tokenizer',
    async (project) => {
      expect((await start(project, '--help')).stdout).toContain('Usage: batchdrop');
      expect((await start(project, '--version')).stdout.trim()).toBe(packageJson.version);
      const { status, stdout } = await start(project, 'plan', FILMS, '--json');
      const { status: expected, stdout: ofCheckout } = await outcomeOf(
        join(ROOT, 'cli/main.ts'),
        ['plan', FILMS, '--json'],
        {
          cwd: ROOT,
        },
      );
      expect(status).toBe(expected);
      expect(JSON.parse(stdout)).toEqual(JSON.parse(ofCheckout));
    },
  );

  test('runs a file to its end on the local stack, with the package that holds it', async () => {
    const { status, stdout, stderr } = await start(
      'current',
      'local',
      'process',
      FILMS,
      '--out',
      'films',
      '--json',
    );
    // One of the three requests is invalid: that is status 3.
    expect(status, stderr).toBe(3);
    const [receipt] = JSON.parse(stdout.trim().split('\n').at(-1)!);
    expect(receipt.counts).toMatchObject({ requests: 3, succeeded: 2, failed: 0, invalid: 1 });
    expect(readdirSync(join(current, 'films/output'))).toEqual(['three-films.jsonl']);
    // The stopped stack is there for other commands.
    const { stdout: jobs } = await start('current', 'jobs', '--local', '--json');
    expect(JSON.parse(jobs)).toHaveLength(1);
  });

  test('fails with the command that installs the local stack where that is missing', async () => {
    const { status, stderr } = await start('lowest', 'local', 'process', FILMS);
    expect(status).toBe(1);
    expect(stderr).toContain(`npm install --save-dev batchdrop-local@${packageJson.version}`);
  });
});

describe('openai-batch-emulator', () => {
  test.each(['current', 'lowest'] as const)(
    'answers the official client, started by its command, with the %s versions',
    async (project) => {
      const command = join(
        folder,
        project,
        'node_modules/openai-batch-emulator/bin/openai-batch-emulator.js',
      );
      const child = spawn(node[project], [
        command,
        '--port',
        '0',
        '--dir',
        join(folder, `emulated-${project}`),
      ]);
      onTestFinished(async () => {
        child.kill();
        await once(child, 'close');
      });
      child.stdout.setEncoding('utf8');
      const [text] = await once(child.stdout, 'data');
      const baseURL = /OpenAI emulator at (\S+),/.exec(text)![1]!;
      const client = new OpenAI({ baseURL, apiKey: 'sk-test' });
      const [line] = readFileSync(FILMS, 'utf8').split('\n');
      const file = await client.files.create({
        file: await toFile(Buffer.from(`${line}\n`), 'films.jsonl'),
        purpose: 'batch',
      });
      const { id } = await client.batches.create({
        input_file_id: file.id,
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
      });
      const advance = { method: 'POST', body: JSON.stringify({ ms: 3_600_000 }) };
      await fetch(new URL('/emulator/advance', baseURL), advance);
      const batch = await client.batches.retrieve(id);
      expect(batch).toMatchObject({
        status: 'completed',
        request_counts: { total: 1, completed: 1, failed: 0 },
      });
      const answers = await (await client.files.content(batch.output_file_id!)).text();
      expect(JSON.parse(answers)).toMatchObject({ custom_id: 'film-1', response: { status_code: 200 } });
    },
  );

  /** A block of code of its README that begins with a comment that names its file. */
  function recipe(file: string): string {
    const readme = readFileSync(join(current, 'node_modules/openai-batch-emulator/README.md'), 'utf8');
    const found = [...readme.matchAll(/```\w+\n([\s\S]*?)```/g)].find(([, code]) => code!.includes(file));
    if (found === undefined) throw new Error(`README.md has no block that names ${file}`);
    return found[1]!;
  }

  test('its recipe for vitest runs', async () => {
    const place = join(current, 'recipe');
    mkdirSync(place);
    lend(current, ['vitest', 'openai']);
    writeFileSync(join(place, 'package.json'), JSON.stringify({ type: 'module' }));
    writeFileSync(join(place, 'batch.test.ts'), recipe('batch.test.ts'));
    const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
    const flags = ['run', '--root', place, '--testTimeout', '120000'];
    const output = await succeed(vitest, flags, { cwd: place, env: { NO_COLOR: '1' } });
    expect(output).toMatch(/Tests\s+1 passed/);
  });

  test('its recipe for pytest runs', async () => {
    const place = join(current, 'pytest');
    mkdirSync(place);
    writeFileSync(join(place, 'test_batch.py'), recipe('test_batch.py'));
    const python = join(pythonEnvironment(join(import.meta.dirname, 'requirements.txt')), 'python');
    // `npx` and what it starts are run by the first Node of the path.
    const PATH = [dirname(process.execPath), process.env.PATH].join(delimiter);
    const flags = ['-m', 'pytest', '-p', 'no:cacheprovider', place];
    const { stdout } = await run(python, flags, { cwd: current, env: { ...process.env, PATH } });
    expect(stdout).toMatch(/\b1 passed\b/);
  });

  test('its API is loaded by CommonJS, too', async () => {
    const script =
      "const { startEmulator, virtualClock } = require('openai-batch-emulator'); console.log(typeof startEmulator, typeof virtualClock)";
    expect(await succeed('--eval', [script], { cwd: lowest, node: node.lowest })).toBe('function function\n');
  });
});
