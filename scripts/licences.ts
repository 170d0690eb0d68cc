/** Which licences the packages may have that others than us wrote, and what they are. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** SPDX names of licences that ask for a notice at the most. */
const PERMITTED = [
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Python-2.0',
  'Unlicense',
];

/** A package that is installed. */
export interface Installed {
  name: string;
  version: string;
  /** As its manifest has it; undefined: it says none. */
  license: string | undefined;
}

/** Reads the manifest of the package in a folder. */
export function installedIn(folder: string): Installed {
  const { name, version, license, licenses } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return { name, version, license: license?.type ?? license ?? licenses?.[0]?.type };
}

/** Whether a licence may be used: one of `A OR B`, or all of `A AND B`. */
export function isPermitted(license: string | undefined): boolean {
  if (license === undefined) return false;
  const text = license.replace(/[()]/g, '');
  return text
    .split(' OR ')
    .some((one) => one.split(' AND ').every((each) => PERMITTED.includes(each.trim())));
}

/** What is wrong with packages, one sentence each. */
export function licenceProblems(packages: readonly Installed[]): string[] {
  return packages
    .filter(({ license }) => !isPermitted(license))
    .map(
      ({ name, version, license }) =>
        `${name} ${version} has the licence ${license ?? 'of no name'}, which is not one of ${PERMITTED.join(', ')}`,
    );
}
