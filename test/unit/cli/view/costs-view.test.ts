import { expect, test } from 'vitest';
import { costsJson, costsOf, costsText } from '../../../../cli/view/costs-view.ts';
import { type Amounts, type MonthRow, noAmounts } from '../../../../src/core/model/job-end.ts';

const of = (name: string, cost: bigint, more: Partial<Amounts> = {}): MonthRow => ({
  of: 'model',
  name,
  amounts: { ...noAmounts(), jobs: 1, succeeded: 1_000, cost, standardCost: 2n * cost, ...more },
});
const ROWS: MonthRow[] = [
  of('cheap', 1_000_000_000_000n),
  of('dear', 5_000_000_000_000n, { inputTokens: 1_234_567, outputTokens: 89 }),
  { ...of('', 6_000_000_000_000n, { possibleCost: 10_000_000_000n }), of: 'total' },
  { ...of('batch', 6_000_000_000_000n), of: 'tier' },
];

test('what cost most comes first, the total last, and no line is wider than the terminal', () => {
  const text = costsText(costsOf('2026-11', 'model', ROWS), 120);
  expect(text).toBe(`2026-11 (UTC), jobs by the day of their end; saved against standard.
MODEL   COST  JOBS  SUCCEEDED  FAILED  TOKENS IN  TOKENS OUT  SAVED
dear   $5.00     1      1,000       0  1,234,567          89  $5.00
cheap  $1.00     1      1,000       0          0           0  $1.00
total  $6.00     1      1,000       0          0           0  $6.00
OpenAI may have charged up to $0.010 more, for results that it lost.`);
  const narrow = costsText(costsOf('2026-11', 'model', ROWS), 40).split('\n');
  expect(narrow[1]).toBe('MODEL   COST  JOBS  SUCCEEDED  FAILED');
});

test('of a tier, what standard would have cost is not shown', () => {
  const costs = costsOf('2026-11', 'tier', ROWS);
  expect(costsText(costs, 120)).not.toContain('SAVED\nbatch');
  expect(costsJson(costs)).toMatchObject({ rows: [{ name: 'batch', usd: '6' }], total: { savedUsd: '6' } });
  expect(JSON.stringify(costsJson(costs))).not.toContain('"name":"batch","savedUsd"');
});
