/** Everything that is measured as a process of its own. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleOurs } from './bundle.ts';
import type { Run } from './measure.ts';

/** One way to go through a file. */
export interface Command {
  id: string;
  /** A floor does nothing but move bytes; a peer is what people use; the rest is ours. */
  kind: 'floor' | 'peer' | 'ours';
  title: string;
  /** What it does of the work, for reports. */
  does: string;
  /** The version that is installed; `undefined`: it is not. */
  version: string | undefined;
  /** Left out of quick runs. */
  isExtra?: boolean;
  /** What it prints must say how many lines or bytes it has seen. */
  counts: 'lines' | 'bytes' | 'nothing';
  /** @param folder empty; emptied again after the run. */
  run(input: string, folder: string): Run;
}

const HERE = import.meta.dirname;
const NODE = process.versions.node;

/** Packages that `bench/package.json` names. */
const PACKAGES = ['@duckdb/node-api', 'split2', 'stream-chain', 'stream-json'];

/** Every command, in the order in which they take turns. */
export async function allCommands(): Promise<Command[]> {
  const ingest = await bundleOurs('ingest');
  const python = findPython();
  const jq = printedBy('jq', ['--version']);
  const node = (script: string, ...args: string[]): Run => ({
    program: 'node',
    args: [join(HERE, script), ...args],
  });
  return [
    {
      id: 'ours',
      kind: 'ours',
      title: 'batchdrop ingest',
      does: 'strict check, fields, ids, cut into batches by reference',
      version: NODE,
      counts: 'lines',
      run: (input, folder) => ({ program: 'node', args: [ingest, input, folder] }),
    },
    {
      id: 'read-only',
      kind: 'floor',
      title: 'Node read-only stream',
      does: 'reads',
      version: NODE,
      counts: 'bytes',
      run: (input) => node('floors/read-only.mjs', input),
    },
    {
      id: 'read-write',
      kind: 'floor',
      title: 'Node read -> write',
      does: 'reads, writes',
      version: NODE,
      counts: 'bytes',
      run: (input, folder) => node('floors/read-write.mjs', input, folder),
    },
    {
      id: 'python',
      kind: 'peer',
      title: 'python3 json.loads + split',
      does: 'lax check (NaN), fields, ids, writes shards',
      version: python?.version,
      counts: 'lines',
      run: (input, folder) => ({
        program: python!.path,
        args: [join(HERE, 'peers/python_split.py'), input, folder],
      }),
    },
    {
      id: 'python-check',
      kind: 'peer',
      title: 'python3 json.loads',
      does: 'lax check (NaN), fields, ids',
      version: python?.version,
      counts: 'lines',
      run: (input) => ({ program: python!.path, args: [join(HERE, 'peers/python_split.py'), input] }),
    },
    {
      id: 'readline',
      kind: 'peer',
      title: 'Node readline + JSON.parse',
      does: 'check without UTF-8, fields, ids, writes shards',
      version: NODE,
      counts: 'lines',
      run: (input, folder) => node('peers/readline.mjs', input, folder),
    },
    {
      id: 'readline-tuned',
      kind: 'peer',
      title: 'the same, profiled and tuned',
      does: 'check without UTF-8, fields, ids, writes shards',
      version: NODE,
      isExtra: true,
      counts: 'lines',
      run: (input, folder) => node('peers/readline-tuned.mjs', input, folder),
    },
    {
      id: 'split2',
      kind: 'peer',
      title: 'split2 + JSON.parse',
      does: 'check without UTF-8, fields, ids, writes shards',
      version: packageVersion('split2'),
      isExtra: true,
      counts: 'lines',
      run: (input, folder) => node('peers/split2.mjs', input, folder),
    },
    {
      id: 'stream-json-lines',
      kind: 'peer',
      title: 'stream-json, JSON lines',
      does: 'check without UTF-8, fields, ids',
      version: packageVersion('stream-json'),
      isExtra: true,
      counts: 'lines',
      run: (input) => node('peers/stream-json-lines.mjs', input),
    },
    {
      id: 'stream-json-tokens',
      kind: 'peer',
      title: 'stream-json, tokens',
      does: 'lax check, ids',
      version: packageVersion('stream-json'),
      isExtra: true,
      counts: 'lines',
      run: (input) => node('peers/stream-json-tokens.mjs', input),
    },
    {
      id: 'duckdb',
      kind: 'peer',
      title: 'DuckDB, 1 thread',
      does: 'lax check, fields, ids',
      version: packageVersion('@duckdb/node-api'),
      counts: 'lines',
      run: (input) => node('peers/duckdb.mjs', input, '1'),
    },
    {
      id: 'duckdb-2',
      kind: 'peer',
      title: 'DuckDB, 2 threads',
      does: 'lax check, fields, ids',
      version: packageVersion('@duckdb/node-api'),
      isExtra: true,
      counts: 'lines',
      run: (input) => node('peers/duckdb.mjs', input, '2'),
    },
    {
      id: 'jq-id',
      kind: 'peer',
      title: 'jq -c .custom_id',
      does: 'lax check',
      version: jq,
      isExtra: true,
      counts: 'nothing',
      run: (input) => ({ program: 'jq', args: ['-c', '.custom_id', input], isSilent: true }),
    },
    {
      id: 'jq',
      kind: 'peer',
      title: 'jq -c .',
      does: 'lax check, prints each line',
      version: jq,
      isExtra: true,
      counts: 'nothing',
      run: (input) => ({ program: 'jq', args: ['-c', '.', input], isSilent: true }),
    },
  ];
}

/**
 * Installs what `bench/package.json` names unless it is there. Without it the peers in question are reported as not
 * installed; everything else is measured all the same.
 * @param say told what is going on.
 */
export function installPeers(say: (message: string) => void): void {
  if (PACKAGES.every((name) => packageVersion(name) !== undefined)) return;
  say('bench/node_modules is missing or old: installing the peers with "npm ci --prefix bench"');
  const { status } = spawnSync('npm', ['ci', '--prefix', HERE, '--include=dev', '--no-audit', '--no-fund'], {
    stdio: ['ignore', process.stderr.fd, process.stderr.fd],
    shell: process.platform === 'win32',
  });
  if (status !== 0) say('npm ci failed: split2, stream-json and DuckDB are left out, the rest is measured');
}

/** The installed version of a package, if it is the one that `bench/package.json` names. */
function packageVersion(name: string): string | undefined {
  const wanted = JSON.parse(readFileSync(join(HERE, 'package.json'), 'utf8')).devDependencies[name];
  const manifest = join(HERE, 'node_modules', name, 'package.json');
  if (!existsSync(manifest)) return undefined;
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
  return version === wanted ? version : undefined;
}

/** The interpreter itself: `python3` may be a shell script that looks for it, which costs more than starting it. */
function findPython(): { path: string; version: string } | undefined {
  const printed = printedBy('python3', [
    '-c',
    'import sys; print(sys.executable); print(sys.version.split()[0])',
  ]);
  const [path, version] = printed?.split('\n') ?? [];
  return path && version ? { path, version } : undefined;
}

function printedBy(program: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}
