/** The licences of what others wrote and a package holds, which ask to be passed on with it. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Installed, installedIn, licenceProblems } from './licences.ts';

const PACKAGE_FOLDER = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;

/**
 * @param inputs paths from `root` of the files that a package is made of.
 * @returns the text of a notices file.
 * @throws if a licence may not be used.
 */
export function noticesOf(root: string, inputs: readonly string[]): string {
  const folders = new Set(inputs.flatMap((path) => PACKAGE_FOLDER.exec(path)?.[1] ?? []));
  const found = [...folders].map((folder) => ({
    ...installedIn(join(root, folder)),
    text: licenceText(join(root, folder)),
  }));
  const problems = licenceProblems(found);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const byText = new Map<string, Installed[]>();
  for (const { text, ...installed } of found) byText.set(text, [...(byText.get(text) ?? []), installed]);
  const sections = [...byText]
    .map(([text, packages]) => `${packages.map(lineOf).sort().join('\n')}\n\n${text}`)
    .sort();
  return `This package holds parts of the packages below, under their licences.\n\n${sections.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

const lineOf = ({ name, version, license }: Installed): string => `${name} ${version} (${license})`;

/** Its licence and notice files. A package without one has the text that its licence has everywhere. */
function licenceText(folder: string): string {
  const files = globSync(['LICEN[CS]E*', 'NOTICE*', 'licen[cs]e*'], { cwd: folder }).sort();
  const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim());
  return texts.join('\n\n') || 'No licence file is in the package; its manifest names the licence above.';
}
