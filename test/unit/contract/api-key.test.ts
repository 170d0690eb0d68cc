import { expect, test } from 'vitest';
import { apiKeyOutputSuffix } from '../../../src/contract/api-key.ts';

test.each([
  ['default', ''],
  ['ads', 'Ads'],
  ['team-a-1', 'TeamA1'],
  ['2nd--key', '2ndKey'],
])("outputs of the API key %s end with '%s'", (apiKey, suffix) => {
  expect(apiKeyOutputSuffix(apiKey)).toBe(suffix);
});
