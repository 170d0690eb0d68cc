import { expect, test } from 'vitest';
import { budgetLedgers, limitsOf, limitsText } from '../../../../cli/view/limits-view.ts';
import type { Ledger } from '../../../../src/core/model/ledger.ts';
import { newLedger } from '../../../../src/core/scheduling/ledger.ts';

const NOW = Date.UTC(2026, 10, 30, 12);
const SCOPE = {
  jobId: 'j',
  key: 'input/j.jsonl',
  route: { name: 'films', budget: { perDayUsd: '10', perJobUsd: '4' } },
  budgetUsd: '2.5',
};
const ledgers = (...all: Partial<Ledger>[]): Map<string, Ledger> =>
  new Map(all.map((ledger) => [ledger.name!, { ...newLedger(ledger.name!, NOW), ...ledger }]));

const FOUND = ledgers(
  {
    name: 'tokens/default/ft:gpt-4.1/a',
    reserved: 1_000_000,
    ceiling: 2_000_000,
    limit: 5_000_000,
    pausedUntil: NOW + 60_000,
  },
  { name: 'calls/default/flex/gpt-4.1-mini', reserved: 2, pace: { requestsPerMinute: 500 } },
  { name: 'budget/day/films/2026-11-30', used: 7_500_000, reserved: 1_000_000 },
  { name: 'budget/job/j', used: 1_000_000 },
  { name: 'spent/2026-11', used: 90_000_000 },
);

test('limits are shown by model and key, budgets with what is left to say when they are full again', () => {
  const { queues, calls, budgets } = limitsOf(FOUND, ['films', 'unused'], [SCOPE], NOW);
  expect(queues).toMatchObject([
    { apiKey: 'default', model: 'ft:gpt-4.1/a', reserved: 1_000_000, ceiling: 2_000_000, limit: 5_000_000 },
  ]);
  expect(calls).toMatchObject([{ tier: 'flex', model: 'gpt-4.1-mini', slices: 2, requestsPerMinute: 500 }]);
  expect(budgets).toMatchObject([
    { of: 'the month', spent: 90_000_000, resetsAt: Date.UTC(2026, 11) },
    {
      of: 'route films today (UTC)',
      spent: 7_500_000,
      reserved: 1_000_000,
      limit: 10_000_000,
      resetsAt: Date.UTC(2026, 11, 1),
    },
    { of: 'job input/j.jsonl', spent: 1_000_000, limit: 2_500_000 },
  ]);
  expect(budgetLedgers(['films'], [SCOPE], NOW)).toEqual([
    'spent/2026-11',
    'budget/day/films/2026-11-30',
    'budget/job/j',
  ]);
});

test('the day of a budget is one of its time zone, as live jobs have recorded it', () => {
  const route = { name: 'films', budget: { perDayUsd: '10', timeZone: 'Pacific/Auckland' } };
  const scopes = [{ ...SCOPE, budgetUsd: undefined, route }];
  expect(budgetLedgers(['films', 'unused'], scopes, NOW)).toEqual([
    'spent/2026-11',
    'budget/day/films/2026-12-01',
    'budget/day/unused/2026-11-30',
    'budget/job/j',
  ]);
  const found = ledgers({ name: 'budget/day/films/2026-12-01', used: 1 });
  expect(limitsOf(found, ['films'], scopes, NOW).budgets).toMatchObject([
    { of: 'route films today (Pacific/Auckland)', spent: 1, resetsAt: Date.parse('2026-12-01T11:00:00Z') },
  ]);
});

test('money is shown as it is for jobs and costs, with the digits of small sums', () => {
  const found = ledgers({ name: 'spent/2026-11', used: 4, reserved: 43_210 });
  expect(limitsText(limitsOf(found, [], [], NOW), 120)).toMatch(/^the month +\$0\.0000040 +\$0\.043 +- /m);
});

test.each([60, 120])('the text fits %i columns', (width) => {
  const lines = limitsText(limitsOf(FOUND, ['films'], [SCOPE], NOW), width).split('\n');
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(width);
  expect(lines).toContainEqual(expect.stringMatching(/^ft:gpt-4\.1\/a +default +1,000,000 +2,000,000/));
  expect(lines).toContainEqual(
    expect.stringMatching(/^route films today \(UTC\) +\$7\.50 +\$1\.00 +\$10\.00/),
  );
});
