/** Whether a batch may go by its budget: a table of cases, and properties. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toMicrodollars, toUsd } from '../../../../src/core/base/money.ts';
import { ManifestEntries, renderedBytes } from '../../../../src/core/files/manifest.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import type { Ledger } from '../../../../src/core/model/ledger.ts';
import { withOutputLimit } from '../../../../src/core/model/output-limit.ts';
import { boundOf, cutByCost, sizeOf } from '../../../../src/core/pricing/bound.ts';
import { Prices } from '../../../../src/core/pricing/prices.ts';
import { cutByTokens, type Part } from '../../../../src/core/pricing/recut.ts';
import { dayBudgetPercent, judgeMoney, type MoneyRules } from '../../../../src/core/scheduling/budget.ts';
import { newLedger } from '../../../../src/core/scheduling/ledger.ts';
import {
  dayBudgetLedgerOf,
  jobBudgetLedgerOf,
  monthLedgerOf,
} from '../../../../src/core/scheduling/scopes.ts';
import { OPENAI_PRICES } from '../../../../src/providers/openai/prices/table.ts';
import { propertyRuns } from '../../../support/property-runs.ts';
import { batchOf } from '../../../support/records.ts';

const NOW = Date.parse('2026-11-10T12:00:00Z');
const PRICES = new Prices(OPENAI_PRICES);
const JOB_LEDGER = jobBudgetLedgerOf('a');
const DAY_LEDGER = dayBudgetLedgerOf('nightly', NOW);

/** Requests by their length in bytes and the most output tokens that they ask for. */
const requestsArbitrary = fc.array(
  fc.tuple(fc.integer({ min: 1, max: 5_000 }), fc.option(fc.nat(9_000), { nil: undefined })),
  { minLength: 1, maxLength: 60 },
);

function entriesOf(requests: readonly (readonly [number, number | undefined])[]): ManifestEntries {
  const entries = new ManifestEntries();
  for (const [index, [length, limit]] of requests.entries()) {
    const tried = withOutputLimit(0, limit);
    entries.push({ line: index + 1, offset: index * 10_000, length, tried, hash0: index, hash1: 7 });
  }
  return entries;
}

/** gpt-5.4-mini in batch: 0.375 USD in, 2.25 USD out, per million tokens. */
function batch(changes: Partial<BatchRecord> = {}): BatchRecord {
  return batchOf('a', 0, {
    endpoint: '/v1/chat/completions',
    model: 'gpt-5.4-mini',
    requests: 100,
    bytes: 100_000,
    outputTokens: 38_000,
    longestBytes: 1_000,
    createdAt: NOW,
    updatedAt: NOW,
    ...changes,
  });
}
/** 50,000 tokens in, 38,000 out. */
const BOUND = 18_750 + 85_500;

const rules = (changes: Partial<MoneyRules> = {}): MoneyRules => ({
  name: 'nightly',
  budget: { perJobUsd: '1' },
  overBudget: 'wait',
  allowUnpriced: false,
  ...changes,
});
const ledger = (name: string, reserved: number, used: number): [string, Ledger] => [
  name,
  { ...newLedger(name, NOW), reserved, used },
];
const judge = (changes: Partial<BatchRecord>, money: Partial<MoneyRules>, ...current: [string, Ledger][]) =>
  judgeMoney(batch(changes), rules(money), new Map(current), PRICES, NOW);

describe('what a batch costs at the most', () => {
  test.each([
    ['without an estimate, two bytes a token', {}, '0.10425'],
    ['with an estimate, a tenth and 16 tokens a request more', { tokens: 20_000 }, '0.09435'],
    ['in standard, twice as much', { tier: 'standard' }, '0.2085'],
    [
      'where the output is not known, 25,000 tokens a reasoning answer',
      { outputTokens: undefined },
      '5.64375',
    ],
    ['in flex without a flex price, as in standard', { model: 'gpt-4o-mini', tier: 'flex' }, '0.0303'],
    ['with cache writes, as if all input were written for 12 hours', { model: 'gpt-6-luna' }, '0.01575'],
    ['of a completion window, as in standard', { tier: 'background-8h' }, '0.2085'],
    [
      'with a request that may be long, at the long price',
      { model: 'gpt-6-luna', longestBytes: 544_002 },
      '0.02675',
    ],
  ] as [string, Partial<BatchRecord>, string][])('%s', (_what, changes, usd) => {
    const { outputTokens, ...rest } = batch(changes);
    const bound = boundOf(outputTokens === undefined ? rest : { ...rest, outputTokens }, PRICES, NOW);
    expect(toUsd(bound!)).toBe(usd);
  });

  test('is not known for a model without a price', () => {
    expect(boundOf(batch({ model: 'unheard-of' }), PRICES, NOW)).toBeUndefined();
  });

  test('is not less than that of its parts, each of which is as cheap as was asked for or a single request', () => {
    fc.assert(
      fc.property(
        requestsArbitrary,
        fc.option(fc.integer({ min: 1, max: 100_000 }), { nil: undefined }),
        fc.integer({ min: 1, max: 200_000 }),
        (requests, tokens, most) => {
          const entries = entriesOf(requests);
          const bytes = requests.reduce((sum, [length]) => sum + length + 1, 0);
          const whole = batch({
            requests: requests.length,
            bytes,
            ...sizeOf(entries, PRICES.unlimitedOutputTokens('gpt-5.4-mini')),
            ...(tokens === undefined ? {} : { tokens }),
          });
          const parts = cutByCost(whole, entries, { microdollars: most, maxParts: 1_000_000 }, PRICES, NOW);
          expect(
            parts.flatMap((part) =>
              Array.from({ length: part.entries.count }, (_, i) => part.entries.line(i)),
            ),
          ).toEqual(requests.map((_, index) => index + 1));
          for (const part of parts) {
            let partBytes = 0;
            for (let index = 0; index < part.entries.count; index++)
              partBytes += part.entries.length(index) + 1;
            const bound = boundOf(
              {
                model: 'gpt-5.4-mini',
                requests: part.entries.count,
                bytes: partBytes,
                ...(part.tokens === undefined ? {} : { tokens: part.tokens }),
                ...sizeOf(part.entries, PRICES.unlimitedOutputTokens('gpt-5.4-mini')),
              },
              PRICES,
              NOW,
            )!;
            if (part.entries.count > 1) expect(toMicrodollars(bound)).toBeLessThanOrEqual(most);
          }
        },
      ),
      { numRuns: propertyRuns(2_000) },
    );
  });

  test('an estimate is raised by exactly a tenth, so that no sum of estimates is dearer than these one by one', () => {
    for (let tokens = 10; tokens <= 50_000; tokens += 10) {
      const bound = boundOf(batch({ requests: 1, tokens, outputTokens: 0 }), PRICES, NOW);
      expect(bound).toBe(375_000n * BigInt((tokens / 10) * 11 + 16));
    }
  });
});

describe('what is cut', () => {
  /** Of a part, as collect records it. */
  const recorded = ({ entries, tokens }: Part) => ({
    model: 'gpt-5.4-mini',
    requests: entries.count,
    bytes: renderedBytes(entries),
    ...(tokens === undefined ? {} : { tokens }),
    ...sizeOf(entries, PRICES.unlimitedOutputTokens('gpt-5.4-mini')),
  });
  test('may cost no less in all than the batch might, cut by tokens or by cost, counted or not, again and again', () => {
    fc.assert(
      fc.property(
        requestsArbitrary,
        fc.option(fc.integer({ min: 1, max: 100_000 }), { nil: undefined }),
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 200_000 })), {
          minLength: 1,
          maxLength: 3,
        }),
        (requests, tokens, cuts) => {
          const entries = entriesOf(requests);
          const whole: Part = { entries, ...(tokens === undefined ? {} : { tokens }) };
          let parts = [whole];
          for (const [byTokens, most] of cuts) {
            parts = parts.flatMap((part) =>
              byTokens
                ? cutByTokens(recorded(part), part.entries, most)
                : cutByCost(
                    recorded(part),
                    part.entries,
                    { microdollars: most, maxParts: 1_000 },
                    PRICES,
                    NOW,
                  ),
            );
          }
          const bounds = parts.map((part) => boundOf(recorded(part), PRICES, NOW)!);
          expect(bounds.reduce((sum, bound) => sum + bound, 0n)).toBeGreaterThanOrEqual(
            boundOf(recorded(whole), PRICES, NOW)!,
          );
          if (tokens !== undefined) return;
          // Nobody has counted, so it is two bytes a token still, in every part.
          for (const [index, part] of parts.entries()) {
            const { bytes, outputTokens } = recorded(part);
            const { input, output } = PRICES.ratesOf({
              model: 'gpt-5.4-mini',
              tier: 'batch',
              at: NOW,
              isLong: false,
            })!;
            expect(bounds[index]).toBeGreaterThanOrEqual(
              BigInt(Math.ceil(bytes / 2) * input + outputTokens * output),
            );
          }
        },
      ),
    );
  });
});

describe('what a budget says of a batch', () => {
  test('what fits is reserved on the budgets of job and day, and on the month', () => {
    expect(judge({}, { budget: { perJobUsd: '1', perDayUsd: '2.5' } })).toEqual({
      kind: 'fits',
      demands: [
        { ledger: JOB_LEDGER, amount: BOUND, limit: 1_000_000 },
        { ledger: DAY_LEDGER, amount: BOUND, limit: 2_500_000 },
        { ledger: monthLedgerOf(NOW), amount: BOUND, limit: Number.MAX_SAFE_INTEGER },
      ],
    });
  });

  test('without a budget it is on the month alone', () => {
    expect(judge({}, { budget: 'unlimited' })).toMatchObject({
      kind: 'fits',
      demands: [{ ledger: 'spent/2026-11', amount: BOUND }],
    });
  });

  test('the last cent may be used, and not one millionth more', () => {
    const used = 1_000_000 - BOUND;
    expect(judge({}, {}, ledger(JOB_LEDGER, 0, used)).kind).toBe('fits');
    expect(judge({ requests: 1 }, {}, ledger(JOB_LEDGER, 0, used + 1)).kind).toBe('wait');
    expect(judge({ requests: 1 }, {}, ledger(JOB_LEDGER, 1, used)).kind).toBe('wait');
  });

  test('a small batch waits while others may give back what they do not cost', () => {
    const full = ledger(JOB_LEDGER, 950_000, 0);
    expect(judge({}, {}, full)).toEqual({ kind: 'wait', isExhausted: false });
    expect(judge({}, { overBudget: 'refuse' }, full)).toEqual({ kind: 'wait', isExhausted: false });
  });

  test('once nothing can make room, it waits for a person or is refused, as its route says', () => {
    const full = ledger(JOB_LEDGER, 0, 990_000);
    expect(judge({}, {}, full)).toEqual({ kind: 'wait', isExhausted: true });
    expect(judge({}, { overBudget: 'refuse' }, full)).toMatchObject({
      kind: 'refuse',
      code: 'budget_exceeded',
      message: expect.stringContaining('1 USD a job'),
    });
  });

  test('what a job says of its own budget lowers that of the route and never raises it', () => {
    const limitOf = (budgetUsd: string, money: Partial<MoneyRules>) => {
      const verdict = judge({ budgetUsd }, money);
      return verdict.kind === 'fits'
        ? verdict.demands.find(({ ledger: name }) => name === JOB_LEDGER)?.limit
        : verdict.kind;
    };
    expect(limitOf('0.5', {})).toBe(500_000);
    expect(limitOf('0.5', { budget: 'unlimited' })).toBe(500_000);
    expect(limitOf('0.5', { budget: { perDayUsd: '1' } })).toBe(500_000);
    expect(limitOf('9', {})).toBe(1_000_000);
  });

  test('a job that has used up what it said itself is refused the rest, since it cannot be raised', () => {
    const full = ledger(JOB_LEDGER, 0, 495_000);
    expect(judge({ budgetUsd: '0.5' }, {}, full)).toMatchObject({
      kind: 'refuse',
      code: 'budget_exceeded',
      message: expect.stringContaining('0.5 USD a job'),
    });
    const day = ledger(DAY_LEDGER, 0, 995_000);
    const money = { budget: { perDayUsd: '1' } };
    expect(judge({ budgetUsd: '0.5' }, money, day)).toEqual({ kind: 'wait', isExhausted: true });
  });

  test('a batch larger than what is left is cut to it, while that is worth a batch', () => {
    expect(judge({}, {}, ledger(JOB_LEDGER, 0, 950_000))).toEqual({
      kind: 'cut',
      microdollars: 50_000,
      ledger: JOB_LEDGER,
    });
  });

  test('a batch that takes a large part of the budget is cut to a quarter of it before it waits', () => {
    const large = { budget: { perJobUsd: '0.2' } };
    expect(judge({}, large).kind).toBe('fits');
    expect(judge({}, large, ledger(JOB_LEDGER, BOUND, 0))).toMatchObject({
      kind: 'cut',
      microdollars: 50_000,
    });
    expect(judge({ requests: 1 }, large, ledger(JOB_LEDGER, BOUND, 0))).toEqual({
      kind: 'wait',
      isExhausted: false,
    });
  });

  test('of two budgets both must have room', () => {
    const both = { budget: { perJobUsd: '1', perDayUsd: '1' } };
    expect(judge({}, both, ledger(DAY_LEDGER, 0, 990_000))).toEqual({ kind: 'wait', isExhausted: true });
    expect(judge({}, both, ledger(JOB_LEDGER, 950_000, 0)).kind).toBe('wait');
  });

  test('of its budget of the day, what is spent, reserved and admitted now is reported in percent, of the fullest', () => {
    const rulesOf = ({ route = '' }: BatchRecord): MoneyRules => {
      const budget = { perDayUsd: route === 'nightly' ? '10' : '100', perJobUsd: '0.01' };
      return { name: route, budget, overBudget: 'wait', allowUnpriced: false };
    };
    const waiting = [batch({ route: 'nightly' }), batch({ route: 'other' })];
    const ledgers = new Map([
      [DAY_LEDGER, { ...newLedger(DAY_LEDGER, NOW), reserved: 2_000_000, used: 5_000_000 }],
    ]);
    const situation = { waiting, rulesOf, ledgers, now: NOW };
    expect(dayBudgetPercent(situation, [])).toBe(70);
    const admissions = [{ demands: [{ ledger: DAY_LEDGER, amount: 1_500_000, limit: 10_000_000 }] }];
    expect(dayBudgetPercent(situation, admissions)).toBe(85);
    const unlimited = {
      ...situation,
      rulesOf: () => ({ ...rulesOf(waiting[0]!), budget: 'unlimited' as const }),
    };
    expect(dayBudgetPercent(unlimited, [])).toBeUndefined();
  });

  test('a new day has a ledger of its own', () => {
    const money = rules({ budget: { perDayUsd: '1' } });
    const ledgers = new Map([ledger(DAY_LEDGER, 0, 1_000_000)]);
    const tomorrow = NOW + 12 * 3_600_000;
    expect(judgeMoney(batch(), money, ledgers, PRICES, tomorrow - 1).kind).toBe('wait');
    expect(judgeMoney(batch(), money, ledgers, PRICES, tomorrow).kind).toBe('fits');
  });

  test.each([
    ['23 hours in spring', '2026-03-29', '2026-03-28T23:00:00Z', 23],
    ['25 hours in autumn', '2026-10-25', '2026-10-24T22:00:00Z', 25],
  ])(
    'a day of the time zone that the budget names has %s, one ledger and one budget',
    (_, day, from, hours) => {
      const money = rules({ budget: { perDayUsd: '1', timeZone: 'Europe/Berlin' } });
      const begins = Date.parse(from);
      const ends = begins + hours * 3_600_000;
      const ledgers = new Map([ledger(`budget/day/nightly/${day}`, 0, 1_000_000)]);
      const kindAt = (now: number) => judgeMoney(batch(), money, ledgers, PRICES, now).kind;
      expect([begins - 1, begins, ends - 1, ends].map(kindAt)).toEqual(['fits', 'wait', 'wait', 'fits']);
    },
  );

  test('a refusal says in which time zone the day of the budget is', () => {
    const zoned = { budget: { perDayUsd: '0.05', timeZone: 'Asia/Tokyo' }, overBudget: 'refuse' as const };
    const spent = ledger('budget/day/nightly/2026-11-10', 0, 50_000);
    expect(judge({}, zoned, spent)).toMatchObject({
      message: expect.stringContaining('(0.05 USD a day in Asia/Tokyo)'),
    });
    const utc = { budget: { perDayUsd: '0.05' }, overBudget: 'refuse' as const };
    expect(judge({}, utc, spent)).toMatchObject({
      message: expect.stringContaining('(0.05 USD a day in UTC)'),
    });
  });

  test('a model without a price is refused by a budget, unless the route lets it count as nothing', () => {
    const unheard = { model: 'unheard-of' };
    expect(judge(unheard, {})).toMatchObject({ kind: 'refuse', code: 'unpriced_model' });
    expect(judge(unheard, { allowUnpriced: true })).toMatchObject({
      kind: 'fits',
      demands: [{ amount: 0 }, {}],
    });
    expect(judge(unheard, { budget: 'unlimited' })).toMatchObject({ kind: 'fits' });
  });

  test('whatever is reserved, nothing that fits goes over a budget, and every cut is smaller than the batch', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400_000 }),
        fc.integer({ min: 1, max: 400_000 }),
        fc.nat(400_000),
        fc.nat(400_000),
        fc.integer({ min: 1, max: 3 }),
        (perJob, perDay, reserved, used, requests) => {
          const budget = { perJobUsd: String(perJob / 1e6), perDayUsd: String(perDay / 1e6) };
          if (/e/.test(budget.perJobUsd + budget.perDayUsd)) return;
          const current = [ledger(JOB_LEDGER, reserved, used), ledger(DAY_LEDGER, used, reserved)];
          const verdict = judge({ requests }, { budget }, ...current);
          if (verdict.kind === 'fits')
            for (const { amount, limit } of verdict.demands)
              expect(limit === Number.MAX_SAFE_INTEGER || reserved + used + amount <= limit).toBe(true);
          if (verdict.kind === 'cut') {
            expect(requests).toBeGreaterThan(1);
            expect(verdict.microdollars).toBeLessThan(BOUND);
            expect(verdict.microdollars).toBeGreaterThan(0);
          }
        },
      ),
    );
  });
});
