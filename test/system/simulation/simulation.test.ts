import { expect, test } from 'vitest';
import { Random } from './random.ts';
import { simulate } from './simulation.ts';

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
