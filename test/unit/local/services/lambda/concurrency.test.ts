import { expect, test } from 'vitest';
import { createAccountConcurrency } from '../../../../../local/services/lambda/concurrency.ts';

test('functions without a reserved concurrency share what the account has, and what is left is free for any of them', () => {
  const account = createAccountConcurrency(2, new Map());
  const [a, b] = [account.shareOf('a'), account.shareOf('b')];
  expect([a.enter(), b.enter(), a.enter()]).toEqual([true, true, false]);
  b.leave();
  expect([a.enter(), b.enter()]).toEqual([true, false]);
  expect(account).toMatchObject({ limit: 2, running: 2, peak: 2 });
});

test('a reserved concurrency is the most that its function gets and taken out of what the others share', () => {
  const account = createAccountConcurrency(102, new Map([['a', 2]]));
  const [a, b] = [account.shareOf('a'), account.shareOf('b')];
  expect([a.enter(), a.enter(), a.enter()]).toEqual([true, true, false]);
  const entered = Array.from({ length: 101 }, () => b.enter());
  expect(entered.filter(Boolean)).toHaveLength(100);
});

test.each([
  [
    10,
    1,
    "The functions reserve 1 of the account's concurrency of 10: AWS refuses to leave less than 10 unreserved.",
  ],
  [1_000, 901, 'AWS refuses to leave less than 100 unreserved. Reserve less, or nothing.'],
])('an account of %i refuses to reserve %i, as AWS does', (limit, reserved, message) => {
  expect(() => createAccountConcurrency(limit, new Map([['a', reserved]]))).toThrow(message);
});

test('without a limit of the account nothing is throttled but what reserves too little for itself', () => {
  const account = createAccountConcurrency(Number.POSITIVE_INFINITY, new Map([['a', 1]]));
  expect([account.shareOf('a').enter(), account.shareOf('a').enter()]).toEqual([true, false]);
  expect(Array.from({ length: 5_000 }, () => account.shareOf('b').enter())).not.toContain(false);
});
