/** As first-seeds.test.ts, which another worker runs at the same time. */
import { expect, test } from 'vitest';
import { runSeeds } from './run-seeds.ts';

const FIRST_SEED = 1_001;
const LAST_SEED = 2_000;

test(`keeps every promise under seeds ${FIRST_SEED} to ${LAST_SEED} of faults, and tries every fault`, {
  timeout: 1_200_000,
}, async () => {
  const summary = await runSeeds(FIRST_SEED, LAST_SEED);
  expect(summary.violations, 'npm run simulate -- --seed SEED --trace').toEqual([]);
  expect(summary.gaps()).toEqual([]);
});
