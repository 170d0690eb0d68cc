import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dropsOf, prefixFor } from '../../../../cli/options/drops.ts';
import type { OpenStack } from '../../../../cli/options/stack.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'batchdrop-drops-'));
  const names = [
    'a/x.jsonl',
    'a/y.jsonl',
    'b/x.jsonl',
    'b/x.jsonl.options.json',
    'b/.hidden/z.jsonl',
    'b/_SUCCESS',
  ];
  for (const name of names) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), '{}\n');
  }
  await mkdir(join(dir, 'empty'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const keysOf = async (...paths: string[]): Promise<string[]> =>
  (
    await dropsOf(
      paths.map((path) => (path === '-' ? path : join(dir, path))),
      'input/',
      'in.jsonl',
    )
  ).map(({ key }) => key);

test('a file keeps its name, and standard input gets the one that it is given', async () => {
  expect(await keysOf('a/x.jsonl', '-')).toEqual(['input/in.jsonl', 'input/x.jsonl']);
});

test('files of the same name keep the folders in which they differ; the others their names', async () => {
  expect(await keysOf('a/x.jsonl', 'b/x.jsonl', 'a/y.jsonl')).toEqual([
    'input/a/x.jsonl',
    'input/b/x.jsonl',
    'input/y.jsonl',
  ]);
});

test('a folder keeps its structure without hidden files, options before what they are for', async () => {
  expect(await keysOf('.')).toEqual([
    'input/b/x.jsonl.options.json',
    'input/a/x.jsonl',
    'input/a/y.jsonl',
    'input/b/x.jsonl',
  ]);
});

test('what is missing, empty, or would take the place of another is refused', async () => {
  await expect(keysOf('none.jsonl')).rejects.toThrow('there is no such file');
  await expect(keysOf('empty')).rejects.toThrow('holds no file that could be dropped');
  await expect(keysOf('a', 'b/x.jsonl')).rejects.toThrow('would both be dropped as input/x.jsonl');
});

test('the prefix is that of the route, or the input prefix of the stack', () => {
  const outputs = {
    BucketName: 'drops',
    DropLocation: 's3://drops/input/',
    Routes: 'default=input/',
    Routes2: 'films=input/films/',
  };
  const stack: Pick<OpenStack, 'name' | 'kind' | 'outputs'> = { name: 'films', kind: 'deployed', outputs };
  expect(prefixFor(stack)).toBe('input/');
  expect(prefixFor(stack, 'films')).toBe('input/films/');
  expect(() => prefixFor(stack, 'none')).toThrow('stack films has the routes default, films');
});
