/** Answers that do not say what they used: a budget holds all the same. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Tier } from '../../../src/contract/route.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { DAY_MS, HOUR_MS } from '../../../src/contract/time.ts';
import { fromUsd } from '../../../src/core/base/money.ts';
import { ManifestEntries } from '../../../src/core/files/manifest.ts';
import { withOutputLimit } from '../../../src/core/model/output-limit.ts';
import { boundOf, sharesOf, sizeOf } from '../../../src/core/pricing/bound.ts';
import { Prices } from '../../../src/core/pricing/prices.ts';
import { Tally } from '../../../src/core/pricing/tally.ts';
import { dayBudgetLedgerOf } from '../../../src/core/scheduling/scopes.ts';
import { OPENAI_PRICES } from '../../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../../src/providers/openai/rules.ts';
import { startPipeline } from '../../support/pipeline.ts';

const KEY = 'input/a.jsonl';
const REQUESTS = 120;
const PRICES = new Prices(OPENAI_PRICES);
const NOW = Date.parse('2026-11-10T12:00:00Z');

const line = (index: number): string =>
  JSON.stringify({
    custom_id: `r${index}`,
    method: 'POST',
    url: '/v1/chat/completions',
    body: {
      model: 'gpt-5.4-mini',
      max_completion_tokens: 41,
      messages: [{ role: 'user', content: `question ${index}` }],
    },
  });

/** Runs as many requests as a day has room for, with one change of the usage of each answer. */
async function runADay(tier: Tier, operation: Record<string, unknown>) {
  const p = await startPipeline({
    settings: settingsSchema.parse({
      routes: [{ name: 'r', prefix: 'input/', tiers: [tier], budget: { perDayUsd: '0.002' } }],
    }),
    emulator: {
      faults: [
        {
          match: {},
          effect: { kind: 'line.patch', operations: [{ path: '/response/body/usage', ...operation }] },
        },
      ] as never,
    },
  });
  try {
    const lines = Array.from({ length: REQUESTS }, (_, index) => line(index));
    await p.drop(KEY, lines.join('\n'));
    const begun = p.emulator.clock.now();
    const midnight = Math.floor(begun / DAY_MS + 1) * DAY_MS;
    await p.run((midnight - begun) / HOUR_MS - 0.5);
    const ledger = await p.deps.quota.getLedger(dayBudgetLedgerOf('r', begun));
    const onTheFirstDay = (await p.emulator.ledger.all()).length;
    p.deps.settings.routes[0]!.budget = 'unlimited';
    await p.run();
    return { onTheFirstDay, used: ledger!.used, receipt: await p.receipt(KEY), failures: p.failures };
  } finally {
    await p.stop();
  }
}

describe('a budget of $0.002 a day', () => {
  test.each<[Tier, string, Record<string, unknown>, number]>([
    ['batch', 'no usage', { op: 'remove' }, 0.000_11],
    ['batch', 'usage: null', { op: 'replace', value: null }, 0.000_11],
    ['flex', 'zeros', { op: 'replace', value: { prompt_tokens: 0, completion_tokens: 0 } }, 0.000_11],
    ['standard', 'text', { op: 'replace', value: { prompt_tokens: '11', completion_tokens: '9' } }, 0.000_22],
  ])('holds in %s for answers with %s', async (tier, _what, operation, mostUsd) => {
    const { onTheFirstDay, used, receipt, failures } = await runADay(tier, operation);
    expect(failures).toEqual([]);
    // What a request may cost at the most is `mostUsd`, a little less; the rest of the budget is too small for another
    // cut.
    expect(used).toBeLessThanOrEqual(2_000);
    expect(onTheFirstDay).toBeLessThanOrEqual(Math.ceil(0.002 / (mostUsd * 0.9)));
    expect(onTheFirstDay).toBeGreaterThanOrEqual(Math.floor(0.0015 / mostUsd));
    expect(receipt).toMatchObject({
      result: 'succeeded',
      counts: { succeeded: REQUESTS },
      usage: { inputTokens: 0, outputTokens: 0 },
      cost: { usd: '0', withoutUsage: REQUESTS, unpriced: 0 },
    });
    expect(Number(receipt.cost.possibleUsd)).toBeGreaterThan(REQUESTS * mostUsd * 0.8);
    expect(Number(receipt.cost.possibleUsd)).toBeLessThan(REQUESTS * mostUsd);
  });
});

describe('shares of what a batch may cost at the most', () => {
  const requests = fc.array(
    fc.record({
      length: fc.integer({ min: 20, max: 50_000 }),
      limit: fc.option(fc.integer({ min: 0, max: 30_000 }), { nil: undefined }),
      /** Tokens that the answer says, if it says any. */
      said: fc.option(fc.tuple(fc.integer({ min: 1, max: 20_000 }), fc.nat({ max: 20_000 })), {
        nil: undefined,
      }),
      fate: fc.constantFrom('answered', 'lost', 'failed'),
    }),
    { minLength: 1, maxLength: 30 },
  );
  const batchArbitrary = fc.record({
    requests,
    tokens: fc.option(fc.integer({ min: 1, max: 500_000 }), { nil: undefined }),
  });

  function batchOf({
    requests: given,
    tokens,
  }: {
    requests: { length: number; limit: number | undefined }[];
    tokens: number | undefined;
  }) {
    const entries = new ManifestEntries();
    let offset = 0;
    for (const [index, { length, limit }] of given.entries()) {
      entries.push({
        line: index + 1,
        offset,
        length,
        tried: withOutputLimit(0, limit),
        hash0: index,
        hash1: 7,
      });
      offset += length + 1;
    }
    const model = 'gpt-5.4-mini';
    const batch = {
      endpoint: '/v1/chat/completions',
      model,
      requests: given.length,
      bytes: offset,
      ...sizeOf(entries, PRICES.unlimitedOutputTokens(model)),
      ...(tokens === undefined ? {} : { tokens }),
      createdAt: NOW,
    };
    return { batch, entries };
  }

  test('add up to it, and none is less than nothing', () => {
    fc.assert(
      fc.property(batchArbitrary, (given) => {
        const { batch, entries } = batchOf(given);
        const shares = sharesOf(batch, entries, PRICES, NOW)!;
        expect(shares.every((share) => share >= 0n)).toBe(true);
        expect(shares.reduce((sum, share) => sum + share, 0n)).toBe(boundOf(batch, PRICES, NOW));
      }),
    );
  });

  test('are booked for what answers do not say: never more in all than was reserved, unless the answers say so', () => {
    fc.assert(
      fc.property(batchArbitrary, (given) => {
        const { batch, entries } = batchOf(given);
        const tally = new Tally(batch, entries, PRICES, OPENAI_RULES.answers);
        const lost: number[] = [];
        for (const [index, { said, fate }] of given.requests.entries()) {
          if (fate === 'lost') lost.push(index);
          else {
            const usage = said === undefined ? null : { prompt_tokens: said[0], completion_tokens: said[1] };
            tally.add(index, { usage }, fate === 'answered');
          }
        }
        const bill = tally.bill(lost);
        const silent = given.requests.filter(({ said, fate }) => fate === 'answered' && said === undefined);
        expect(bill.withoutUsage).toBe(silent.length);
        const bound = boundOf(batch, PRICES, NOW)!;
        const cost = fromUsd(bill.tiers.batch?.usd ?? '0')!;
        const possible = fromUsd(bill.possibleUsd)!;
        const shares = sharesOf(batch, entries, PRICES, NOW)!;
        const unknown = given.requests.reduce(
          (sum, { said, fate }, index) =>
            fate === 'lost' || (fate === 'answered' && said === undefined) ? sum + shares[index]! : sum,
          0n,
        );
        const left = bound > cost ? bound - cost : 0n;
        expect(possible).toBe(unknown < left ? unknown : left);
      }),
    );
  });
});
