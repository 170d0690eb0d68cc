/**
 * A recount that shares nothing with the accounting: it reads the result files that a person gets, takes its prices
 * from the table below, and comes to what the receipt and the ledgers say.
 */
import { expect, test } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/emulator.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { type Pipeline, startPipeline } from '../../support/pipeline.ts';

type Rates = [input: string, cached: string, output: string];
const TIERS = ['batch', 'flex', 'standard'] as const;

/** USD per million tokens: input, cached input, output. Source: OpenAI's page "Pricing". */
const PRICES: Record<string, { batch: Rates; flex?: Rates; standard: Rates }> = {
  'gpt-5.4-mini': {
    batch: ['0.375', '0.0375', '2.25'],
    flex: ['0.375', '0.0375', '2.25'],
    standard: ['0.75', '0.075', '4.5'],
  },
  // No discount for cached input in batch; no price in flex, so that it is reckoned as standard.
  'gpt-4o-mini': {
    batch: ['0.075', '0.075', '0.3'],
    flex: ['0.15', '0.075', '0.6'],
    standard: ['0.15', '0.075', '0.6'],
  },
  'gpt-5.4': {
    batch: ['1.25', '0.125', '7.5'],
    flex: ['1.25', '0.125', '7.5'],
    standard: ['2.5', '0.25', '15'],
  },
  // Not halved in batch.
  'text-embedding-3-small': { batch: ['0.02', '0.02', '0'], standard: ['0.02', '0.02', '0'] },
};
const MODELS = Object.keys(PRICES);
const KEY = 'input/mixed.jsonl';

/** Numbers that look random, the same for a seed. */
function numbers(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 374_761_393) | 0;
    return (state >>> 0) / 2 ** 32;
  };
}

function requestLine(next: () => number, index: number): string {
  const model = MODELS[Math.floor(next() * MODELS.length)]!;
  const id = `r${String(index).padStart(3, '0')}`;
  const text = 'word '.repeat(1 + Math.floor(next() * 400));
  const max = 1 + Math.floor(next() * 40);
  if (model.startsWith('text-embedding'))
    return JSON.stringify({
      custom_id: id,
      method: 'POST',
      url: '/v1/embeddings',
      body: { model, input: text },
    });
  const [url, body] =
    next() < 0.5
      ? ['/v1/responses', { model, input: text, max_output_tokens: max }]
      : [
          '/v1/chat/completions',
          { model, messages: [{ role: 'user', content: text }], max_completion_tokens: max },
        ];
  return JSON.stringify({ custom_id: id, method: 'POST', url, body });
}

/** Some cached, some refused, some that fail and are run again; one batch expires half-way. */
const FAULTS: FaultRule[] = [
  { match: { custom_id: '[05]$' }, effect: { kind: 'line.cached', tokens: 37 } },
  { match: { custom_id: '3$' }, effect: { kind: 'line.status', status: 400 } },
  { match: { custom_id: '7$' }, times: 4, effect: { kind: 'line.status', status: 500 } },
  { match: { custom_id: '11$' }, times: 1, effect: { kind: 'line.status', status: 0 } },
  { times: 2, effect: { kind: 'batch.expire', done: 7 } },
];

/** Millionths of a millionth of a USD. */
const picodollars = (perMillion: string, tokens: number): bigint => {
  const [whole, fraction = ''] = perMillion.split('.');
  return BigInt(whole! + fraction.padEnd(6, '0')) * BigInt(tokens);
};
const decimal = (amount: bigint): string => {
  const digits = String(amount).padStart(13, '0');
  const fraction = digits.slice(-12).replace(/0+$/, '');
  return digits.slice(0, -12) + (fraction && `.${fraction}`);
};

interface Count {
  results: number;
  input: number;
  cached: number;
  output: number;
  reasoning: number;
  /** What it cost, in all and by tier, and what it would have cost in standard. */
  cost: bigint;
  tiers: Map<string, { results: number; cost: bigint }>;
  standard: bigint;
}

/** Lines of a batch are billed as such; others by what their answers say, which embeddings do not. */
function tierOf({ id, response }: { id: string; response: { body: { service_tier?: string } } }) {
  if (!id.startsWith('call_')) return 'batch';
  return response.body.service_tier === 'flex' ? 'flex' : 'standard';
}

/** Adds up what the files hold. */
async function recount(p: Pipeline): Promise<Count> {
  const count: Count = {
    results: 0,
    input: 0,
    cached: 0,
    output: 0,
    reasoning: 0,
    cost: 0n,
    tiers: new Map(),
    standard: 0n,
  };
  for (const line of [...(await p.output(KEY)), ...(await p.errors(KEY))]) {
    const { response } = line;
    const usage = response?.body?.usage;
    if (usage === undefined) continue;
    const model = MODELS.find((name) => response.body.model.startsWith(name))!;
    const input = usage.input_tokens ?? usage.prompt_tokens;
    const cached = (usage.input_tokens_details ?? usage.prompt_tokens_details)?.cached_tokens ?? 0;
    const output = usage.output_tokens ?? usage.completion_tokens ?? 0;
    count.results++;
    count.input += input;
    count.cached += cached;
    count.output += output;
    count.reasoning +=
      (usage.output_tokens_details ?? usage.completion_tokens_details)?.reasoning_tokens ?? 0;
    const costIn = (tier: (typeof TIERS)[number]): bigint => {
      const [full, discounted, out] = PRICES[model]![tier]!;
      return picodollars(full, input - cached) + picodollars(discounted, cached) + picodollars(out, output);
    };
    const tier = tierOf(line);
    const { results, cost } = count.tiers.get(tier) ?? { results: 0, cost: 0n };
    count.tiers.set(tier, { results: results + 1, cost: cost + costIn(tier) });
    count.cost += costIn(tier);
    count.standard += costIn('standard');
  }
  return count;
}

test.each([1, 2, 3, 4, 5, 6])('seed %i: files, receipt and ledgers agree', async (seed) => {
  const next = numbers(seed);
  const budget = seed % 2 === 0 ? 'unlimited' : { perJobUsd: '2', perDayUsd: '5' };
  const p = await startPipeline({
    settings: settingsSchema.parse({
      routes: [{ name: 'mixed', prefix: 'input/', tiers: ['batch'], budget }],
    }),
    limits: { requests: 20 },
    emulator: { seed, faults: FAULTS },
    twice: seed % 3 === 0,
  });
  try {
    const lines = Array.from({ length: 120 }, (_, index) => requestLine(next, index));
    await p.drop(KEY, [...lines, 'not a request'].join('\n'));
    await p.run(10 * 24);
    const receipt = await p.receipt(KEY);
    const count = await recount(p);
    const { cost, usage, batches } = receipt;
    expect(batches.map(({ status }) => status)).toContain('expired');
    expect(count.cached).toBeGreaterThan(0);
    expect(receipt.counts).toMatchObject({ requests: 121, invalid: 1, succeeded: count.results });
    expect(usage).toEqual({
      inputTokens: count.input,
      cachedTokens: count.cached,
      cacheWriteTokens: 0,
      cacheWrite12hTokens: 0,
      imageInputTokens: 0,
      imageOutputTokens: 0,
      outputTokens: count.output,
      reasoningTokens: count.reasoning,
    });
    expect(cost).toMatchObject({
      usd: decimal(count.cost),
      standardUsd: decimal(count.standard),
      savedUsd: decimal(count.standard - count.cost),
      byTier: { batch: { results: count.results, usd: decimal(count.cost) } },
      unpriced: 0,
      usageDiffers: 0,
    });
    // Answers of which OpenAI lost the line: bounded, and no more than there were.
    const lost = Object.values(receipt.possiblyBilledTwice).reduce((sum, more) => sum + more, 0);
    expect([Number(cost.possibleUsd) > 0, lost > 0]).toEqual([lost > 0, true]);
    const perBatch = batches.reduce((sum, { usd }) => sum + Math.ceil(Number(usd) * 1e6 - 1e-7), 0);
    const month = await p.deps.quota.getLedger(`spent/${receipt.timings.claimedAt.slice(0, 7)}`);
    expect(month!.reserved).toBe(0);
    expect(month!.used).toBeGreaterThanOrEqual(perBatch);
    expect(month!.used).toBeLessThanOrEqual(perBatch + Number(cost.possibleUsd) * 1e6 + batches.length);
  } finally {
    await p.stop();
  }
});

test('a job that goes down the ladder is billed by the tier of each answer', async () => {
  const next = numbers(7);
  const p = await startPipeline({
    settings: settingsSchema.parse({
      routes: [
        {
          name: 'mixed',
          prefix: 'input/',
          tiers: ['batch', 'flex', 'standard'],
          deadline: '2h',
          budget: { perJobUsd: '2' },
        },
      ],
    }),
    limits: { requests: 20 },
    emulator: {
      seed: 7,
      faults: [
        { match: { custom_id: '[05]$' }, effect: { kind: 'line.cached', tokens: 37 } },
        { match: { custom_id: '3$' }, effect: { kind: 'line.status', status: 400 } },
        { match: { batch: [1, 2, 3, 4] }, effect: { kind: 'batch.stuck', state: 'in_progress' } },
        { match: { tier: '^flex$', custom_id: '2$' }, effect: { kind: 'line.tier', tier: 'default' } },
      ],
    },
  });
  try {
    await p.drop(KEY, Array.from({ length: 160 }, (_, index) => requestLine(next, index)).join('\n'));
    await p.run();
    const receipt = await p.receipt(KEY);
    const count = await recount(p);
    expect([...count.tiers.keys()].sort()).toEqual(['batch', 'flex', 'standard']);
    expect(receipt.cost).toMatchObject({
      usd: decimal(count.cost),
      standardUsd: decimal(count.standard),
      savedUsd: decimal(count.standard - count.cost),
      unpriced: 0,
    });
    for (const tier of TIERS) {
      const { results, cost } = count.tiers.get(tier)!;
      expect(receipt.cost.byTier[tier], tier).toMatchObject({ results, usd: decimal(cost) });
    }
    const { tiers, counts, timings } = receipt;
    const sums = Object.values(tiers).reduce(
      (sum, { succeeded, failed }) => [sum[0]! + succeeded, sum[1]! + failed],
      [0, 0],
    );
    expect(sums).toEqual([counts.succeeded, counts.failed]);
    expect(timings.ranMs).toBeGreaterThan(0);
    const { reserved, used } = (await p.deps.quota.getLedger(`budget/job/${receipt.jobId}`))!;
    const cost = Number(count.cost) / 1e6;
    expect([reserved, used >= cost, used < cost + receipt.batches.length]).toEqual([0, true, true]);
  } finally {
    await p.stop();
  }
});
