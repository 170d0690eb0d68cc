import { expect, test } from 'vitest';
import { apiKeyOutputSuffix, setApiKeyCommand } from '../../../src/contract/api-key.ts';

test.each([
  ['default', ''],
  ['ads', 'Ads'],
  ['team-a-1', 'TeamA1'],
  ['2nd--key', '2ndKey'],
])("outputs of the API key %s end with '%s'", (apiKey, suffix) => {
  expect(apiKeyOutputSuffix(apiKey)).toBe(suffix);
});

test('the command that sets an API key has no key among the arguments of a program', () => {
  const command = setApiKeyCommand('batchdrop/1/default', 'eu-west-1');
  const [printed, program] = command.split(' | ');
  // `printf` is a part of the shell, and no process of its own.
  expect(printed).toBe('printf %s "$OPENAI_API_KEY"');
  expect(program).toBe(
    'aws secretsmanager put-secret-value --region eu-west-1 --secret-id batchdrop/1/default --secret-string file:///dev/stdin',
  );
  expect(setApiKeyCommand('batchdrop/1/default')).not.toContain('--region');
});
