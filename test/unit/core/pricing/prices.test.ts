import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { overlapsIn } from '../../../../src/contract/prices.ts';
import { PRICED_TIERS } from '../../../../src/contract/rates.ts';
import { DAY_MS } from '../../../../src/contract/time.ts';
import { formatUsd, fromUsd, toMicrodollars, toUsd } from '../../../../src/core/base/money.ts';
import { addUsage, noUsage, type TokenUsage } from '../../../../src/core/model/usage.ts';
import { PriceFileError, readPriceFile } from '../../../../src/core/pricing/price-file.ts';
import { costAt, Prices } from '../../../../src/core/pricing/prices.ts';
import { readBlock } from '../../../../src/providers/openai/prices/blocks.ts';
import { OPENAI_PRICES } from '../../../../src/providers/openai/prices/table.ts';

const AT = Date.UTC(2026, 9, 15);
const TODAY = Date.UTC(2026, 10, 30);
const usage = (
  inputTokens: number,
  outputTokens = 0,
  cachedTokens = 0,
  cacheWriteTokens = 0,
  more: Partial<TokenUsage> = {},
): TokenUsage => ({ ...noUsage(), inputTokens, cachedTokens, cacheWriteTokens, outputTokens, ...more });
const prices = new Prices(OPENAI_PRICES);
type Question = Parameters<Prices['costOf']>[1];
const usd = (
  given: ReturnType<typeof usage>,
  question: Partial<Question> & { model: string },
  from = prices,
) => {
  const cost = from.costOf(given, { tier: 'batch', at: AT, ...question });
  return cost === undefined ? undefined : toUsd(cost);
};
const MILLION = 1_000_000;
/** In requests that are not long. */
const sumOf = (times: number, given: ReturnType<typeof usage>, question: Question): bigint =>
  BigInt(times) * prices.costOf(given, question)!;

describe('the table', () => {
  const rows = OPENAI_PRICES.rows();

  test('has whole picodollars only, sources, and days that are days', () => {
    for (const row of rows) {
      for (const rate of Object.values(row.rates)) expect(Number.isSafeInteger(rate), row.model).toBe(true);
      expect(row.source).not.toBe('');
      for (const day of [row.from, row.to, row.retrieved].filter((day) => day !== undefined))
        expect(day).toMatch(/^202\d-\d\d-\d\d$/);
    }
  });

  test.each(['batch', 'flex'] as const)(
    'says half of standard in %s, but for embeddings of the small model and what was not halved',
    (tier) => {
      const notHalved = ['text-embedding-3-small', 'gpt-3.5-turbo-1106'];
      let compared = 0;
      for (const { model, context, rates, from } of rows.filter((row) => row.tier === tier)) {
        const same = rows.find(
          (row) =>
            row.tier === 'standard' && row.model === model && row.context === context && row.from === from,
        );
        if (same === undefined || notHalved.includes(model)) continue;
        compared++;
        expect([model, rates.input * 2, rates.output * 2]).toEqual([
          model,
          same.rates.input,
          same.rates.output,
        ]);
        if (rates.cached !== undefined) expect([model, rates.cached * 2]).toEqual([model, same.rates.cached]);
      }
      expect(compared).toBeGreaterThan(15);
    },
  );

  test('prices long context at twice the input and one and a half times the output', () => {
    let compared = 0;
    for (const { model, tier, rates, from } of rows.filter(({ context }) => context === 'long')) {
      const short = rows.find(
        (row) => row.context === 'short' && row.tier === tier && row.model === model && row.from === from,
      )!;
      compared++;
      expect([model, rates.input, rates.output]).toEqual([
        model,
        short.rates.input * 2,
        short.rates.output * 1.5,
      ]);
    }
    expect(compared).toBeGreaterThan(25);
  });

  test('has no two rows for the same requests on the same day, and none that ends before it begins', () => {
    expect(overlapsIn(rows)).toEqual([]);
    for (const { model, from, to } of rows)
      expect(from === undefined || to === undefined || from <= to, model).toBe(true);
  });

  test('is of the day on which a source was last read', () => {
    const days = [...rows, ...OPENAI_PRICES.fees].map(({ retrieved }) => retrieved);
    expect(days.toSorted().at(-1)).toBe(OPENAI_PRICES.date);
  });

  test('has no flex row of a model that came after flex', () => {
    expect(rows.filter(({ model, tier }) => model.startsWith('gpt-6.2') && tier === 'flex')).toEqual([]);
  });

  test('refuses what is not a row', () => {
    const block = { tier: 'batch', source: 's', retrieved: 'r' } as const;
    expect(() => readBlock({ ...block, rows: 'm 1 2 3' })).toThrow(/not a row/);
    expect(() => readBlock({ ...block, rows: 'm 1 2 3 4 5' })).toThrow(/not a row/);
    expect(() => readBlock({ ...block, rows: 'm 1 - - x' })).toThrow(/x is no price/);
    expect(() => readBlock({ ...block, rows: 'm 1 - - 2 image 3 4' })).toThrow(/not a row/);
  });
});

describe('what requests cost', () => {
  test.each([
    ['input and output', usage(200_000, 100_000), { model: 'gpt-5.4-mini' }, '0.3'],
    ['a snapshot costs what its model does', usage(200_000), { model: 'gpt-5.4-mini-2026-03-17' }, '0.075'],
    ['but for one that has a row', usage(100_000), { model: 'gpt-4o-2024-05-13' }, '0.25'],
    ['cached tokens', usage(200_000, 0, 100_000), { model: 'gpt-5.4-mini' }, '0.04125'],
    [
      'cached tokens of a model without a cached rate',
      usage(200_000, 0, 100_000),
      { model: 'gpt-4.1' },
      '0.2',
    ],
    [
      'the same at standard, which has one',
      usage(200_000, 0, 100_000),
      { model: 'gpt-4.1', tier: 'standard' },
      '0.25',
    ],
    ['cache writes', usage(200_000, 0, 0, 100_000), { model: 'gpt-5.6-luna' }, '0.0225'],
    [
      'cache writes of a model that does not charge for them',
      usage(200_000, 0, 0, 100_000),
      { model: 'gpt-5.4' },
      '0.25',
    ],
    ['up to 272,000 input tokens', usage(272_000, 1_000), { model: 'gpt-5.4' }, '0.3475'],
    ['one more, and all of the request is dearer', usage(272_001, 1_000), { model: 'gpt-5.4' }, '0.6912525'],
    ['embeddings in batch as they were seen', usage(100_000), { model: 'text-embedding-3-small' }, '0.002'],
    ['what is free', usage(100_000), { model: 'omni-moderation-latest' }, '0'],
    ['fast', usage(100_000, 100_000), { model: 'gpt-5.4', tier: 'priority' }, '3.5'],
  ] as const)('%s', (_, given, question, expected) => {
    expect(usd(given, question)).toBe(expected);
  });

  test('an unknown model, tier or length has no price, which is not the same as nothing', () => {
    expect(usd(usage(1), { model: 'gpt-99' })).toBeUndefined();
    expect(usd(usage(1), { model: 'ft:gpt-4.1-nano-2025-04-14:acme::abc' })).toBeUndefined();
    expect(usd(usage(1), { model: 'ft:gpt-4.1-mini:acme::abc', tier: 'flex' })).toBeUndefined();
    expect(usd(usage(1), { model: 'gpt-6.2-sol', tier: 'flex', at: TODAY })).toBeUndefined();
    expect(usd(usage(1), { model: 'gpt-4.1', tier: 'flex' })).toBeUndefined();
    expect(usd(usage(300_000), { model: 'gpt-5.5-pro' })).toBeUndefined();
  });

  test('prices hold from their day on', () => {
    const sol = (day: string) =>
      usd(usage(100_000), { model: 'gpt-5.6-sol', tier: 'standard', at: Date.parse(day) });
    expect(sol('2026-08-20T23:59:59Z')).toBeUndefined();
    expect(sol('2026-11-21T23:59:59Z')).toBe('0.4');
    expect(sol('2026-11-22T00:00:00Z')).toBe('0.5');
  });

  test('data residency costs a tenth more for models since March 2026 only', () => {
    const resident = new Prices(OPENAI_PRICES, { residentKeys: 'all' });
    expect(usd(usage(200_000, 0, 100_000), { model: 'gpt-5.6-luna' }, resident)).toBe('0.0121');
    expect(usd(usage(100_000), { model: 'gpt-5.2' }, resident)).toBe('0.0875');
  });

  test('data residency goes with the API key that says so, and with no other', () => {
    const resident = new Prices(OPENAI_PRICES, { residentKeys: new Set(['europe']) });
    const with_ = (apiKey?: string) => usd(usage(200_000), { model: 'gpt-5.6-luna', apiKey }, resident);
    expect([with_(), with_('europe'), with_('search'), with_()]).toEqual(['0.02', '0.022', '0.02', '0.02']);
  });

  test.each([
    ['background-8h', '1.2', '6'],
    ['background-2h', '1.4', '7'],
  ] as const)('%s is a share of standard, cached tokens included', (tier, input, output) => {
    const sol = { model: 'gpt-6.2-sol', tier, at: TODAY };
    const million = (given: TokenUsage) => sumOf(10, given, sol);
    expect(toUsd(million(usage(100_000)))).toBe(input);
    expect(toUsd(million(usage(0, 100_000)))).toBe(output);
    expect(toUsd(million(usage(100_000, 0, 100_000)) * 20n)).toBe(input);
  });

  test('a tier that is a share of another one follows the rows of a price file, or has its own', () => {
    const row = { model: 'gpt-6.2-sol', input: 1, output: 2 };
    const own = (...rows: object[]) =>
      new Prices(OPENAI_PRICES, {
        overrides: readPriceFile(JSON.stringify({ version: 1, prices: rows }), 'own.json'),
      });
    const question = { model: row.model, tier: 'background-8h', at: TODAY } as const;
    expect(usd(usage(100_000), question, own({ ...row, tier: 'standard' }))).toBe('0.06');
    expect(usd(usage(100_000), question, own({ ...row, tier: 'background-8h' }))).toBe('0.1');
    // Rounded up where a share is no whole picodollar.
    const odd = own({ ...row, tier: 'standard', input: '0.000001' });
    expect(usd(usage(1), question, odd)).toBe('0.000000000001');
  });

  test('cache writes of 12 hours cost twice those of 30 minutes', () => {
    const sol = { model: 'gpt-6.2-sol', tier: 'standard', at: TODAY } as const;
    const written = (cacheWrite12hTokens: number) =>
      usd(usage(100_000, 0, 0, 100_000, { cacheWrite12hTokens }), sol);
    expect([written(0), written(40_000), written(100_000)]).toEqual(['0.25', '0.35', '0.5']);
  });

  test('an image model bills text and image tokens apart, and the dearer end where it is not known which were cached', () => {
    const image = { model: 'gpt-image-2.6-sunburst', tier: 'standard', at: TODAY } as const;
    const of = (imageInputTokens: number, cached = 0) =>
      usd(usage(100_000, 1_000, cached, 0, { imageInputTokens, imageOutputTokens: 1_000 }), image);
    expect([of(0), of(100_000), of(40_000)]).toEqual(['0.53', '0.83', '0.65']);
    // 60,000 text and 40,000 image tokens, 20,000 of them cached: as if of the text.
    expect(of(40_000, 20_000)).toBe('0.575');
    expect(of(40_000, 80_000)).toBe('0.305');
  });

  test('a fine-tuned model costs what the row of its base says, or its own', () => {
    const model = 'ft:gpt-4.1-mini-2025-04-14:acme:triage:Ab12';
    expect(usd(usage(100_000), { model, tier: 'standard' })).toBe('0.08');
    const row = { model, tier: 'standard', input: 3, output: 4 };
    const overrides = readPriceFile(JSON.stringify({ version: 1, prices: [row] }), 'own.json');
    expect(usd(usage(100_000), { model, tier: 'standard' }, new Prices(OPENAI_PRICES, { overrides }))).toBe(
      '0.3',
    );
  });

  test('the table says its day, and that it is old after 60 days', () => {
    const on = (days: number) => prices.statedAt(Date.parse(OPENAI_PRICES.date) + days * DAY_MS);
    expect([on(-1), on(0), on(60)]).toEqual(Array(3).fill({ date: OPENAI_PRICES.date }));
    expect(on(61).warning).toMatch(/^The price table is of 2026-11-30, 61 days ago.*Update batchdrop/);
  });

  test("the issue's examples come out to the cent", () => {
    const file =
      '{"version":1,"prices":[{"model":"gpt-5.5","tier":"batch","input":2.5,"cached":1.25,"output":15}]}';
    const agreed = new Prices(OPENAI_PRICES, { overrides: readPriceFile(file, 'agreed.json') });
    expect(usd(usage(MILLION, 0, 700_000), { model: 'gpt-5.5' }, agreed)).toBe('1.625');
    const standard = { model: 'gpt-5.5', tier: 'standard', at: AT } as const;
    const batch = { ...standard, tier: 'batch' } as const;
    expect(toUsd(sumOf(10, usage(100_000), standard))).toBe('5');
    expect(toUsd(sumOf(500, usage(100_000, 20_000), standard))).toBe('550');
    const half = sumOf(250, usage(100_000, 20_000), standard) - sumOf(250, usage(100_000, 20_000), batch);
    expect(toUsd(half)).toBe('137.5');
    expect(toUsd(sumOf(10_000 * 30, usage(800, 30), { ...standard, model: 'gpt-5.4' }))).toBe('735');
  });
});

describe('properties of costs', () => {
  const models = ['gpt-5.4-mini', 'gpt-5.6-luna', 'gpt-4.1', 'gpt-6-astra', 'gpt-image-2.6-sunburst'];
  const tokens = fc.nat(50_000);
  const usages = fc.record({
    inputTokens: tokens,
    cachedTokens: tokens,
    cacheWriteTokens: tokens,
    cacheWrite12hTokens: tokens,
    imageInputTokens: tokens,
    outputTokens: tokens,
    imageOutputTokens: tokens,
    reasoningTokens: fc.constant(0),
  });
  const rates = fc
    .record({ model: fc.constantFrom(...models), tier: fc.constantFrom(...PRICED_TIERS) })
    .map((question) => prices.ratesOf({ ...question, at: TODAY, isLong: false }))
    .filter((found) => found !== undefined);

  test('never negative, and never less for more tokens of any kind', () => {
    fc.assert(
      fc.property(rates, usages, tokens, tokens, (found, given, input, output) => {
        const cost = costAt(found, given);
        expect(cost >= 0n).toBe(true);
        const more = {
          ...given,
          inputTokens: given.inputTokens + input,
          outputTokens: given.outputTokens + output,
        };
        expect(costAt(found, more) >= cost).toBe(true);
      }),
    );
  });

  /** Parts of the whole are not more than it. */
  const wholeUsages = (isImageModel: boolean) =>
    usages.map((given) => ({
      ...given,
      inputTokens:
        given.inputTokens +
        given.cachedTokens +
        given.cacheWriteTokens +
        given.cacheWrite12hTokens +
        given.imageInputTokens,
      // Which of the cached tokens were images is not known, so that their price is no sum.
      cachedTokens: isImageModel ? 0 : given.cachedTokens,
      cacheWriteTokens: given.cacheWriteTokens + given.cacheWrite12hTokens,
      outputTokens: given.outputTokens + given.imageOutputTokens,
    }));
  const priced = rates.chain((found) =>
    fc.tuple(fc.constant(found), fc.array(wholeUsages(found.imageInput !== undefined), { maxLength: 20 })),
  );

  test('the same whether usages are priced one by one, in any order, or summed first', () => {
    fc.assert(
      fc.property(priced, ([found, given]) => {
        const add = (one: bigint, other: bigint) => one + other;
        const costs = given.map((each) => costAt(found, each));
        const sum = noUsage();
        for (const each of given) addUsage(sum, each);
        expect(costs.reduce(add, 0n)).toBe(costAt(found, sum));
        expect(costs.toReversed().reduce(add, 0n)).toBe(costAt(found, sum));
      }),
    );
  });

  test('never more than if all of it were of the dearest kind', () => {
    fc.assert(
      fc.property(rates, usages, (found, given) => {
        const { input, cacheWrite = 0, cacheWrite12h = 0, imageInput = 0, output, imageOutput = 0 } = found;
        const most =
          BigInt(given.inputTokens) * BigInt(Math.max(input, cacheWrite, cacheWrite12h, imageInput)) +
          BigInt(given.outputTokens) * BigInt(Math.max(output, imageOutput));
        expect(costAt(found, given) <= most).toBe(true);
      }),
    );
  });

  test('a tier that is a share of standard costs no less than that share, and no more than standard', () => {
    fc.assert(
      fc.property(fc.constantFrom(...models), usages, (model, given) => {
        const in_ = (tier: Question['tier']) => prices.costOf(given, { model, tier, at: TODAY })!;
        const standard = in_('standard');
        for (const [tier, percent] of [
          ['background-8h', 60n],
          ['background-2h', 70n],
        ] as const) {
          expect(in_(tier) * 100n >= standard * percent).toBe(true);
          expect(in_(tier) <= standard).toBe(true);
        }
      }),
    );
  });
});

describe('money', () => {
  test('is written as an exact decimal and read back', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), (amount) => {
        expect(fromUsd(toUsd(amount))).toBe(amount);
      }),
    );
    expect([0n, 1n, -425_000_000n, 12n * 10n ** 12n].map(toUsd)).toEqual([
      '0',
      '0.000000000001',
      '-0.000425',
      '12',
    ]);
  });

  test.each(['', '-1', '1e3', '1.', '.5', ' 1', '1.0000000000001', 'NaN'])(
    'fails to read %j as money',
    (text) => {
      expect(fromUsd(text)).toBeUndefined();
    },
  );

  test('is rounded up where it is reserved', () => {
    expect([0n, 1n, 1_000_000n, 1_000_001n].map(toMicrodollars)).toEqual([0, 1, 1, 2]);
  });

  test.each([
    ['0', '$0.00'],
    ['0.004321', '$0.0043'],
    ['0.000000994', '$0.00000099'],
    ['0.995', '$1.00'],
    ['0.125', '$0.13'],
    ['1234567.891', '$1,234,567.89'],
    ['999.999', '$1,000.00'],
  ])('%s USD is shown as %s', (amount, shown) => {
    expect(formatUsd(fromUsd(amount)!)).toBe(shown);
  });
});

describe('a price file', () => {
  const file = (row: object) =>
    JSON.stringify({ version: 1, prices: [{ model: 'm', tier: 'batch', input: 1, output: 2, ...row }] });

  test('takes precedence over the table, for the days and lengths that it names', () => {
    const overrides = readPriceFile(
      file({ model: 'gpt-5.2', input: '0.1', from: '2026-10-01', to: '2026-10-31' }),
      'f.json',
    );
    const own = new Prices(OPENAI_PRICES, { overrides });
    const on = (day: string) => usd(usage(100_000), { model: 'gpt-5.2', at: Date.parse(day) }, own);
    expect(['2026-09-30', '2026-10-01', '2026-10-31', '2026-11-01'].map(on)).toEqual([
      '0.0875',
      '0.01',
      '0.01',
      '0.0875',
    ]);
  });

  test('may price what the table does not', () => {
    const own = new Prices(OPENAI_PRICES, { overrides: readPriceFile(file({ context: 'short' }), 'f.json') });
    expect(usd(usage(100_000), { model: 'm' }, own)).toBe('0.1');
    expect(usd(usage(300_000), { model: 'm' }, own)).toBeUndefined();
  });

  test.each<[string, string, RegExp]>([
    ['that is not JSON', '{', /f\.json is not JSON/],
    ['of another version', '{"version":2,"prices":[]}', /version/],
    ['with a negative price', file({ input: -1 }), /prices\.0\.input: a price is not negative/],
    ['with a negative price as text', file({ input: '-1' }), /prices\.0\.input: .*decimal/],
    ['with a price per token', file({ output: 1e9 }), /prices\.0\.output: a price is at most 100000/],
    ['with a price too fine', file({ input: '0.0000001' }), /at most 6 decimals/],
    ['of an unknown tier', file({ tier: 'scale' }), /prices\.0\.tier.*batch/],
    ['with a key that nobody knows', file({ inptu: 1 }), /inptu/],
    [
      'with days in the wrong order',
      file({ from: '2026-02-01', to: '2026-01-01' }),
      /ends before it begins: "from" is 2026-02-01 and "to" is 2026-01-01/,
    ],
    [
      'with two rows for the same requests on the same day',
      JSON.stringify({
        version: 1,
        prices: [
          { model: 'm', tier: 'batch', input: 1, output: 2, to: '2026-11-30' },
          { model: 'm', tier: 'batch', input: 1, output: 2, context: 'long', from: '2026-11-30' },
        ],
      }),
      /row 0 \(m in batch, to 2026-11-30\) and row 1 \(m in batch, long, from 2026-11-30\) overlap/,
    ],
    ['with image rates of no image model', file({ imageOutput: 1 }), /imageInput/],
    ['with a day that is none', file({ from: '2026-13-01' }), /prices\.0\.from/],
  ])('%s is refused, with what was read and where', (_, text, message) => {
    expect(() => readPriceFile(text, 'f.json')).toThrow(PriceFileError);
    expect(() => readPriceFile(text, 'f.json')).toThrow(message);
  });
});
