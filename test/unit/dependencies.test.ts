/** What the project takes from others: licences of what it ships, exact versions, actions by commit. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { isPermitted } from '../../scripts/licences.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Node itself, to run the project's own tools; one of them states no licence, and that of Node is MIT. */
const NODE_BINARY = /^node_modules\/node-(bin-)?(darwin|linux|win)-/;

interface Locked {
  license?: string;
  dev?: boolean;
  devOptional?: boolean;
  link?: boolean;
  resolved?: string;
}

test('every production dependency, also of a dependency, has a licence without copyleft', () => {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  const shipped = Object.entries(lock.packages as Record<string, Locked>).filter(
    ([path, { dev, devOptional, link }]) => path.startsWith('node_modules/') && !dev && !devOptional && !link,
  );
  expect(shipped.length).toBeGreaterThan(50);
  const refused = shipped.filter(([path, { license }]) => !NODE_BINARY.test(path) && !isPermitted(license));
  expect(refused.map(([path, { license }]) => `${path}: ${license}`)).toEqual([]);
});

test('every version that package.json names is exact', () => {
  const { dependencies, devDependencies, optionalDependencies } = packageJson;
  const named = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies });
  expect(named.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});

test('every action of a workflow is named by its commit, with its version beside it', () => {
  const workflows = globSync('.github/workflows/*.yml', { cwd: ROOT });
  expect(workflows.length).toBeGreaterThan(0);
  const uses = workflows.flatMap((path) => readFileSync(join(ROOT, path), 'utf8').match(/uses: .*/g) ?? []);
  expect(uses.length).toBeGreaterThan(0);
  expect(uses.filter((line) => !/@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual([]);
});

test('what a request of a fork runs may read the repository only, and keeps no credentials', () => {
  for (const path of globSync('.github/workflows/*.yml', { cwd: ROOT })) {
    const text = readFileSync(join(ROOT, path), 'utf8');
    expect(text, path).not.toContain('pull_request_target');
    expect(text.match(/actions\/checkout@/g)?.length ?? 0, path).toBe(
      text.match(/persist-credentials: false/g)?.length ?? 0,
    );
  }
});
