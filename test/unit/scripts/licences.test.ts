import { expect, test } from 'vitest';
import { isPermitted, licenceProblems } from '../../../scripts/licences.ts';

test('copyleft and unnamed licences are refused, and one of several may be chosen', () => {
  expect(['MIT', '(MIT OR GPL-3.0)', 'MIT AND ISC', '(AGPL-3.0 OR Apache-2.0)'].every(isPermitted)).toBe(
    true,
  );
  expect(['GPL-3.0', 'AGPL-3.0-only', 'MIT AND LGPL-3.0', 'MPL-2.0', undefined].some(isPermitted)).toBe(
    false,
  );
  expect(licenceProblems([{ name: 'a', version: '1.0.0', license: 'GPL-3.0' }])).toHaveLength(1);
});
