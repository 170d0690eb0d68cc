/** `node scripts/check-release.ts v1.2.3`: whether the tree may be published as that version. Run by the publish workflow. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
/** Source: https://semver.org, without build metadata, which npm drops. */
const TAG = /^v(?<version>\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?)$/;

/**
 * What keeps a tag from being published.
 * @param tag such as `v1.2.3`.
 * @param version of `package.json`.
 * @param changelog text of `CHANGELOG.md`, which has a section for each release, the newest first.
 */
export function releaseProblems(tag: string, version: string, changelog: string): string[] {
  const wanted = TAG.exec(tag)?.groups?.version;
  if (wanted === undefined) return [`the tag is "${tag}", expected a semantic version such as "v1.2.3"`];
  const [, newest] = /^## (?:\[?)(\d[^\s\]]*)/m.exec(changelog) ?? [];
  return [
    ...(version === wanted
      ? []
      : [`package.json has version ${version}: set it to ${wanted}, or tag v${version}`]),
    ...(newest === wanted
      ? []
      : [
          `the newest release in CHANGELOG.md is ${newest ?? 'none'}: give ${wanted} its section, with its date`,
        ]),
  ];
}

if (import.meta.main) {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const changelog = readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8');
  const problems = releaseProblems(process.argv[2] ?? '', version, changelog);
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
