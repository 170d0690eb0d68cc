import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isWindowTier, TIERS, type Tier } from '../../../../src/contract/route.ts';
import { HOUR_MS, MINUTE_MS } from '../../../../src/contract/time.ts';
import {
  isWorthWaitingFor,
  ladderOf,
  needMs,
  type Pace,
  type StepQuestion,
  tierToBegin,
  tierToStay,
} from '../../../../src/core/scheduling/ladder.ts';
import { paceOf } from '../../../../src/core/scheduling/pace.ts';
import { ENDPOINTS } from '../../../../src/providers/openai/endpoints/all.ts';
import { remoteOf } from '../../../support/records.ts';

/** 600 requests an hour. */
const PACE: Pace = { requestsPerMinute: 10, tokensPerMinute: 1_000_000 };

const question = (changes: Partial<StepQuestion> & { leftMs?: number } = {}): StepQuestion => ({
  ladder: { tiers: ['batch', 'flex', 'standard'], deadlineAt: changes.leftMs ?? 24 * HOUR_MS },
  tier: 'batch',
  work: { requests: 600, tokens: 600_000 },
  paceOf: () => PACE,
  now: 0,
  ...changes,
});

describe('the tiers of a request', () => {
  it.each<[Tier[], string, Tier[] | undefined]>([
    [['batch', 'flex', 'standard'], '/v1/responses', ['batch', 'flex', 'standard']],
    [['batch', 'flex', 'standard'], '/v1/embeddings', ['batch', 'standard']],
    [['flex'], '/v1/chat/completions', ['flex']],
    [['flex'], '/v1/moderations', undefined],
  ])('of a route with %j are at %s %j', (tiers, endpoint, expected) => {
    expect(ladderOf({ tiers, deadline: '2h' }, ENDPOINTS.get(endpoint), 1_000)?.tiers).toEqual(expected);
  });

  it('have a deadline that counts from the drop, or none', () => {
    expect(
      ladderOf({ tiers: ['batch'], deadline: '90m' }, ENDPOINTS.get('/v1/responses'), 1_000)?.deadlineAt,
    ).toBe(5_401_000);
    expect(ladderOf({ tiers: ['batch'] }, ENDPOINTS.get('/v1/responses'), 1_000)).toEqual({
      tiers: ['batch'],
    });
  });
});

describe('work in a tier', () => {
  it('needs half as long again as its pace says, and a quarter of an hour', () => {
    expect(needMs({ requests: 600, tokens: 0 }, PACE)).toBe(90 * MINUTE_MS + 15 * MINUTE_MS);
    expect(needMs({ requests: 1, tokens: 60_000_000 }, PACE)).toBe(90 * MINUTE_MS + 15 * MINUTE_MS);
    expect(needMs({ requests: 0, tokens: 0 }, PACE)).toBe(15 * MINUTE_MS);
  });
});

/** 105 minutes in flex and as many in standard, 15 to cancel a batch, 30 for a batch to be worth it. */
describe('the ladder', () => {
  it.each<[string, Partial<StepQuestion> & { leftMs?: number }, Tier, Tier]>([
    ['has time for everything', { leftMs: 24 * HOUR_MS }, 'batch', 'batch'],
    ['has no time to begin a batch, and time to let one go on', { leftMs: 250 * MINUTE_MS }, 'flex', 'batch'],
    ['has just no time for a batch', { leftMs: 225 * MINUTE_MS }, 'flex', 'flex'],
    ['has time for standard alone', { leftMs: 105 * MINUTE_MS }, 'standard', 'standard'],
    ['is past the deadline', { leftMs: -HOUR_MS }, 'standard', 'standard'],
    ['is in flex, with time', { tier: 'flex', leftMs: 106 * MINUTE_MS }, 'flex', 'flex'],
    ['is in flex, without', { tier: 'flex', leftMs: 105 * MINUTE_MS }, 'standard', 'standard'],
    ['is in standard', { tier: 'standard', leftMs: -1 }, 'standard', 'standard'],
    [
      'begins below batch',
      { ladder: { tiers: ['flex', 'standard'], deadlineAt: 3 * HOUR_MS } },
      'flex',
      'flex',
    ],
    ['has one tier and no deadline', { ladder: { tiers: ['flex'] } }, 'flex', 'flex'],
    [
      'has no flex',
      { ladder: { tiers: ['batch', 'standard'], deadlineAt: 2 * HOUR_MS } },
      'standard',
      'standard',
    ],
  ])('%s', (_what, changes, toBegin, toStay) => {
    expect(tierToBegin(question(changes))).toBe(toBegin);
    expect(tierToStay(question(changes))).toBe(toStay);
  });

  const any = fc.record({
    tiers: fc.subarray(
      TIERS.filter((tier) => !isWindowTier(tier)),
      { minLength: 1 },
    ),
    at: fc.nat(),
    requests: fc.nat({ max: 1_000_000 }),
    tokens: fc.nat({ max: 1_000_000_000 }),
    flex: fc.integer({ min: 1, max: 10_000 }),
    standard: fc.integer({ min: 1, max: 10_000 }),
    leftMs: fc.integer({ min: -HOUR_MS, max: 48 * HOUR_MS }),
  });
  const asked = (drawn: typeof any extends fc.Arbitrary<infer Drawn> ? Drawn : never): StepQuestion => ({
    ladder: { tiers: drawn.tiers, deadlineAt: drawn.leftMs },
    tier: drawn.tiers[drawn.at % drawn.tiers.length]!,
    work: { requests: drawn.requests, tokens: drawn.tokens },
    paceOf: (tier) => ({
      requestsPerMinute: tier === 'flex' ? drawn.flex : drawn.standard,
      tokensPerMinute: 1_000_000,
    }),
    now: 0,
  });

  it('only goes down, never up, and the less time is left, the further', () => {
    fc.assert(
      fc.property(any, fc.nat({ max: 48 * HOUR_MS }), (drawn, laterMs) => {
        const now = asked(drawn);
        const later = { ...now, now: laterMs };
        const order = now.ladder.tiers.indexOf.bind(now.ladder.tiers);
        expect(order(tierToStay(now))).toBeGreaterThanOrEqual(order(now.tier));
        expect(order(tierToStay(later))).toBeGreaterThanOrEqual(order(tierToStay(now)));
        expect(order(tierToBegin(now))).toBeGreaterThanOrEqual(order(tierToStay(now)));
      }),
    );
  });

  it('leaves a tier only when those below it would not have time enough later', () => {
    fc.assert(
      fc.property(any, (drawn) => {
        const now = asked(drawn);
        const next = tierToStay(now);
        const { tiers } = now.ladder;
        for (let at = tiers.indexOf(now.tier); at < tiers.indexOf(next); at++) {
          const below = tiers
            .slice(at + 1)
            .reduce((sum, tier) => sum + needMs(now.work, now.paceOf(tier)), 0);
          expect(drawn.leftMs).toBeLessThanOrEqual(below + (tiers[at] === 'batch' ? 15 * MINUTE_MS : 0));
        }
      }),
    );
  });
});

describe('a batch whose time has come', () => {
  const live = (completed: number, changes = {}) => ({
    remote: remoteOf({
      status: 'in_progress',
      progress: { total: 600, completed, failed: 0 },
      ...changes,
    }),
  });
  const at = (now: number, leftMs: number) => ({
    ...question({ leftMs: now + leftMs }),
    work: { requests: 60, tokens: 0 },
    now,
  });

  it('is left alone while it is finalizing: everything has been executed', () => {
    expect(isWorthWaitingFor(live(0, { status: 'finalizing' }), at(HOUR_MS, MINUTE_MS))).toBe(true);
  });

  it('is left alone if it will end in time by itself, and standard could still step in', () => {
    // 540 of 600 in an hour: 60 more take 7 minutes, with room to spare 25.
    expect(isWorthWaitingFor(live(540), at(HOUR_MS, 45 * MINUTE_MS))).toBe(true);
    expect(isWorthWaitingFor(live(540), at(HOUR_MS, 39 * MINUTE_MS))).toBe(false);
    expect(isWorthWaitingFor(live(100), at(HOUR_MS, 45 * MINUTE_MS))).toBe(false);
  });

  it('is not waited for if it has shown no progress', () => {
    expect(isWorthWaitingFor(live(0), at(HOUR_MS, 45 * MINUTE_MS))).toBe(false);
    expect(isWorthWaitingFor(live(540, { status: 'validating' }), at(HOUR_MS, 45 * MINUTE_MS))).toBe(false);
  });
});

describe('the pace of a model', () => {
  it('is that of a new account until answers report theirs, and leaves a fifth of the limits to others', () => {
    expect(paceOf(undefined, 256)).toEqual({ requestsPerMinute: 400, tokensPerMinute: 160_000 });
  });

  it('is no faster than calls of such length can be at a time', () => {
    const pace = { requestsPerMinute: 10_000, tokensPerMinute: 1_000_000, callMs: 30_000 };
    const ledger = { v: 1, name: 'x', reserved: 0, used: 0, updatedAt: 0, pace } as const;
    expect(paceOf(ledger, 64)).toEqual({ requestsPerMinute: 128, tokensPerMinute: 800_000 });
  });
});
