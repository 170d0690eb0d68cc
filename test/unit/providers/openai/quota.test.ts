import { expect, test } from 'vitest';
import { QUOTA_RULES } from '../../../../src/providers/openai/quota.ts';

test.each([
  ['gpt-6-luna', 2_000_000],
  ['gpt-4o-mini', 2_000_000],
  ['gpt-5.1', 900_000],
  ['gpt-6.2-sol', 900_000],
  ['text-embedding-3-small', 3_000_000],
  ['gpt-4o', 90_000],
  ['ft:unknown', 90_000],
])('%s starts with %i enqueued tokens', (model, tokens) => {
  expect(QUOTA_RULES.firstEnqueuedTokensOf(model)).toBe(tokens);
});

test.each([
  ['2,000,000', 2_000_000],
  ['90000', 90_000],
  ['0', undefined],
  ['none', undefined],
])('a refusal with "Limit: %s enqueued tokens" reports %s', (limit, reported) => {
  const message = `Enqueued token limit reached for m in organization org-x. Limit: ${limit} enqueued tokens. Please try again once some in_progress batches have been completed.`;
  expect(QUOTA_RULES.reportedEnqueuedTokens(message)).toBe(reported);
});
