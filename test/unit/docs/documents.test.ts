import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import packageJson from '../../../package.json' with { type: 'json' };
import { readSettings } from '../../../src/contract/settings-text.ts';
import { ENDPOINTS } from '../../../src/providers/openai/endpoints/all.ts';

const ROOT = join(import.meta.dirname, '../../..');
const DOCUMENTS = ['*.md', 'docs/**/*.md', 'local/**/*.md'].flatMap((pattern) =>
  globSync(pattern, { cwd: ROOT }),
);
const SCRIPTS = new Set(Object.keys(packageJson.scripts));
const textOf = (document: string): string => readFileSync(join(ROOT, document), 'utf8');

/** Anchors of a document's headings, as GitHub makes them. */
function anchorsOf(document: string): Set<string> {
  const headings = textOf(document).matchAll(/^#+ (.+)$/gm);
  const plain = [...headings].map(([, heading]) => heading!.toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, ''));
  return new Set(plain.map((heading) => heading.replaceAll(' ', '-')));
}

/** What of a document's links leads nowhere. */
function brokenLinksOf(document: string): string[] {
  const links = [...textOf(document).matchAll(/\]\(([^()\s]+)\)/g)].map(([, link]) => link!);
  return links.filter((link) => {
    if (/^https?:/.test(link)) return false;
    const [path, anchor] = link.split('#');
    const target = path === '' ? document : relative(ROOT, join(ROOT, dirname(document), path!));
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== undefined && !anchorsOf(target).has(anchor);
  });
}

describe('documents', () => {
  it.each(DOCUMENTS)('%s has links that lead somewhere', (document) => {
    expect(brokenLinksOf(document)).toEqual([]);
  });

  it.each(DOCUMENTS)('%s names files and folders that exist', (document) => {
    const names = [
      ...textOf(document).matchAll(
        /`((?:bin|cli|docs|examples|lambdas|lib|local|scripts|src|test)\/[\w./-]*)`/g,
      ),
    ];
    const gone = names.map(([, name]) => name!).filter((name) => !existsSync(join(ROOT, name)));
    expect(gone).toEqual([]);
  });

  it.each(DOCUMENTS)('%s names scripts of package.json that exist', (document) => {
    const names = [...textOf(document).matchAll(/\bnpm run (?:-s )?([a-z][a-z:]*)/g)].map(
      ([, name]) => name!,
    );
    expect(names.filter((name) => !SCRIPTS.has(name))).toEqual([]);
  });

  it.each(DOCUMENTS)('%s has examples of settings that are valid', (document) => {
    const blocks = [...textOf(document).matchAll(/^ *```json\n([\s\S]*?)^ *```/gm)].map(
      ([, block]) => block!,
    );
    for (const block of blocks.filter((one) => one.includes('"routes":'))) readSettings(block, document);
  });

  it('has tasks for VS Code whose scripts exist', () => {
    const { tasks } = JSON.parse(textOf('.vscode/tasks.json')) as { tasks: { script?: string }[] };
    expect(tasks.flatMap(({ script }) => script ?? []).filter((script) => !SCRIPTS.has(script))).toEqual([]);
  });

  it('has a choice of the function to debug for VS Code with every function', () => {
    const { inputs } = JSON.parse(textOf('.vscode/launch.json')) as { inputs: { options?: string[] }[] };
    const options = inputs.flatMap((input) => input.options ?? []);
    expect(options.sort()).toEqual(globSync('*', { cwd: join(ROOT, 'lambdas') }).sort());
  });

  it('names every endpoint that a request may have', () => {
    const named = textOf('docs/formats.md');
    expect([...ENDPOINTS.keys()].filter((url) => !named.includes(`\`${url}\``))).toEqual([]);
  });

  it('has a README that fits on a few screens', () => {
    expect(textOf('README.md').split('\n').length).toBeLessThanOrEqual(151);
  });
});
