/** How a manifest entry keeps what its request may be answered with. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { outputLimitIn, withOutputLimit } from '../../../../src/core/model/output-limit.ts';
import { triesOf, withTry } from '../../../../src/core/model/tries.ts';
import { ENDPOINTS } from '../../../../src/providers/openai/endpoints/all.ts';
import { propertyRuns } from '../../../support/property-runs.ts';

test('a limit is never rounded down, nor up by more than 9 %', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2_000_000_000 }), (tokens) => {
      const kept = outputLimitIn(withOutputLimit(0, tokens))!;
      expect(kept).toBeGreaterThanOrEqual(tokens);
      expect(kept).toBeLessThanOrEqual(Math.ceil(tokens * 1.0906));
    }),
    { numRuns: propertyRuns(2_000) },
  );
});

test.each([0, 1, 2, 16, 1_024, 4_096, 131_072, 2 ** 30])('%d is kept exactly', (tokens) => {
  expect(outputLimitIn(withOutputLimit(0, tokens))).toBe(tokens);
});

test('a request that names no limit stays so, as do entries of before there were limits', () => {
  expect(outputLimitIn(withOutputLimit(0, undefined))).toBeUndefined();
  expect(outputLimitIn(withTry(0, 'lost'))).toBeUndefined();
});

test('tries and limit do not touch each other', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('unexecuted' as const, 'transient' as const, 'lost' as const), {
        maxLength: 300,
      }),
      fc.option(fc.nat(100_000), { nil: undefined }),
      (causes, tokens) => {
        const tried = causes.reduce(withTry, withOutputLimit(0, tokens));
        expect(outputLimitIn(tried)).toBe(outputLimitIn(withOutputLimit(0, tokens)));
        expect(triesOf(tried)).toBe(triesOf(causes.reduce(withTry, 0)));
        expect(tried).toBe(tried >>> 0);
      },
    ),
  );
});

test.each([
  ['/v1/responses', { max_output_tokens: 100, max_tokens: 5 }, 100],
  ['/v1/chat/completions', { max_completion_tokens: 100, max_tokens: 5 }, 100],
  ['/v1/chat/completions', { max_tokens: 5, n: 3 }, 15],
  ['/v1/chat/completions', { max_tokens: '5' }, undefined],
  ['/v1/chat/completions', {}, undefined],
  ['/v1/completions', { best_of: 4 }, 64],
  ['/v1/embeddings', { max_tokens: 5 }, 0],
] as const)('%s with %j may be answered with %s tokens', (endpoint, body, tokens) => {
  expect(ENDPOINTS.get(endpoint)!.outputLimitOf(body)).toBe(tokens);
});
