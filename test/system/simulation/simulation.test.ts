/**
 * Six hundred seeds of the simulation, as a part of the test suite; `npm run simulate -- --seeds 20000` runs more. See
 * docs/reliability.md.
 */
import { expect, test } from 'vitest';
import { Random } from './random.ts';
import { simulate } from './simulation.ts';
import { outcomeOfSeed, Summary } from './summary.ts';

const SEEDS = 600;

test(`keeps every promise under ${SEEDS} seeds of faults, and tries every fault`, {
  timeout: 600_000,
}, async () => {
  const summary = new Summary();
  for (let seed = 1; seed <= SEEDS; seed++) {
    summary.add(outcomeOfSeed(await simulate(seed)));
    // One is enough to look at; the others may take long.
    if (summary.violations.length > 0) break;
  }
  expect(summary.violations, 'npm run simulate -- --seed SEED --trace').toEqual([]);
  expect(summary.gaps()).toEqual([]);
});

test('a seed runs the same way each time, step by step', async () => {
  for (const seed of [3, 14, 159]) {
    const [one, other] = [await simulate(seed, { trace: true }), await simulate(seed, { trace: true })];
    expect(one.trace.length).toBeGreaterThan(100);
    expect(one.trace, `seed ${seed}`).toEqual(other.trace);
  }
});

test('random numbers are even, and streams of other names are others', () => {
  const random = new Random('even');
  const counts = new Array<number>(10).fill(0);
  for (let draw = 0; draw < 10_000; draw++) counts[random.whole(0, 9)]!++;
  expect(Math.min(...counts)).toBeGreaterThan(850);
  expect(Math.max(...counts)).toBeLessThan(1_150);
  expect(new Random('a').fork('b').fraction()).toBe(new Random('a/b').fraction());
  expect(new Random('a').fraction()).not.toBe(new Random('b').fraction());
});
