/** Which files `local process` drops, and under which keys. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { localDrops } from '../../../../cli/commands/local-process.ts';
import { defaultSettings } from '../../../../src/contract/settings.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

async function folderWith(...names: string[]): Promise<string> {
  const folder = temporaryFolder();
  for (const name of names) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), '{}\n');
  }
  return folder;
}

const namesOf = async (paths: string[], options: { prefix?: string; name?: string } = {}) =>
  (await localDrops(paths, defaultSettings(), options)).map(({ key, name }) => [key, name]);

test('a folder keeps its structure, so that files of one name are fine; options come before their file', async () => {
  const folder = await folderWith('a/x.jsonl', 'b/x.jsonl', 'b/x.jsonl.options.json');
  expect(await namesOf([folder])).toEqual([
    ['input/b/x.jsonl.options.json', 'b/x.jsonl.options.json'],
    ['input/a/x.jsonl', 'a/x.jsonl'],
    ['input/b/x.jsonl', 'b/x.jsonl'],
  ]);
});

test('standard input has a name that is the same each time, or that of --name', async () => {
  expect(await namesOf(['-'])).toEqual([['input/stdin.jsonl', 'stdin.jsonl']]);
  expect(await namesOf(['-'], { name: 'films.jsonl', prefix: 'input/new/' })).toEqual([
    ['input/new/films.jsonl', 'films.jsonl'],
  ]);
});

test('a file that no route takes is refused, also in a folder; options need no route', async () => {
  const folder = await folderWith('a.jsonl.options.json', 'x.tmp');
  await expect(namesOf([folder])).rejects.toThrow('no route of the settings takes the key input/x.tmp');
  await expect(namesOf(['-'], { prefix: 'elsewhere/' })).rejects.toThrow('--prefix elsewhere/');
});
