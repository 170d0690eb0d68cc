/** The first seeds of the simulation; `npm run test:system` runs 1,000, and demands that they try every fault. */
import { expect, test } from 'vitest';
import { runSeeds } from '../simulation/run-seeds.ts';

const SEEDS = 200;

test(`keeps every promise under ${SEEDS} seeds of faults`, { timeout: 600_000 }, async () => {
  const { violations } = await runSeeds(1, SEEDS);
  expect(violations, 'npm run simulate -- --seed SEED --trace').toEqual([]);
});
