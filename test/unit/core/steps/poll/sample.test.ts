import { expect, test } from 'vitest';
import { pricesAgeDays, Sampler, sampleOfLive } from '../../../../../src/core/steps/poll/sample.ts';
import { batchOf } from '../../../../support/records.ts';

const NOW = 1_790_000_000_000;
const LADDER = { tiers: ['batch' as const] };

test('a worker samples at most once in 55 seconds, however often it polls', () => {
  const sampler = new Sampler();
  const taken = [0, 500, 54_999, 55_000, 60_000].map((ms) => sampler.takeTurn(NOW + ms));
  expect(taken).toEqual([true, false, false, true, false]);
});

test('counts batches at OpenAI, those that it does not know or keeps for good, and those past their deadline', () => {
  const remote = { openaiBatchId: 'b', submittedAt: NOW, status: 'in_progress' as const, statusAt: NOW };
  const live = [
    batchOf('job', 0, { remote }),
    batchOf('job', 1, { remote: { ...remote, unreachableSince: NOW, goneAt: NOW } }),
    batchOf('job', 2, { remote, hold: { reason: 'lost_batch' } }),
    batchOf('job', 3, { remote, hold: { reason: 'insufficient_quota' } }),
    batchOf('job', 4, { remote, ladder: { ...LADDER, deadlineAt: NOW - 1 } }),
    batchOf('job', 5, { remote, ladder: { ...LADDER, deadlineAt: NOW } }),
    // One 404 may be an answer that went wrong.
    batchOf('job', 6, { remote: { ...remote, unreachableSince: NOW } }),
  ];
  expect(sampleOfLive(live, NOW)).toEqual({ atOpenAI: 7, unreachable: 2, late: 1 });
  expect(sampleOfLive([], NOW)).toEqual({ atOpenAI: 0, unreachable: 0, late: 0 });
});

test('the age of the price table is in whole days, and that of one of tomorrow is 0', () => {
  const ofDay = (date: string) => ({ statedAt: () => ({ date }) });
  const at = Date.UTC(2026, 10, 30, 12);
  expect(pricesAgeDays(ofDay('2026-10-01'), at)).toBe(60);
  expect(pricesAgeDays(ofDay('2026-12-01'), at)).toBe(0);
});
