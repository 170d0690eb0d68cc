/** `batchdrop local process` on input files, and what it wrote. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { receiptSchema } from '../../src/contract/receipt.ts';
import { runScript } from './run-script.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** Runs files through `batchdrop local process` in a fresh state folder. */
export async function processFiles(files: readonly string[], parameters: readonly string[] = []) {
  const folder = temporaryFolder();
  const out = join(folder, 'results');
  const state = join(folder, 'state');
  const finished = await runScript('cli/main.ts', [
    'local',
    'process',
    ...files,
    '--out',
    out,
    '--state',
    state,
    '--json',
    ...parameters,
  ]);
  const last = finished.stdout.trimEnd().split('\n').at(-1)!;
  return {
    ...finished,
    state,
    receipts: finished.stdout === '' ? [] : receiptSchema.array().parse(JSON.parse(last)),
    // biome-ignore lint/suspicious/noExplicitAny: result lines are compared field by field
    lines: async (path: string): Promise<any[]> =>
      (await readFile(join(out, path), 'utf8'))
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    bytes: (path: string) => readFile(join(out, path)),
  };
}

/** Path of an input file with that content. */
export async function writeInput(name: string, text: string | Uint8Array): Promise<string> {
  const path = join(temporaryFolder(), name);
  await writeFile(path, text);
  return path;
}

/** Path of an input file with a request for each of `count` films. */
export async function moviesFile(count: number): Promise<string> {
  const path = join(temporaryFolder(), 'movies.jsonl');
  expect((await runScript('examples/movies.ts', [path, String(count)])).status).toBe(0);
  return path;
}
