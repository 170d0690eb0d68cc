import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  HELD_GRANTS_FILE,
  openCallRecords,
  REFUSED_CALLS_FILE,
  USED_GRANTS_FILE,
} from '../../../../local/stack/call-records.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const grant = (resource: string) => ({ holder: 'Role', action: 's3:GetObject', resource, condition: '' });

test('each grant, each one that was used and each refusal is a line of its file, once', () => {
  const folder = join(temporaryFolder(), 'made');
  const records = openCallRecords(folder);
  const [a, b] = [grant('a'), grant('b')];
  records.held([a, b, grant('c')]);
  records.used([a]);
  records.used([a, b]);
  records.refused('no');
  records.refused('no');
  const linesOf = (file: string) =>
    readFileSync(join(folder, file), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  expect(linesOf(HELD_GRANTS_FILE)).toEqual([a, b, grant('c')]);
  expect(linesOf(USED_GRANTS_FILE)).toEqual([a, b]);
  expect(linesOf(REFUSED_CALLS_FILE)).toEqual([{ reason: 'no' }]);
});

test('without a folder nothing is recorded', () => {
  const records = openCallRecords(undefined);
  records.used([grant('a')]);
  records.refused('no');
  expect(existsSync(USED_GRANTS_FILE)).toBe(false);
});
