/** Where tests are, and that every file with logic has one. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { importsOf } from '../support/architecture.ts';
import { TESTED_BY } from '../support/tested-by.ts';

const ROOT = join(import.meta.dirname, '../..');
const find = (pattern: string): string[] =>
  globSync(pattern, { cwd: ROOT }).map((path) => path.replaceAll('\\', '/'));
const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const SOURCES = find('src/**/*.ts');
const TESTS = find('test/**/*.test.ts');
/** Unit tests that are about the repository, and mirror no file. */
const OF_THE_REPOSITORY = /^test\/unit\/(docs\/.*|[a-z-]+\.test\.ts)$/;
const LOGIC = /\b(if|for|while|switch|catch)\b\s*(await\s*)?[({]|\s\?\s[^:;]*\s:\s|\?\?|&&|\|\|/;

/** Comments and texts in quotes left out, in which the words of {@link LOGIC} say nothing. */
function codeOf(path: string): string {
  return textOf(path)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|[\s;{}(),])\/\/.*$/gm, '$1')
    .replace(/'[^'\n]*'/g, '');
}

/** Whether there is something to test: not so in declarations, tables of data and mere wiring. */
const hasLogic = (path: string): boolean => !path.startsWith('src/core/ports/') && LOGIC.test(codeOf(path));

const hasOwnTest = (source: string): boolean => {
  const name = source.slice('src/'.length).replace(/\.ts$/, '.test.ts');
  return existsSync(join(ROOT, 'test/unit', name)) || existsSync(join(ROOT, 'test/parts', name));
};

/** Everything that a file imports, and what that imports. */
function reachOf(path: string): Set<string> {
  const reached = new Set<string>();
  const open = [path];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (reached.has(next) || !existsSync(join(ROOT, next))) continue;
    reached.add(next);
    for (const imported of importsOf(textOf(next)))
      if (imported.startsWith('.') && imported.endsWith('.ts'))
        open.push(posix.join(posix.dirname(next), imported));
  }
  return reached;
}

describe('tests', () => {
  it('are in unit, parts, system or packages', () => {
    expect(TESTS.filter((path) => !/^test\/(unit|parts|system|packages)\//.test(path))).toEqual([]);
  });

  it('of units are named after a file or a folder, of src or beside it, or after one and an aspect of it', () => {
    const homeless = TESTS.filter(
      (path) => path.startsWith('test/unit/') && !OF_THE_REPOSITORY.test(path),
    ).filter((path) => {
      const name = path.slice('test/unit/'.length, -'.test.ts'.length);
      const words = posix.basename(name).split('-');
      const files = words.map((_, index) => words.slice(0, index + 1).join('-'));
      const folders = ['src', '.'].map((root) => join(ROOT, root, posix.dirname(name)));
      return !folders.some((folder) =>
        files.some((file) => existsSync(join(folder, `${file}.ts`)) || existsSync(join(folder, file))),
      );
    });
    expect(homeless).toEqual([]);
  });

  it('are each run by one command, which CI runs', () => {
    const projects = [...textOf('vitest.config.ts').matchAll(/\bname: '([a-z]+)'/g)].map(([, name]) => name);
    const ofCi = [...textOf('.ci/run').matchAll(/^ *npm (?:run )?([a-z:]+)$/gm)].map(([, name]) => name!);
    const scripts = Object.entries(packageJson.scripts).filter(([name]) => ofCi.includes(name));
    const run = scripts.flatMap(([, script]) =>
      [...script.matchAll(/--project ([a-z]+)/g)].map(([, name]) => name),
    );
    expect(projects.length).toBeGreaterThan(3);
    expect(run.sort()).toEqual(projects.sort());
  });
});

describe('a file of src with logic', () => {
  const withoutTest = SOURCES.filter((path) => hasLogic(path) && !hasOwnTest(path));
  const listed = Object.values(TESTED_BY).flat();

  it('has a test of its name in test/unit or test/parts, or says in test/support/tested-by.ts which test covers it', () => {
    expect(SOURCES.length).toBeGreaterThan(100);
    expect(withoutTest.filter((path) => !listed.includes(path))).toEqual([]);
  });

  it('is off that list once it has its own test, or is gone', () => {
    expect(listed.filter((path) => !withoutTest.includes(path))).toEqual([]);
    expect(listed.length).toBe(new Set(listed).size);
  });

  it.each(Object.entries(TESTED_BY))('%s runs the files that it is said to cover', (test, sources) => {
    const reached = reachOf(test);
    expect(sources.filter((path) => !reached.has(path))).toEqual([]);
  });
});
