/** What results cost, line by line. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Tier } from '../../../../src/contract/route.ts';
import { fromUsd } from '../../../../src/core/base/money.ts';
import { ManifestEntries } from '../../../../src/core/files/manifest.ts';
import { withOutputLimit } from '../../../../src/core/model/output-limit.ts';
import { billedOf } from '../../../../src/core/pricing/bill.ts';
import { Prices } from '../../../../src/core/pricing/prices.ts';
import { Tally } from '../../../../src/core/pricing/tally.ts';
import { OPENAI_PRICES } from '../../../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';

const NOW = Date.parse('2026-11-10T12:00:00Z');
const PRICES = new Prices(OPENAI_PRICES);

/** Ten requests of 200 bytes, each with an equal share of the batch. */
const tallyOf = (model: string, tier?: Tier, endpoint = '/v1/chat/completions', createdAt = NOW) => {
  const entries = new ManifestEntries();
  for (let index = 0; index < 10; index++)
    entries.push({
      line: index + 1,
      offset: index * 200,
      length: 199,
      tried: withOutputLimit(0, 128),
      hash0: index,
      hash1: 7,
    });
  return new Tally(
    {
      endpoint,
      model,
      requests: 10,
      bytes: 2_000,
      outputTokens: 1_000,
      createdAt,
      ...(tier === undefined ? {} : { tier }),
    },
    entries,
    PRICES,
    OPENAI_RULES.answers,
  );
};
const body = (input: number, output: number, more: Record<string, unknown> = {}) => ({
  usage: { prompt_tokens: input, completion_tokens: output },
  ...more,
});

describe('a bill', () => {
  test('counts an answer of a tier without a known price, and bills it as it was asked for', () => {
    const tally = tallyOf('gpt-5.4-mini', 'standard');
    tally.add(0, body(1_000, 0, { service_tier: 'ultrafast' }), true);
    tally.add(1, body(1_000, 0, { service_tier: 'default' }), true);
    const { unpriced, tiers } = tally.bill([]);
    expect(unpriced).toBe(1);
    expect(tiers.standard?.results).toBe(2);
  });

  test('prices input, cached input and output of each result, exactly', () => {
    const tally = tallyOf('gpt-5.4-mini');
    tally.add(0, body(1_000, 10), true);
    tally.add(
      1,
      {
        usage: {
          input_tokens: 1_001,
          input_tokens_details: { cached_tokens: 1_000 },
          output_tokens: 1,
          output_tokens_details: { reasoning_tokens: 1 },
        },
      },
      true,
    );
    // (1,000 + 1) x 0.375 + 1,000 x 0.0375 + 11 x 2.25, in millionths.
    expect(tally.bill([])).toEqual({
      tiers: {
        batch: {
          results: 2,
          usage: {
            inputTokens: 2_001,
            cachedTokens: 1_000,
            cacheWriteTokens: 0,
            cacheWrite12hTokens: 0,
            imageInputTokens: 0,
            imageOutputTokens: 0,
            outputTokens: 11,
            reasoningTokens: 1,
          },
          usd: '0.000437625',
        },
      },
      unpriced: 0,
      withoutUsage: 0,
      toolUsd: '0',
      standardUsd: '0.00087525',
      possibleUsd: '0',
    });
  });

  test('of a batch is at batch prices, whatever tier its answers name', () => {
    const tally = tallyOf('gpt-5.4-mini');
    tally.add(0, body(1_000, 0, { service_tier: 'default' }), true);
    expect(Object.keys(tally.bill([]).tiers)).toEqual(['batch']);
  });

  test('of other requests is by the tier that the answer names', () => {
    const tally = tallyOf('gpt-5.4-mini', 'flex');
    tally.add(0, body(1_000, 0, { service_tier: 'flex' }), true);
    tally.add(1, body(1_000, 0, { service_tier: 'default' }), true);
    tally.add(2, body(1_000, 0), true);
    const { tiers } = tally.bill([]);
    expect([tiers.flex, tiers.standard]).toMatchObject([
      { results: 2, usd: '0.00075' },
      { results: 1, usd: '0.00075' },
    ]);
  });

  test('reckons flex of a model without a flex price at the standard price', () => {
    const tally = tallyOf('gpt-4o-mini', 'flex');
    tally.add(0, body(1_000, 0, { service_tier: 'flex' }), true);
    expect(tally.bill([]).tiers.flex?.usd).toBe('0.00015');
  });

  test('takes the price of the model that answered, and without one that of the model that was asked', () => {
    const tally = tallyOf('gpt-4o');
    tally.add(0, body(1_000, 0, { model: 'gpt-4o-2024-05-13' }), true);
    tally.add(1, body(1_000, 0, { model: 'something-else' }), true);
    expect(tally.bill([]).tiers.batch?.usd).toBe('0.00375');
  });

  test('counts what has no price, and adds nothing for it', () => {
    const tally = tallyOf('unheard-of');
    tally.add(0, body(1_000, 10), true);
    tally.add(1, {}, false);
    expect(tally.bill([2, 3, 4])).toMatchObject({
      tiers: {},
      unpriced: 1,
      withoutUsage: 0,
      possibleUsd: '0',
    });
    expect(tally.usage()).toMatchObject({ inputTokens: 1_000, outputTokens: 10 });
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['have no usage', {}, '0'],
    ['have null for it', { usage: null }, '0'],
    ['count in no numbers', body('100' as never, '5' as never), '0'],
    ['count nothing at all', body(0, 0), '0'],
    ['do not count their input', body(0, 100), '0.000225'],
    ['do not count their output', { usage: { prompt_tokens: 100 } }, '0.0000375'],
  ])('books answers that %s with their share of the most, less what they do say', (_what, answer, usd) => {
    const tally = tallyOf('gpt-5.4-mini');
    tally.add(0, answer, true);
    tally.add(1, body(100, 10), true);
    tally.add(2, {}, false);
    const bill = tally.bill([]);
    expect(bill).toMatchObject({ unpriced: 0, withoutUsage: 1 });
    // A tenth of 1,000 tokens in and 1,000 out.
    expect(fromUsd(bill.possibleUsd)).toBe(fromUsd('0.0002625')! - fromUsd(usd)!);
    expect(fromUsd(bill.tiers.batch!.usd)).toBe(fromUsd('0.00006')! + fromUsd(usd)!);
  });

  test.each<[string, string, Record<string, unknown>]>([
    ['of a free model', 'omni-moderation-latest', {}],
    ['with no output', 'gpt-5.4-mini', body(100, 0)],
  ])('takes the word of an answer %s', (_what, model, answer) => {
    const tally = tallyOf(model);
    tally.add(0, answer, true);
    expect(tally.bill([])).toMatchObject({ unpriced: 0, withoutUsage: 0, possibleUsd: '0' });
  });

  test('asks embeddings for no output', () => {
    const tally = tallyOf('text-embedding-3-small', undefined, '/v1/embeddings');
    tally.add(0, { usage: { prompt_tokens: 100, total_tokens: 100 } }, true);
    expect(tally.bill([])).toMatchObject({ withoutUsage: 0, possibleUsd: '0' });
  });

  test('adds what tools cost by the call, the same in batch and standard, and counts what has no price', () => {
    const call = (type: string, more = {}) => ({ type, status: 'completed', ...more });
    const search = call('web_search_call', { action: { type: 'search' } });
    const tally = tallyOf('gpt-5.4-mini', undefined, '/v1/responses');
    const output = [
      search,
      call('web_search_call', { action: { type: 'open_page' } }),
      call('file_search_call'),
    ];
    tally.add(0, body(100, 10, { output }), true);
    expect(tally.bill([])).toMatchObject({ toolUsd: '0.0125', standardUsd: '0.01262', unpriced: 0 });
    expect(tally.bill([]).tiers.batch?.usd).toBe('0.01256');
    // What OpenAI says that it charges goes before what there is to be seen.
    tally.add(1, body(100, 10, { output, tool_usage: { web_search: { num_requests: 3 } } }), true);
    expect(tally.bill([]).toolUsd).toBe('0.045');
    for (const type of ['code_interpreter_call', 'image_generation_call', 'shell_call', 'unheard_of_call'])
      tally.add(2, body(100, 10, { output: [call(type), call('function_call')] }), true);
    tally.add(3, body(100, 10, { tool_usage: { image_gen: { total_tokens: 5 } } }), true);
    expect(tally.bill([])).toMatchObject({ toolUsd: '0.045', unpriced: 5 });
  });

  test('takes the preview of web search to cost more where the model does not reason', () => {
    const tools = [{ type: 'web_search_preview' }];
    const output = [{ type: 'web_search_call' }];
    for (const [model, usd] of [
      ['gpt-4o', '0.025'],
      ['gpt-5.4-mini', '0.01'],
    ] as const) {
      const tally = tallyOf(model, undefined, '/v1/responses');
      tally.add(0, body(100, 10, { tools, output }), true);
      expect(tally.bill([]).toolUsd).toBe(usd);
    }
  });

  test('of more than 272,000 input tokens is at the long price for the whole request', () => {
    const tally = tallyOf('gpt-6-luna');
    tally.add(0, body(272_000, 0), true);
    tally.add(1, body(272_001, 0), true);
    expect(tally.bill([]).tiers.batch?.usd).toBe('0.0408001');
  });

  test('counts a lost result as its share of what the batch costs at the most, and all of them as no more than that', () => {
    const tally = tallyOf('gpt-5.4-mini');
    // 1,000 tokens in, 1,000 out.
    expect(tally.bill([3]).possibleUsd).toBe('0.0002625');
    expect(tally.bill([...Array(10).keys()]).possibleUsd).toBe('0.002625');
    tally.add(0, body(1_000, 900), true);
    expect(tally.bill([1, 2, 3, 4, 5, 6, 7, 8, 9]).possibleUsd).toBe('0.000225');
  });
});

describe('properties of a bill', () => {
  const tokens = fc.nat(300_000);
  const answers = fc.record({
    model: fc.constantFrom('gpt-6.2-sol', 'gpt-6.2-sol-2026-11-17', 'gpt-4o', 'unheard-of'),
    service_tier: fc.constantFrom('default', 'flex', 'priority', undefined),
    usage: fc.record({
      input_tokens: tokens,
      output_tokens: tokens,
      input_tokens_details: fc.record({
        cached_tokens: tokens,
        cache_write_tokens: tokens,
        cache_write_tokens_details: fc.record({ ttl_30m_tokens: tokens, ttl_12h_tokens: tokens }),
      }),
    }),
    output: fc.array(fc.record({ type: fc.constantFrom('web_search_call', 'file_search_call', 'message') }), {
      maxLength: 3,
    }),
  });
  const parts = fc.array(fc.array(answers, { maxLength: 4 }), { maxLength: 4 });
  const billOf = (given: readonly Record<string, unknown>[]) => {
    const tally = tallyOf('gpt-6.2-sol', 'standard', '/v1/responses', Date.parse('2026-11-30T12:00:00Z'));
    for (const [index, answer] of given.entries()) tally.add(index % 10, answer, true);
    return tally.bill([]);
  };
  const amountsOf = (bill: ReturnType<typeof billOf>) => [
    billedOf(bill),
    fromUsd(bill.toolUsd)!,
    fromUsd(bill.standardUsd)!,
    BigInt(bill.unpriced),
  ];

  test('the bills of the parts of a batch add up to that of the whole, in any order', () => {
    fc.assert(
      fc.property(parts, (given) => {
        const sum = given
          .map((part) => amountsOf(billOf(part)))
          .reduce((all, part) => all.map((amount, index) => amount + part[index]!), [0n, 0n, 0n, 0n]);
        expect(amountsOf(billOf(given.flat()))).toEqual(sum);
        expect(amountsOf(billOf(given.flat().toReversed()))).toEqual(sum);
      }),
    );
  });

  test('an answer never costs less for being of a kind that is not said', () => {
    fc.assert(
      fc.property(answers, (answer) => {
        const { cache_write_tokens_details, ...details } = answer.usage.input_tokens_details;
        const unsaid = { ...answer, usage: { ...answer.usage, input_tokens_details: details } };
        expect(billedOf(billOf([unsaid])) >= billedOf(billOf([answer]))).toBe(true);
      }),
    );
  });
});
