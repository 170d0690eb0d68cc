/** What a person sees of a month's costs. */
import { expect, test } from 'vitest';
import { type CostsOptions, costs } from '../../../../cli/commands/costs.ts';
import { jobEnd } from '../../../support/contracts/job-index.suite.ts';
import { printed, stoppedState } from '../../../support/stopped-state.ts';

const NOW = Date.UTC(2026, 10, 30, 12);

test('a month is shown by route unless asked otherwise, as a table and as JSON; one without jobs says so', async () => {
  const state = await stoppedState(async ({ index }) => {
    await index.recordEnd(jobEnd('one', {}, { cost: 1_230_000_000_000n, standardCost: 2_460_000_000_000n }));
  });
  const lines = printed();
  const run = async (options: Partial<CostsOptions> = {}): Promise<string> => {
    expect(await costs({ local: true, state, by: 'route', ...options }, NOW)).toBe(0);
    return lines.splice(0).join('\n');
  };
  expect(await run()).toMatch(/^2026-11 \(UTC\).*\nROUTE +COST.*\nfilms +\$1\.23 .*\$1\.23\ntotal +\$1\.23 /);
  expect(JSON.parse(await run({ by: 'model', json: true }))).toMatchObject({
    v: 1,
    month: '2026-11',
    by: 'model',
    total: { jobs: 1, usd: '1.23', savedUsd: '1.23' },
    rows: [{ name: 'ft:gpt-5-nano:org#1', jobs: 1, succeeded: 3, usd: '1.23' }],
  });
  expect(await run({ month: '2026-10' })).toBe('No job ended in 2026-10 (UTC).');
});

test.each([
  [{ month: '2026-13', by: 'route' }, '--month 2026-13: a month such as 2026-11 is expected'],
  [{ month: '2026-11', by: 'day' }, '--by day: route, model, tier, key is expected'],
])('%j is not understood', async (options, message) => {
  await expect(costs({ local: true, state: '/nowhere', ...options }, NOW)).rejects.toThrow(message);
});
