/** What comments say of the tree: the files that they name exist. */
import { existsSync, readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const ROOMS = [
  'bench',
  'bin',
  'cli',
  'docs',
  'examples',
  'lambdas',
  'lib',
  'local',
  'scripts',
  'src',
  'test',
];
/** Files of the `openai` package are named as it has them. */
const SDK = 'node_modules/openai/src';
const COMMENT = /^\s*(?:\/\*\*?|\*|\/\/)(.*)|\s\/\/\s(.*)/;
const FILE_NAME = /(?<![\w@./<>-])[\w./-]*[\w-]\.(?:ts|md)\b/g;

const FILES = (
  await Array.fromAsync(glob([`{${ROOMS.join(',')}}/**/*.{ts,md,as}`, '*.{ts,md}'], { cwd: ROOT }))
)
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => !path.includes('node_modules/'));

/** Names may leave out the folders that they begin in; one that begins with a dot is relative to the file. */
function exists(name: string, from: string): boolean {
  if (name.startsWith('.')) return FILES.includes(posix.join(posix.dirname(from), name));
  return (
    FILES.some((file) => file === name || file.endsWith(`/${name}`)) || existsSync(join(ROOT, SDK, name))
  );
}

test('a file that a comment names exists', () => {
  const stale = FILES.filter((path) => !path.endsWith('.md')).flatMap((path) =>
    readFileSync(join(ROOT, path), 'utf8')
      .split('\n')
      .flatMap((line, index) => {
        const [, whole, trailing] = COMMENT.exec(line) ?? [];
        const named = (whole ?? trailing ?? '').match(FILE_NAME) ?? [];
        return named
          .filter((name) => !exists(name, path))
          .map((name) => `${path}:${index + 1} names ${name}, which is no file of the project`);
      }),
  );
  expect(FILES.length).toBeGreaterThan(500);
  expect(stale).toEqual([]);
});
