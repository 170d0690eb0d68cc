import { expect, test } from 'vitest';
import { SHUTDOWN_DATE } from '../../../../src/core/model/shutdown.ts';
import { SHUTDOWN_RULES } from '../../../../src/providers/openai/shutdowns.ts';

const dateOf = (model: string): string | undefined => SHUTDOWN_RULES.shutdownOf(model)?.date;

test.each([
  ['gpt-5-nano', '2026-12-11'],
  ['gpt-5-nano-2025-08-07', '2026-12-11'],
  ['gpt-4o', '2027-01-14'],
  ['gpt-4o-2024-08-06', '2027-01-14'],
  // A snapshot with a day of its own.
  ['gpt-4o-2024-05-13', '2026-10-23'],
  ['ft:gpt-4o-mini-2024-07-18:org::id', '2027-01-14'],
  ['ft:gpt-3.5-turbo-0125:org::id', '2026-10-23'],
  ['gpt-5.1', '2027-04-01'],
  ['gpt-6-luna', undefined],
  ['gpt-5.5', undefined],
  ['constructor', undefined],
])('%s ends on %s', (model, date) => {
  expect(dateOf(model)).toBe(date);
  if (date !== undefined) expect(date).toMatch(SHUTDOWN_DATE);
});

test('what OpenAI names in the place of a model has no end that is known', () => {
  const { replacements } = SHUTDOWN_RULES.shutdownOf('gpt-5-nano')!;
  expect(replacements).toEqual(['gpt-6.1-sol', 'gpt-6.1-terra', 'gpt-6-luna']);
  expect(replacements.map(dateOf)).toEqual([undefined, undefined, undefined]);
});

test('only the code for a model that is not there says that a model is gone', () => {
  expect(SHUTDOWN_RULES.isModelGone('model_not_found')).toBe(true);
  expect(SHUTDOWN_RULES.isModelGone('http_404')).toBe(false);
});
