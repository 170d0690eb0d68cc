import { expect, test } from 'vitest';
import { releaseProblems } from '../../../scripts/check-release.ts';

const CHANGELOG =
  '# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-12-01\n\n- One.\n\n## 1.2.2 - 2026-11-01\n';

test('a tag that package.json and the newest section of the changelog name may be published', () => {
  expect(releaseProblems('v1.2.3', '1.2.3', CHANGELOG)).toEqual([]);
});

test('a tag is refused that is no version, is not the one of package.json, or has no section yet', () => {
  expect(releaseProblems('1.2', '1.2.3', CHANGELOG)).toEqual([
    'the tag is "1.2", expected a semantic version such as "v1.2.3"',
  ]);
  expect(releaseProblems('v1.3.0', '1.2.3', CHANGELOG)).toEqual([
    'package.json has version 1.2.3: set it to 1.3.0, or tag v1.2.3',
    'the newest release in CHANGELOG.md is 1.2.3: give 1.3.0 its section, with its date',
  ]);
  expect(releaseProblems('v1.2.3', '1.2.3', '## Unreleased\n')).toEqual([
    'the newest release in CHANGELOG.md is none: give 1.2.3 its section, with its date',
  ]);
});
