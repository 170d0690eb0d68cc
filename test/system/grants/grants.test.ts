/** What the policies grant and no run has used. Runs after the whole runs, which record what they use. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Grant } from '../../../local/services/iam/policy.ts';
import { HELD_GRANTS_FILE, USED_GRANTS_FILE } from '../../../local/stack/call-records.ts';
import { CALL_RECORDS, RAN_FILE, ROOT } from '../../support/call-records-folder.ts';
import { compareGrants } from './compare-grants.ts';
import { UNUSED_GRANTS } from './unused-grants.ts';

/** Lines of a file of all workers. */
function recorded(file: string): string[] {
  return globSync(`*/${file}`, { cwd: CALL_RECORDS }).flatMap((path) =>
    readFileSync(join(CALL_RECORDS, path), 'utf8').trimEnd().split('\n'),
  );
}

const grantsIn = (file: string) => recorded(file).map((line) => JSON.parse(line) as Grant);

const ran = new Set(existsSync(CALL_RECORDS) ? recorded(RAN_FILE) : []);
const missing = globSync('test/system/{e2e,upgrade}/*.test.ts', { cwd: ROOT }).filter(
  (path) => !ran.has(path),
);

test('the whole runs have been made: every file of e2e and of upgrades', () => {
  expect(missing, 'run `npm run test:system` first').toEqual([]);
});

test.skipIf(missing.length > 0)(
  'each grant is used by a run or has a reason, and each reason has a grant',
  () => {
    const compared = compareGrants(grantsIn(HELD_GRANTS_FILE), grantsIn(USED_GRANTS_FILE), UNUSED_GRANTS);
    expect(compared).toEqual({ unexplained: [], outdated: [] });
  },
);
