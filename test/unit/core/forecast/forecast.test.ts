import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { routeSchema } from '../../../../src/contract/route.ts';
import { settingsSchema } from '../../../../src/contract/settings.ts';
import { fromMicrodollars, toUsd } from '../../../../src/core/base/money.ts';
import type { Forecast } from '../../../../src/core/forecast/file-forecast.ts';
import { type ForecastOptions, forecast } from '../../../../src/core/forecast/forecast.ts';
import { reserveFor } from '../../../../src/core/forecast/reserve.ts';
import { cachingSaves, costOfGroup, recommendTier } from '../../../../src/core/forecast/tiers.ts';
import { jobIdOf } from '../../../../src/core/model/job-id.ts';
import { readPriceFile } from '../../../../src/core/pricing/price-file.ts';
import { Prices } from '../../../../src/core/pricing/prices.ts';
import { jobBudgetLedgerOf } from '../../../../src/core/scheduling/scopes.ts';
import { additionsOf } from '../../../../src/core/steps/ingest/fill-in.ts';
import { loadTokenizer } from '../../../../src/providers/openai/gpt-tokenizer.ts';
import { OPENAI_PRICES } from '../../../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';
import { BAD_LINES } from '../../../support/bad-lines.ts';
import { BUCKET } from '../../../support/memory-store.ts';
import { startPipeline } from '../../../support/pipeline.ts';
import { propertyRuns } from '../../../support/property-runs.ts';
import { requestLine } from '../../../support/request-lines.ts';

const o200k = await loadTokenizer('gpt-6-luna');
const AT = Date.UTC(2026, 10, 25);
const prices = new Prices(OPENAI_PRICES);

function forecastOf(file: string | Uint8Array, options: Partial<ForecastOptions> = {}): Promise<Forecast> {
  async function* stream(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(file);
  }
  return forecast(stream(), {
    rules: OPENAI_RULES,
    limits: OPENAI_RULES.limits,
    tokenizerOf: () => o200k,
    prices,
    ...options,
  });
}

const chat = (id: string, content: string, body: object = {}): string =>
  requestLine(id, { body: { model: 'gpt-5.5', messages: [{ role: 'user', content }], ...body } });

describe('forecast', () => {
  it('counts every line, names what is invalid by line and byte, and forecasts the rest', async () => {
    const lines = [chat('a', 'one'), 'no json', '', chat('a', 'again'), chat('b', 'two')];
    const found = await forecastOf(lines.join('\n'));
    expect(found).toMatchObject({ lines: 4, blank: 1, invalid: 2 });
    expect(found.invalidByCode).toEqual({ invalid_json_line: 1, duplicate_custom_id: 1 });
    expect(found.firstInvalid).toMatchObject({
      invalid_json_line: [{ line: 2, byte: lines[0]!.length + 1 }],
      duplicate_custom_id: [{ line: 4, byte: lines[0]!.length + 10 }],
    });
    expect(found.batches).toMatchObject([{ model: 'gpt-5.5', requests: 2, bound: 'end' }]);
  });

  it('finds every kind of bad line that ingest finds', async () => {
    for (const [what, input, code] of BAD_LINES) {
      // Second, since a byte order mark is fine at the start of a file.
      const file = Buffer.concat([Buffer.from(`${chat('good', 'x')}\n`), Buffer.from(input)]);
      const found = await forecastOf(file);
      expect(found.firstInvalid, what).toMatchObject({ [code]: [{ line: 2 }] });
    }
    expect((await forecastOf('{}\n[]')).rejection?.code).toBe('no_valid_lines');
  });

  it('says the same of a packed file, and why a damaged one would be rejected', async () => {
    const file = Array.from({ length: 20 }, (_, index) => chat(`r${index}`, 'text '.repeat(index))).join(
      '\n',
    );
    expect(await forecastOf(gzipSync(file))).toEqual(await forecastOf(file));
    const cut = await forecastOf(gzipSync(file).subarray(0, 100));
    expect(cut.rejection?.code).toBe('gzip_corrupt');
    expect(cut.batches).toEqual([]);
  });

  it('says which limit each batch is full of', async () => {
    const lines = Array.from({ length: 7 }, (_, index) => chat(`r${index}`, 'x'.repeat(100))).join('\n');
    const bounds = async (limits: object, enqueuedTokens?: number): Promise<string[]> => {
      const options = {
        rules: OPENAI_RULES,
        limits: { ...OPENAI_RULES.limits, ...limits },
        enqueuedTokensOf: () => enqueuedTokens,
      };
      return (await forecastOf(lines, options)).batches.map(({ bound }) => bound);
    };
    expect(await bounds({ requests: 3 })).toEqual(['requests', 'requests', 'end']);
    expect(await bounds({ bytes: 800 })).toEqual(['bytes', 'bytes', 'end']);
    expect(await bounds({ outputBytes: 12_000 })).toEqual(['output', 'output', 'end']);
    expect(await bounds({}, 100)).toEqual(['tokens', 'end']);
    const inputs = Array.from({ length: 4 }, (_, index) =>
      requestLine(`r${index}`, {
        url: '/v1/embeddings',
        body: { model: 'text-embedding-3-small', input: ['a', 'b'] },
      }),
    ).join('\n');
    const embeddings = await forecastOf(inputs, {
      rules: OPENAI_RULES,
      limits: { ...OPENAI_RULES.limits, embeddingInputs: 4 },
    });
    expect(embeddings.batches.map(({ bound }) => bound)).toEqual(['embedding_inputs', 'end']);
  });

  it('forecasts the batches that ingest makes, duplicates at the edges included', async () => {
    const limits = { requests: 4, bytes: 900 };
    const lines = Array.from({ length: 40 }, (_, index) =>
      chat(
        `r${index % 31}`,
        'x'.repeat((index * 37) % 200),
        index % 3 === 0 ? { model: 'gpt-5.4-mini' } : {},
      ),
    );
    const p = await startPipeline({ limits });
    try {
      await p.drop('input/a.jsonl', lines.join('\n'));
      await p.run();
      const { jobId } = await p.receipt('input/a.jsonl');
      const made = (await p.deps.jobs.listBatches(jobId)).filter(({ round }) => round === 0);
      const { batches } = await forecastOf(lines.join('\n'), {
        rules: OPENAI_RULES,
        limits: { ...OPENAI_RULES.limits, ...limits },
      });
      const sizes = (of: readonly { model: string; requests: number; bytes: number }[]): string[] =>
        of.map(({ model, requests, bytes }) => `${model} ${requests} ${bytes}`);
      expect(sizes(batches)).toEqual(sizes(made));
    } finally {
      await p.stop();
    }
  });

  it('fills in what a route does, and asks its budget for what is reserved then', async () => {
    const route = routeSchema.parse({
      name: 'short',
      prefix: 'input/',
      tiers: ['batch'],
      budget: { perJobUsd: '5' },
      onInvalid: 'reject',
      promptCacheKey: 'by_prefix',
      defaults: {
        method: 'POST',
        url: '/v1/chat/completions',
        body: { model: 'gpt-5.5', max_completion_tokens: 90 },
      },
    });
    const settings = settingsSchema.parse({ routes: [{ ...route, onInvalid: 'quarantine' }] });
    const line = (id: string, body: object = {}): string =>
      JSON.stringify({
        custom_id: id,
        body: { messages: [{ role: 'user', content: `Say ${id}.` }], ...body },
      });
    const lines = Array.from({ length: 25 }, (_, index) =>
      line(`r${index % 22}`, index % 5 === 0 ? { max_completion_tokens: 10, n: 2 } : {}),
    );
    const text = [...lines, 'no json'].join('\n');
    const p = await startPipeline({ settings, limits: { requests: 10 } });
    try {
      await p.drop('input/a.jsonl', text);
      const jobId = jobIdOf((await p.deps.objects.head(BUCKET, 'input/a.jsonl'))!);
      const { reserved } = (await p.deps.quota.getLedger(jobBudgetLedgerOf(jobId)))!;
      const found = await forecastOf(text, {
        rules: OPENAI_RULES,
        limits: { ...OPENAI_RULES.limits, requests: 10 },
        route,
        additions: additionsOf(route, prices, AT),
        // As the pipeline of tests counts.
        tokenizerOf: () => (of) => of.length / 4,
      });
      expect(found).toMatchObject({ lines: 26, invalid: 4, rejection: { code: 'invalid_lines' } });
      const made = await p.deps.jobs.listBatches(jobId);
      expect(found.batches.map(({ requests, bytes }) => [requests, bytes])).toEqual(
        made.map(({ requests, bytes }) => [requests, bytes]),
      );
      expect(reserveFor(found.batches, route, prices, AT, OPENAI_RULES)).toEqual({
        atMost: fromMicrodollars(reserved),
        unpriced: [],
      });
    } finally {
      await p.stop();
    }
  });

  it('has no reserve for what its route offers no tier, and names what has no price', async () => {
    const { batches } = await forecastOf(
      [
        requestLine('e', { url: '/v1/embeddings', body: { model: 'text-embedding-3-small', input: 'x' } }),
        chat('a', 'x', { model: 'our-model' }),
      ].join('\n'),
    );
    expect(reserveFor(batches, { tiers: ['flex'] }, prices, AT, OPENAI_RULES)).toEqual({
      atMost: 0n,
      unpriced: ['our-model in flex'],
    });
  });

  it('cuts so that nothing is lost, whatever the limits', async () => {
    const text = fc.string({ maxLength: 300 });
    const limits = fc.record({
      requests: fc.integer({ min: 1, max: 9 }),
      bytes: fc.integer({ min: 1, max: 3_000 }),
      enqueuedTokens: fc.integer({ min: 10, max: 2_000 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, { minLength: 1, maxLength: 40 }),
        limits,
        async (texts, { requests, bytes, enqueuedTokens }) => {
          const lines = texts.map((each, index) => chat(`r${index}`, each));
          const found = await forecastOf(lines.join('\n'), {
            rules: OPENAI_RULES,
            limits: { ...OPENAI_RULES.limits, requests, bytes },
            enqueuedTokensOf: () => enqueuedTokens,
          });
          const sum = (of: 'requests' | 'bytes' | 'inputTokens'): number =>
            found.batches.reduce((total, batch) => total + batch[of], 0);
          expect(sum('requests')).toBe(texts.length);
          expect(sum('bytes')).toBe(lines.reduce((total, line) => total + Buffer.byteLength(line) + 1, 0));
          expect(sum('inputTokens')).toBe(found.groups[0]!.inputTokens);
          expect(found.groups[0]!.batches).toBe(found.batches.length);
        },
      ),
      { numRuns: propertyRuns(60) },
    );
  });

  it('adds up what answers may take, and counts the requests that set no limit', async () => {
    const lines = [
      chat('a', 'x', { max_completion_tokens: 100, n: 2 }),
      chat('b', 'x', { max_tokens: 50 }),
      chat('c', 'x'),
    ];
    const { groups } = await forecastOf(lines.join('\n'));
    expect(groups).toMatchObject([{ outputTokens: 200 + 50 + 450, unlimited: 1 }]);
  });

  it('prices requests of more than 272,000 tokens as a whole at the long price', async () => {
    const lines = [
      chat('long', 'word '.repeat(280_000), { max_tokens: 1_000 }),
      chat('short', 'Hello', { max_tokens: 1_000 }),
    ];
    const { groups } = await forecastOf(lines.join('\n'));
    const [group] = groups;
    expect(group!.long).toMatchObject({ requests: 1, firstLines: [1], outputTokens: 1_000 });
    const short = group!.inputTokens - group!.long.inputTokens;
    const cost = costOfGroup(prices, group!, 'batch', { at: AT }, OPENAI_RULES)!;
    // $2.50 and $15 a million in batch; long: $5 and $22.50.
    expect(Number(toUsd(cost.input))).toBeCloseTo((group!.long.inputTokens * 5 + short * 2.5) / 1e6, 9);
    expect(toUsd(cost.output)).toBe('0.0375');
    expect(Number(toUsd(cost.longExtra))).toBeCloseTo((group!.long.inputTokens * 2.5 + 1_000 * 7.5) / 1e6, 9);
  });

  it('knows no price, rather than nothing, for a model that is not in the table, until a price file has it', async () => {
    const { groups } = await forecastOf(chat('a', 'x', { model: 'our-model' }));
    expect(costOfGroup(prices, groups[0]!, 'batch', { at: AT }, OPENAI_RULES)).toBeUndefined();
    const file = '{"version":1,"prices":[{"model":"our-model","tier":"batch","input":1,"output":1}]}';
    const ours = new Prices(OPENAI_PRICES, { overrides: readPriceFile(file, 'ours.json') });
    expect(costOfGroup(ours, groups[0]!, 'batch', { at: AT }, OPENAI_RULES)).toBeDefined();
  });

  it('says what caching saves at most: nothing where the tier has no price for it', async () => {
    const system = { role: 'system', content: 'Some instructions that are the same. '.repeat(300) };
    const lines = Array.from({ length: 5 }, (_, index) =>
      requestLine(`r${index}`, {
        body: { model: 'gpt-5.5', messages: [system, { role: 'user', content: `${index} ?` }] },
      }),
    );
    const { prefixes } = await forecastOf(lines.join('\n'));
    const [shared] = prefixes.shared;
    expect(shared).toMatchObject({ requests: 5, firstLine: 1 });
    // $2.50 and $0.25 a million in batch.
    expect(toUsd(cachingSaves(prices, prefixes, 'gpt-5.5', 'batch', { at: AT })!)).toBe(
      toUsd(BigInt(4 * shared!.tokens) * 2_250_000n),
    );
    expect(cachingSaves(prices, prefixes, 'gpt-4o', 'batch', { at: AT })).toBeUndefined();
  });

  it('takes the same text behind different images for no beginning that is shared', async () => {
    const text = { type: 'text', text: 'Some instructions that are the same. '.repeat(300) };
    const lines = Array.from({ length: 5 }, (_, index) => {
      const image = { type: 'image_url', image_url: { url: `https://example.com/${index}.png` } };
      return requestLine(`r${index}`, {
        body: { model: 'gpt-5.5', messages: [{ role: 'user', content: [image, text] }] },
      });
    });
    expect((await forecastOf(lines.join('\n'))).prefixes).toMatchObject({ shared: [], requests: 0 });
  });
});

describe('recommendTier', () => {
  const HOUR_MS = 3_600_000;
  const group = { model: 'gpt-5.5', inputTokens: 60_000_000 } as Forecast['groups'][number];
  const recommend = (question: Partial<Parameters<typeof recommendTier>[0]>): string | undefined =>
    recommendTier({ groups: [group], isPriced: () => true, ...question }).tier;

  it.each<[string, Partial<Parameters<typeof recommendTier>[0]>, string | undefined]>([
    ['batch without a deadline', {}, 'batch'],
    ['batch where a day is left', { deadlineMs: 24 * HOUR_MS }, 'batch'],
    ['batch where a shorter window is left', { deadlineMs: 6 * HOUR_MS, completionWindow: '6h' }, 'batch'],
    ['another tier where a longer one is not', { deadlineMs: 24 * HOUR_MS, completionWindow: '2d' }, 'flex'],
    ['flex where less than a day is left', { deadlineMs: 24 * HOUR_MS - 1 }, 'flex'],
    [
      'flex where the queue has to be filled twice',
      { deadlineMs: 24 * HOUR_MS, enqueuedTokensOf: () => 40_000_000 },
      'flex',
    ],
    [
      'batch where there is time to fill it twice',
      { deadlineMs: 48 * HOUR_MS, enqueuedTokensOf: () => 40_000_000 },
      'batch',
    ],
    [
      'flex while half as long again and 15 minutes fit',
      { deadlineMs: 105 * 60_000, tokensPerMinute: 1_000_000 },
      'flex',
    ],
    ['standard below that', { deadlineMs: 105 * 60_000 - 1, tokensPerMinute: 1_000_000 }, 'standard'],
    ['no tier that is too slow', { deadlineMs: HOUR_MS - 1, tokensPerMinute: 1_000_000 }, undefined],
    [
      'the long window where it and standard after it fit',
      { deadlineMs: 11.5 * HOUR_MS, tokensPerMinute: 1_000_000, isPriced: (tier) => tier !== 'flex' },
      'background-8h',
    ],
    [
      'the short window where the long one does not fit',
      { deadlineMs: 11.5 * HOUR_MS - 1, tokensPerMinute: 1_000_000, isPriced: (tier) => tier !== 'flex' },
      'background-2h',
    ],
    [
      'no window at an endpoint that has none',
      { deadlineMs: 12 * HOUR_MS, isPriced: (tier) => tier === 'batch' || tier === 'standard' },
      'standard',
    ],
    [
      'the window that fits by itself while the pace is not known',
      { deadlineMs: 3 * HOUR_MS, isPriced: (tier) => tier !== 'flex' },
      'background-2h',
    ],
    [
      'standard where flex has no price',
      { deadlineMs: 5 * HOUR_MS, tokensPerMinute: 1_000_000, isPriced: (tier) => tier !== 'flex' },
      'standard',
    ],
  ])('recommends %s', (_, question, tier) => {
    expect(recommend(question)).toBe(tier);
  });
});
