/** See docs/reliability.md; `npm run simulate -- --seeds 20000` runs more. */
import { expect, test } from 'vitest';
import { runSeeds } from './run-seeds.ts';

const LAST_SEED = 1_000;

test(`keeps every promise under seeds 1 to ${LAST_SEED} of faults, and tries every fault`, {
  timeout: 1_200_000,
}, async () => {
  const summary = await runSeeds(1, LAST_SEED);
  expect(summary.violations, 'npm run simulate -- --seed SEED --trace').toEqual([]);
  expect(summary.gaps()).toEqual([]);
});
