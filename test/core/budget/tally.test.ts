/** What results cost, line by line. */
import { describe, expect, test } from 'vitest';
import type { Tier } from '../../../src/contract/settings.ts';
import { Tally } from '../../../src/core/budget/tally.ts';
import { Prices } from '../../../src/core/prices/prices.ts';

const NOW = Date.parse('2026-11-10T12:00:00Z');
const PRICES = new Prices();

const tallyOf = (model: string, tier?: Tier) =>
  new Tally(
    {
      model,
      requests: 10,
      bytes: 2_000,
      outputTokens: 1_000,
      createdAt: NOW,
      ...(tier === undefined ? {} : { tier }),
    },
    PRICES,
  );
const body = (input: number, output: number, more: Record<string, unknown> = {}) => ({
  usage: { prompt_tokens: input, completion_tokens: output },
  ...more,
});

describe('a bill', () => {
  test('prices input, cached input and output of each result, exactly', () => {
    const tally = tallyOf('gpt-5-nano');
    tally.add(body(1_000, 10), true);
    tally.add(
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
    // (1,000 + 1) x 0.025 + 1,000 x 0.0025 + 11 x 0.2, in millionths.
    expect(tally.bill(0)).toEqual({
      tiers: {
        batch: {
          results: 2,
          usage: {
            inputTokens: 2_001,
            cachedTokens: 1_000,
            cacheWriteTokens: 0,
            outputTokens: 11,
            reasoningTokens: 1,
          },
          usd: '0.000029725',
        },
      },
      unpriced: 0,
      standardUsd: '0.00005945',
      possibleUsd: '0',
    });
  });

  test('of a batch is at batch prices, whatever tier its answers name', () => {
    const tally = tallyOf('gpt-5-nano');
    tally.add(body(1_000, 0, { service_tier: 'default' }), true);
    expect(Object.keys(tally.bill(0).tiers)).toEqual(['batch']);
  });

  test('of other requests is by the tier that the answer names', () => {
    const tally = tallyOf('gpt-5-nano', 'flex');
    tally.add(body(1_000, 0, { service_tier: 'flex' }), true);
    tally.add(body(1_000, 0, { service_tier: 'default' }), true);
    tally.add(body(1_000, 0), true);
    const { tiers } = tally.bill(0);
    expect([tiers.flex, tiers.standard]).toMatchObject([
      { results: 2, usd: '0.00005' },
      { results: 1, usd: '0.00005' },
    ]);
  });

  test('reckons flex of a model without a flex price at the standard price', () => {
    const tally = tallyOf('gpt-4o-mini', 'flex');
    tally.add(body(1_000, 0, { service_tier: 'flex' }), true);
    expect(tally.bill(0).tiers.flex?.usd).toBe('0.00015');
  });

  test('takes the price of the model that answered, and without one that of the model that was asked', () => {
    const tally = tallyOf('gpt-4o');
    tally.add(body(1_000, 0, { model: 'gpt-4o-2024-05-13' }), true);
    tally.add(body(1_000, 0, { model: 'something-else' }), true);
    expect(tally.bill(0).tiers.batch?.usd).toBe('0.00375');
  });

  test('counts what has no price, and adds nothing for it', () => {
    const tally = tallyOf('unheard-of');
    tally.add(body(1_000, 10), true);
    tally.add({}, false);
    expect(tally.bill(3)).toEqual({ tiers: {}, unpriced: 1, standardUsd: '0', possibleUsd: '0' });
    expect(tally.usage()).toMatchObject({ inputTokens: 1_000, outputTokens: 10 });
  });

  test('counts answers without tokens as unpriced, unless their model is free', () => {
    const tally = tallyOf('gpt-5-nano');
    tally.add({}, true);
    tally.add({}, false);
    expect(tally.bill(0)).toEqual({ tiers: {}, unpriced: 1, standardUsd: '0', possibleUsd: '0' });
    const free = tallyOf('omni-moderation-latest');
    free.add({}, true);
    expect(free.bill(0)).toMatchObject({ unpriced: 0 });
  });

  test('of more than 272,000 input tokens is at the long price for the whole request', () => {
    const tally = tallyOf('gpt-6-luna');
    tally.add(body(272_000, 0), true);
    tally.add(body(272_001, 0), true);
    expect(tally.bill(0).tiers.batch?.usd).toBe('0.0408001');
  });

  test('counts a lost result as its share of what the batch costs at the most, and all of them as no more than that', () => {
    const tally = tallyOf('gpt-5-nano');
    // 1,000 tokens in, 1,000 out.
    expect(tally.bill(1).possibleUsd).toBe('0.0000225');
    expect(tally.bill(10).possibleUsd).toBe('0.000225');
    tally.add(body(1_000, 900), true);
    expect(tally.bill(9).possibleUsd).toBe('0.00002');
  });
});
