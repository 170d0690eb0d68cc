/** Runs the CDK app when its sources have changed, and otherwise gives what it wrote before. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Settings } from '../../src/contract/settings.ts';

/** Everything that the synthesized stack is made from. */
const SOURCES = [
  'bin',
  'lib',
  'lambdas',
  'src',
  'cdk.json',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
];

/** How many results are kept: a stack that runs still starts processes from an older one. */
const MAX_RESULTS = 5;

/** How often a process looks whether another one has finished the same synthesis. */
const WAIT_MS = 100;

/** A lock file that is empty for longer than this was left by a process that died while it wrote it. */
const MAX_LOCKING_MS = 2_000;

/** How much of what a failed app wrote is shown, in characters. */
const MAX_SHOWN_OUTPUT = 4_000;

/** What is read of `cdk.json`. */
interface CdkJson {
  /** A command that begins with `node`. */
  app: string;
  context: Record<string, unknown>;
}

export interface SynthOptions {
  /** Folder of the repository, or of the package `batchdrop-local`: where `cdk.json` names the app and its context. */
  root: string;
  /** Where results are kept, one folder for each state of the sources. @default `<root>/.batchdrop/synth` */
  cacheDir?: string | undefined;
  /** Routes and prefixes, as `-c settings=` takes them. @default what `cdk.json` says: those of a plain deployment */
  settings?: Settings | undefined;
  /** Gets a sentence when there is something to wait for. */
  onProgress?: ((text: string) => void) | undefined;
}

/** The folder that the app wrote for the sources and settings as they are now, or undefined. */
export function findSynth(options: SynthOptions): string | undefined {
  const folder = resultFolder(options);
  return existsSync(join(folder, 'manifest.json')) ? folder : undefined;
}

/**
 * Gives the folder for the sources as they are now; runs the app (some seconds, no network) if there is none.
 * Processes that ask at the same time share one run.
 *
 * @throws with the output of the app when it fails
 */
export async function ensureSynth(options: SynthOptions): Promise<string> {
  const folder = resultFolder(options);
  const lockFile = `${folder}.lock`;
  mkdirSync(join(folder, '..'), { recursive: true });
  while (!takeLock(lockFile)) {
    if (findSynth(options) !== undefined) return folder;
    await wait(WAIT_MS);
  }
  const output = `${folder}.${process.pid}.tmp`;
  try {
    if (findSynth(options) !== undefined) return folder;
    const startedAtMs = performance.now();
    options.onProgress?.('Synthesizing the stack ...');
    await runApp(options, output);
    renameSync(output, folder);
    options.onProgress?.(`Synthesized in ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s.`);
  } finally {
    rmSync(output, { recursive: true, force: true });
    rmSync(lockFile, { force: true });
  }
  removeOldResults(join(folder, '..'));
  return folder;
}

function resultFolder({
  root,
  settings,
  cacheDir = join(root, '.batchdrop', 'synth'),
}: SynthOptions): string {
  const hash = createHash('sha256');
  for (const source of SOURCES) addToHash(hash, root, source);
  if (settings !== undefined) hash.update(JSON.stringify(settings));
  return join(cacheDir, hash.digest('hex').slice(0, 16));
}

function addToHash(hash: ReturnType<typeof createHash>, root: string, path: string): void {
  const file = join(root, path);
  if (!existsSync(file)) return;
  if (statSync(file).isDirectory()) {
    for (const name of readdirSync(file).sort()) addToHash(hash, root, `${path}/${name}`);
    return;
  }
  const content = readFileSync(file);
  hash.update(`${path}\0${content.length}\0`).update(content);
}

/** True if the work is ours; false while another process that lives is at it. */
function takeLock(lockFile: string): boolean {
  try {
    writeFileSync(lockFile, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  // The owner died half-way: the next try takes it.
  if (isAbandoned(lockFile)) rmSync(lockFile, { force: true });
  return false;
}

function isAbandoned(lockFile: string): boolean {
  try {
    const owner = readFileSync(lockFile, 'utf8');
    if (owner !== '') return !isAlive(Number(owner));
    return Date.now() - statSync(lockFile).mtimeMs > MAX_LOCKING_MS;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** What the `cdk` command sets beside `cdk.json`: resources, and the folders of their assets, are found by their paths. */
const CLI_CONTEXT = { 'aws:cdk:enable-path-metadata': true, 'aws:cdk:enable-asset-metadata': true };

/** Runs the app as the `cdk` command does, which is then not needed. */
async function runApp({ root, settings }: SynthOptions, output: string): Promise<void> {
  const { app, context } = JSON.parse(readFileSync(join(root, 'cdk.json'), 'utf8')) as CdkJson;
  // A file: the system limits how long a variable may be.
  const settingsFile = `${output}.settings.json`;
  if (settings !== undefined) writeFileSync(settingsFile, JSON.stringify(settings));
  const ofSettings = settings === undefined ? {} : { settings: settingsFile };
  const child = spawn(process.execPath, app.replace(/^node /, '').split(' '), {
    cwd: root,
    env: {
      ...process.env,
      CDK_OUTDIR: output,
      CDK_CONTEXT_JSON: JSON.stringify({ ...context, ...CLI_CONTEXT, ...ofSettings }),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString()).slice(-MAX_SHOWN_OUTPUT);
    });
  }
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  rmSync(settingsFile, { force: true });
  if (status !== 0) throw new Error(`"${app}" failed with status ${status}:\n${text}`);
}

function removeOldResults(cacheDir: string): void {
  const results = readdirSync(cacheDir)
    .filter((name) => /^[0-9a-f]{16}$/.test(name))
    .map((name) => ({ path: join(cacheDir, name), modifiedMs: statSync(join(cacheDir, name)).mtimeMs }))
    .sort((left, right) => right.modifiedMs - left.modifiedMs);
  for (const { path } of results.slice(MAX_RESULTS)) rmSync(path, { recursive: true, force: true });
}
