import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isWindowTier, TIERS, type Tier, windowMs } from '../../../../src/contract/route.ts';
import { HOUR_MS, MINUTE_MS } from '../../../../src/contract/time.ts';
import {
  isWorthWaitingFor,
  leavesAt,
  needMs,
  type Pace,
  type StepQuestion,
  tierToBegin,
  tierToStay,
} from '../../../../src/core/scheduling/ladder.ts';
import { paceOf } from '../../../../src/core/scheduling/pace.ts';
import { remoteOf } from '../../../support/records.ts';

/** 600 requests an hour. */
const PACE: Pace = { requestsPerMinute: 10, tokensPerMinute: 1_000_000 };

type Changes = Partial<StepQuestion> & { leftMs?: number };

const question = ({ leftMs = 24 * HOUR_MS, ...changes }: Changes = {}): StepQuestion => ({
  ladder: { tiers: ['batch', 'flex', 'standard'], deadlineAt: leftMs },
  tier: 'batch',
  work: { requests: 600, tokens: 600_000 },
  paceOf: () => PACE,
  isOffered: () => true,
  cancelMs: 10 * MINUTE_MS,
  now: 0,
  ...changes,
});

/** Work that needs 15 minutes in any tier, besides windows. */
const LITTLE = { requests: 0, tokens: 0 };
const WINDOWS: Tier[] = ['batch', 'background-8h', 'background-2h', 'standard'];

const withWindows = ({
  leftMs = 24 * HOUR_MS,
  tiers = WINDOWS,
  ...changes
}: Changes & { tiers?: Tier[] } = {}) =>
  question({ ladder: { tiers, deadlineAt: leftMs }, work: LITTLE, ...changes });

const hours = (count: number): number => count * HOUR_MS;

describe('work in a tier', () => {
  it('needs half as long again as its pace says, and a quarter of an hour', () => {
    expect(needMs({ requests: 600, tokens: 0 }, PACE)).toBe(90 * MINUTE_MS + 15 * MINUTE_MS);
    expect(needMs({ requests: 1, tokens: 60_000_000 }, PACE)).toBe(90 * MINUTE_MS + 15 * MINUTE_MS);
    expect(needMs({ requests: 0, tokens: 0 }, PACE)).toBe(15 * MINUTE_MS);
  });
});

/** 105 minutes in flex and as many in standard, 15 to cancel a batch, 30 for a batch to be worth it. */
describe('the ladder', () => {
  it.each<[string, Changes, Tier, Tier]>([
    ['has time for everything', { leftMs: 24 * HOUR_MS }, 'batch', 'batch'],
    ['has no time to begin a batch, and time to let one go on', { leftMs: 250 * MINUTE_MS }, 'flex', 'batch'],
    ['has just no time for a batch', { leftMs: 225 * MINUTE_MS }, 'flex', 'flex'],
    [
      'has time for a batch that the provider cancels at once',
      { leftMs: 225 * MINUTE_MS, cancelMs: 0 },
      'flex',
      'batch',
    ],
    [
      'has no time for a batch that the provider takes an hour to cancel',
      { leftMs: 250 * MINUTE_MS, cancelMs: HOUR_MS },
      'flex',
      'flex',
    ],
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

  /** 8.5 hours for the dearest path through background-8h, 2.5 through background-2h, 15 minutes for standard. */
  it.each<[string, Changes & { tiers?: Tier[] }, Tier, Tier]>([
    ['has 12 hours', { leftMs: hours(12) }, 'batch', 'batch'],
    ['has 10 hours: not the sum of all windows', { leftMs: hours(10) }, 'batch', 'batch'],
    ['is at the moment for the long window', { leftMs: 535 * MINUTE_MS }, 'background-8h', 'background-8h'],
    ['is before that moment', { leftMs: 536 * MINUTE_MS }, 'batch', 'batch'],
    [
      'has only just time to cancel a batch for it',
      { leftMs: 525 * MINUTE_MS },
      'background-8h',
      'background-8h',
    ],
    ['has not', { leftMs: 524 * MINUTE_MS }, 'batch', 'batch'],
    ['has 4 hours', { leftMs: hours(4) }, 'batch', 'batch'],
    ['is at the moment for the short window', { leftMs: 175 * MINUTE_MS }, 'background-2h', 'background-2h'],
    ['has no time for any window', { leftMs: 164 * MINUTE_MS }, 'batch', 'batch'],
    ['has 1 hour', { leftMs: hours(1) }, 'standard', 'batch'],
    ['has half an hour', { leftMs: hours(0.5) }, 'standard', 'standard'],
    [
      'has a young batch, which is not left for a window',
      { leftMs: 175 * MINUTE_MS, beganAt: -29 * MINUTE_MS },
      'background-2h',
      'batch',
    ],
    [
      'has one that had its time',
      { leftMs: 175 * MINUTE_MS, beganAt: -30 * MINUTE_MS },
      'background-2h',
      'background-2h',
    ],
    [
      'has a young batch, which is left for the last tier',
      { leftMs: 30 * MINUTE_MS, beganAt: -MINUTE_MS },
      'standard',
      'standard',
    ],
    [
      'waits for a window that fits',
      { tier: 'background-8h', leftMs: hours(9) },
      'background-8h',
      'background-8h',
    ],
    [
      'waits for a window that does not fit any more',
      { tier: 'background-8h', leftMs: hours(8.5) },
      'background-2h',
      'background-8h',
    ],
    [
      'is in a window that is not over, with time for the next one only now',
      { tier: 'background-8h', leftMs: 160 * MINUTE_MS, beganAt: -hours(7) },
      'background-2h',
      'background-8h',
    ],
    [
      'is in a window that is over, with time for the next one only now',
      { tier: 'background-8h', leftMs: 160 * MINUTE_MS, beganAt: -hours(8) },
      'background-2h',
      'background-2h',
    ],
    [
      'is in a window, with time for the last tier only now',
      { tier: 'background-8h', leftMs: 30 * MINUTE_MS, beganAt: -hours(7) },
      'standard',
      'standard',
    ],
    [
      'has flex, which costs as much as a batch and less than windows',
      { leftMs: hours(10), tiers: [...TIERS] },
      'batch',
      'batch',
    ],
    ['has flex, and its moment', { leftMs: 45 * MINUTE_MS, tiers: [...TIERS] }, 'flex', 'flex'],
    [
      'is in flex at the moment for a window',
      { leftMs: 160 * MINUTE_MS, tiers: [...TIERS], tier: 'flex' },
      'background-2h',
      'background-2h',
    ],
    [
      'ends in a window',
      { leftMs: hours(1), tiers: ['batch', 'background-2h'] },
      'background-2h',
      'background-2h',
    ],
    [
      'has one window and no hurry',
      { ladder: { tiers: ['background-8h'] } },
      'background-8h',
      'background-8h',
    ],
  ])('with windows %s', (_what, changes, toBegin, toStay) => {
    expect(tierToBegin(withWindows(changes))).toBe(toBegin);
    expect(tierToStay(withWindows(changes))).toBe(toStay);
  });

  it('reserves for a window the time to create everything in it, and all of it in the last tier', () => {
    const work = { requests: 600, tokens: 0 };
    const at = (minutes: number): Tier =>
      tierToBegin(withWindows({ work, tier: 'background-2h', leftMs: minutes * MINUTE_MS }));
    expect(at(120 + 105 + 105 + 5)).toBe('background-2h');
    expect(at(120 + 105 + 105 + 4)).toBe('standard');
  });

  it('skips a tier that is not offered, and leaves what was begun there where it is', () => {
    const isOffered = (tier: Tier): boolean => tier !== 'background-8h';
    expect(tierToBegin(withWindows({ isOffered, leftMs: 530 * MINUTE_MS }))).toBe('batch');
    expect(tierToBegin(withWindows({ isOffered, tier: 'background-8h', leftMs: hours(12) }))).toBe(
      'background-2h',
    );
    expect(tierToStay(withWindows({ isOffered, tier: 'background-8h', leftMs: hours(12) }))).toBe(
      'background-8h',
    );
  });

  it('tries its last tier although that was refused lately: there is no other', () => {
    const isOffered = (): boolean => false;
    expect(tierToBegin(withWindows({ isOffered, tiers: ['flex', 'background-2h'] }))).toBe('background-2h');
  });
});

/** Looks as polls do. A batch takes 10 minutes to be cancelled, and what it leaves another 5 to be handed on. */
function flowOf(
  leftMs: number,
  tiers: Tier[],
  endsAfterMs: Partial<Record<Tier, number>> = {},
): [Tier, number][] {
  const ladder = { tiers, deadlineAt: leftMs };
  const asked = (changes: Partial<StepQuestion>): StepQuestion => withWindows({ ladder, ...changes });
  let now = 0;
  let tier = tierToBegin(asked({ tier: tiers[0]!, now }));
  let beganAt = now;
  const flow: [Tier, number][] = [[tier, 0]];
  for (; tier !== tiers.at(-1); now += 5 * MINUTE_MS) {
    if (now - beganAt >= (endsAfterMs[tier] ?? Number.POSITIVE_INFINITY)) break;
    const next = tierToStay(asked({ tier, beganAt, now }));
    if (next === tier) continue;
    now += (tier === 'batch' ? 15 : 5) * MINUTE_MS;
    tier = tierToBegin(asked({ tier: next, now }));
    beganAt = now;
    flow.push([tier, now / MINUTE_MS]);
  }
  return flow;
}

describe('a job that is answered in the last tier at the worst', () => {
  const MOST: Partial<Record<Tier, number>> = { 'background-8h': hours(8), 'background-2h': hours(2) };

  it.each<[number, [Tier, number][]]>([
    [
      12,
      [
        ['batch', 0],
        ['background-8h', 200],
      ],
    ],
    [
      10,
      [
        ['batch', 0],
        ['background-8h', 80],
      ],
    ],
    [
      9,
      [
        ['batch', 0],
        ['background-2h', 380],
      ],
    ],
    [
      8.5,
      [
        ['batch', 0],
        ['background-2h', 350],
      ],
    ],
    [
      4,
      [
        ['batch', 0],
        ['background-2h', 80],
      ],
    ],
    [
      3,
      [
        ['batch', 0],
        ['standard', 165],
      ],
    ],
    [1, [['standard', 0]]],
  ])(
    'of %d hours whose batch stalls goes on in the cheapest window that fits, when the batch had its half hour',
    (left, expected) => {
      expect(flowOf(hours(left), WINDOWS, MOST)).toEqual(expected);
    },
  );

  it.each<[number, [Tier, number][]]>([
    [
      12,
      [
        ['batch', 0],
        ['background-8h', 200],
        ['standard', 695],
      ],
    ],
    [
      4,
      [
        ['batch', 0],
        ['background-2h', 80],
        ['standard', 215],
      ],
    ],
  ])('of %d hours whose window is missed, too, ends in standard in time', (left, expected) => {
    expect(flowOf(hours(left), WINDOWS)).toEqual(expected);
  });

  it('of 20 hours goes from the long window to the short one when that is over', () => {
    expect(flowOf(hours(20), ['background-8h', 'background-2h', 'standard'])).toEqual([
      ['background-8h', 0],
      ['background-2h', 1040],
      ['standard', 1175],
    ]);
  });

  it('leaves room for a batch that ends by itself', () => {
    expect(flowOf(hours(10), WINDOWS, { batch: hours(1) })).toEqual([['batch', 0]]);
  });
});

describe('the properties of the ladder', () => {
  const any = fc.record({
    tiers: fc.subarray([...TIERS], { minLength: 1 }),
    at: fc.nat(),
    requests: fc.nat({ max: 1_000_000 }),
    tokens: fc.nat({ max: 1_000_000_000 }),
    paces: fc.array(fc.integer({ min: 1, max: 10_000 }), {
      minLength: TIERS.length,
      maxLength: TIERS.length,
    }),
    refused: fc.subarray(TIERS.filter((tier) => tier === 'flex' || isWindowTier(tier))),
    agoMs: fc.option(fc.nat({ max: 12 * HOUR_MS }), { nil: undefined }),
    leftMs: fc.integer({ min: -HOUR_MS, max: 48 * HOUR_MS }),
  });
  type Drawn = typeof any extends fc.Arbitrary<infer Value> ? Value : never;
  const asked = (drawn: Drawn): StepQuestion => ({
    ladder: { tiers: drawn.tiers, deadlineAt: drawn.leftMs },
    tier: drawn.tiers[drawn.at % drawn.tiers.length]!,
    work: { requests: drawn.requests, tokens: drawn.tokens },
    paceOf: (tier) => ({
      requestsPerMinute: drawn.paces[TIERS.indexOf(tier)]!,
      tokensPerMinute: 1_000_000,
    }),
    isOffered: (tier) => !drawn.refused.includes(tier as 'flex'),
    beganAt: drawn.agoMs === undefined ? undefined : -drawn.agoMs,
    cancelMs: 10 * MINUTE_MS,
    now: 0,
  });
  const withoutWindows = (drawn: Drawn): Drawn => {
    const tiers = drawn.tiers.filter((tier) => !isWindowTier(tier));
    return { ...drawn, tiers: tiers.length === 0 ? ['standard'] : tiers };
  };
  const need = ({ work, paceOf: pace }: StepQuestion, tier: Tier): number =>
    needMs(work, pace(tier)) + windowMs(tier);
  const path = (of: StepQuestion, tier: Tier, last: Tier): number =>
    need(of, tier) + (tier === last ? 0 : need(of, last));

  it('only goes down, never up; what begins goes at least as far down as what stays', () => {
    fc.assert(
      fc.property(any, (drawn) => {
        const now = asked(drawn);
        const order = now.ladder.tiers.indexOf.bind(now.ladder.tiers);
        expect(order(tierToStay(now))).toBeGreaterThanOrEqual(order(now.tier));
        expect(order(tierToBegin(now))).toBeGreaterThanOrEqual(order(tierToStay(now)));
      }),
    );
  });

  it('goes the further down the less time is left, where no window is on the way', () => {
    fc.assert(
      fc.property(any, fc.nat({ max: 48 * HOUR_MS }), (drawn, laterMs) => {
        const now = asked(withoutWindows(drawn));
        const later = { ...now, now: laterMs };
        const order = now.ladder.tiers.indexOf.bind(now.ladder.tiers);
        expect(order(tierToStay(later))).toBeGreaterThanOrEqual(order(tierToStay(now)));
      }),
    );
  });

  it('is in the last tier for good once it had to go there', () => {
    fc.assert(
      fc.property(any, fc.nat({ max: 48 * HOUR_MS }), (drawn, laterMs) => {
        const now = asked(drawn);
        const last = now.ladder.tiers.at(-1);
        if (tierToStay(now) === last) expect(tierToStay({ ...now, now: laterMs })).toBe(last);
      }),
    );
  });

  it('enters a window only if all of it and then all of the last tier fit before the deadline', () => {
    fc.assert(
      fc.property(any, (drawn) => {
        const now = asked(drawn);
        const from = now.ladder.tiers.slice(now.ladder.tiers.indexOf(now.tier));
        const offered = from.filter(now.isOffered);
        const last = offered.at(-1) ?? now.ladder.tiers.at(-1)!;
        for (const tier of [tierToBegin(now), tierToStay(now)]) {
          if (!isWindowTier(tier) || tier === now.tier || tier === last) continue;
          expect(path(now, tier, last)).toBeLessThanOrEqual(drawn.leftMs);
        }
      }),
    );
  });

  it('leaves a tier only at the last moment for the cheapest tier below it that fits', () => {
    fc.assert(
      fc.property(any, (drawn) => {
        const now = asked(drawn);
        const next = tierToStay(now);
        if (next === now.tier) return;
        const { tiers } = now.ladder;
        const below = tiers.slice(tiers.indexOf(now.tier) + 1).filter(now.isOffered);
        const last = below.at(-1)!;
        // 15 minutes to cancel a batch, 5 to hand on, 10 until it is looked at.
        const possible = below.filter((tier) => path(now, tier, last) + 25 * MINUTE_MS < drawn.leftMs);
        // Nothing cheaper than where it goes would have done later; what is dearer is not thought of yet.
        for (const tier of possible) expect(below.indexOf(tier)).toBeGreaterThan(below.indexOf(next));
      }),
    );
  });

  it('never begins or enters what the provider does not offer, unless nothing else is left', () => {
    fc.assert(
      fc.property(any, (drawn) => {
        const now = asked(drawn);
        const from = now.ladder.tiers.slice(now.ladder.tiers.indexOf(now.tier));
        const begun = tierToBegin(now);
        const entered = tierToStay(now);
        expect(now.isOffered(begun) || !from.some(now.isOffered)).toBe(true);
        expect(now.isOffered(entered) || entered === now.tier).toBe(true);
      }),
    );
  });

  it('says when a tier is left, and stays in it before', () => {
    fc.assert(
      fc.property(any, fc.double({ min: 0, max: 1, noNaN: true }), (drawn, share) => {
        const now = asked(drawn);
        const at = leavesAt(now);
        if (at !== undefined) expect(tierToStay({ ...now, now: at })).not.toBe(now.tier);
        const until = at ?? 72 * HOUR_MS;
        if (until === 0) return;
        expect(tierToStay({ ...now, now: Math.floor((until - 1) * share) })).toBe(now.tier);
      }),
    );
  });

  it('meets the deadline with the last tier, whatever the tiers before it do, if there was time for it at the drop', () => {
    fc.assert(
      fc.property(any, (drawn) => {
        const start = asked({ ...drawn, agoMs: undefined, at: 0 });
        const { tiers } = start.ladder;
        const last = tiers.at(-1)!;
        if (need(start, last) + 45 * MINUTE_MS > drawn.leftMs || drawn.leftMs > 48 * HOUR_MS) return;
        let now = 0;
        let tier = tierToBegin(start);
        let beganAt = 0;
        for (; tier !== last; now += 5 * MINUTE_MS) {
          if (!start.isOffered(last)) return;
          const next = tierToStay({ ...start, tier, beganAt, now });
          if (next === tier) continue;
          now += tier === 'batch' ? 10 * MINUTE_MS : 0;
          tier = tierToBegin({ ...start, tier: next, now });
          beganAt = now;
        }
        // All of its work at the pace that was learned: the quarter of an hour around it is what polls may take of it.
        expect(now + need(start, last) - 15 * MINUTE_MS).toBeLessThanOrEqual(drawn.leftMs);
      }),
    );
  });
});

describe('work in a window', () => {
  const DEADLINE = hours(12);
  const inWindow = (changes: Changes = {}) =>
    withWindows({ tier: 'background-8h', leftMs: DEADLINE, beganAt: 0, ...changes });

  it('leaves at the last moment for the next window once its own is over, else at that for the last tier', () => {
    // 2.5 hours for the path through background-2h, and a quarter of an hour to see and to hand on.
    expect(leavesAt(inWindow())).toBe(DEADLINE - 165 * MINUTE_MS);
    expect(leavesAt(inWindow({ beganAt: 80 * MINUTE_MS }))).toBe(560 * MINUTE_MS);
    expect(leavesAt(inWindow({ beganAt: hours(2) }))).toBe(DEADLINE - 30 * MINUTE_MS);
    expect(leavesAt(inWindow({ now: DEADLINE }))).toBe(DEADLINE);
  });

  it('never leaves the last tier, nor one without a deadline', () => {
    expect(leavesAt({ ...inWindow(), ladder: { tiers: ['background-8h'] } })).toBeUndefined();
    expect(
      leavesAt(withWindows({ tier: 'background-8h', tiers: ['batch', 'background-8h'] })),
    ).toBeUndefined();
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
  const FIRST = { requestsPerMinute: 500, tokensPerMinute: 200_000 };

  it('is that of a new account until answers report theirs, and leaves a fifth of the limits to others', () => {
    expect(paceOf(undefined, 256, FIRST)).toEqual({ requestsPerMinute: 400, tokensPerMinute: 160_000 });
  });

  it('is no faster than calls of such length can be at a time', () => {
    const pace = { requestsPerMinute: 10_000, tokensPerMinute: 1_000_000, callMs: 30_000 };
    const ledger = { v: 1, name: 'x', reserved: 0, used: 0, updatedAt: 0, pace } as const;
    expect(paceOf(ledger, 64, FIRST)).toEqual({ requestsPerMinute: 128, tokensPerMinute: 800_000 });
  });
});
