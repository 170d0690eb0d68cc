import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOUR_MS, MINUTE_MS } from '../../../../../src/contract/time.ts';
import {
  cancellingOf,
  givenUpAt,
  type Held,
  isBeyondReach,
  isGone,
  isUnstoppable,
  lookAgainAt,
  lookAt,
  type Outlook,
} from '../../../../../src/core/steps/call/background-plan.ts';

const NEVER = Number.POSITIVE_INFINITY;
const AT = 1_790_000_000_000;
const WINDOW_MS = 2 * HOUR_MS;

/** A slice without a deadline, `minutes` after its create. */
const outlookAt = (minutes: number, changes: Partial<Outlook> = {}): Outlook => ({
  now: AT + minutes * MINUTE_MS,
  windowMs: WINDOW_MS,
  queuedAt: NEVER,
  allAt: NEVER,
  waitsWhenLate: false,
  ...changes,
});
const HELD: Held = { at: AT, watch: 'sparing', isShortLived: false, isLastTry: false };
/** Queued ones are left after an hour, all after two, and the deadline is half an hour later. */
const LADDER = { queuedAt: AT + HOUR_MS, allAt: AT + 2 * HOUR_MS, deadlineAt: AT + 2.5 * HOUR_MS };

describe('whether a response is cancelled', () => {
  it.each([
    [59, {}, 'no'],
    [60, {}, 'queued'],
    [119, {}, 'queued'],
    [120, {}, 'always'],
    [120, { waitsWhenLate: true }, 'queued'],
    [5, { cancelledAt: AT }, 'always'],
  ] as const)('%i minutes after its create, with %j: %s', (minutes, changes, expected) => {
    expect(cancellingOf(outlookAt(minutes, { ...LADDER, ...changes }), HELD)).toBe(expected);
  });

  it('not while it is being made, if its request could not be tried again; unless its job was cancelled', () => {
    const last = { ...HELD, isLastTry: true };
    expect(cancellingOf(outlookAt(150, LADDER), last)).toBe('queued');
    expect(cancellingOf(outlookAt(150, { ...LADDER, cancelledAt: AT }), last)).toBe('always');
  });
});

describe('a response that does not end', () => {
  const last = { ...HELD, isLastTry: true };
  it.each([
    ['without a deadline', {}, HELD],
    ['in the last try', LADDER, last],
    ['where late ones are waited for', { ...LADDER, waitsWhenLate: true }, HELD],
  ] as const)('is cancelled two days after its create, and given up a day later, %s', (_, changes, held) => {
    const hoursLater = (hours: number) => outlookAt(hours * 60, changes);
    expect(cancellingOf(hoursLater(47.9), held)).not.toBe('always');
    expect(cancellingOf(hoursLater(48), held)).toBe('always');
    expect(isUnstoppable(hoursLater(71.9), held)).toBe(false);
    expect(isUnstoppable(hoursLater(72), held)).toBe(true);
  });

  it('is cancelled again after a minute, and more and more seldom, every 15 minutes at last', () => {
    const againAfter = (minutes: number) =>
      (lookAgainAt(outlookAt(minutes, { cancelledAt: AT }), HELD) - AT) / MINUTE_MS - minutes;
    expect([0, 8, 40, 120, 1_000].map(againAfter)).toEqual([1, 1, 5, 15, 15]);
  });
});

describe('when a response is given up of which nothing is known', () => {
  it('is the last moment of the last tier, two windows without a deadline, and at once for a cancelled job', () => {
    expect(givenUpAt(outlookAt(0, LADDER), HELD)).toBe(LADDER.allAt);
    expect(givenUpAt(outlookAt(0), HELD)).toBe(AT + 2 * WINDOW_MS);
    expect(givenUpAt(outlookAt(0, { cancelledAt: AT + 5 }), HELD)).toBe(AT + 5);
  });

  it('is so for one that OpenAI does not know, if a look a minute ago did not find it either', () => {
    const missing = { ...HELD, missingSince: AT + 200 * MINUTE_MS };
    expect(isGone(outlookAt(239), missing)).toBe(false);
    expect(isGone(outlookAt(240), missing)).toBe(true);
    expect(isGone(outlookAt(240), HELD)).toBe(false);
    const late = { ...HELD, missingSince: AT + 240 * MINUTE_MS };
    expect(isGone(outlookAt(240.9), late)).toBe(false);
    expect(isGone(outlookAt(241), late)).toBe(true);
    expect(lookAgainAt(outlookAt(240, { lookedAt: AT + 240 * MINUTE_MS }), late)).toBe(AT + 241 * MINUTE_MS);
    expect(lookAt(outlookAt(241, { lookedAt: AT + 240 * MINUTE_MS }), late)).toBe(AT + 241 * MINUTE_MS);
  });

  it('is 10 minutes after it was first not found for one that is kept no longer, however old it is', () => {
    const short = { ...HELD, isShortLived: true };
    expect(isGone(outlookAt(60), short)).toBe(false);
    const missing = { ...short, missingSince: AT + 60 * MINUTE_MS };
    expect(isGone(outlookAt(69), missing)).toBe(false);
    expect(isGone(outlookAt(70), missing)).toBe(true);
  });

  it('is the deadline for one that can be neither read nor cancelled, or an hour after its job was cancelled', () => {
    expect(isBeyondReach(outlookAt(149, LADDER), HELD)).toBe(false);
    expect(isBeyondReach(outlookAt(150, LADDER), HELD)).toBe(true);
    expect(isBeyondReach(outlookAt(150, { ...LADDER, waitsWhenLate: true }), HELD)).toBe(false);
    // What is not to be cancelled, after a day in which no look succeeded, however long ago its create is.
    const unreadable = { ...HELD, unreadableSince: AT + 600 * MINUTE_MS };
    expect(isBeyondReach(outlookAt(600 + 24 * 60 - 1), unreadable)).toBe(false);
    expect(isBeyondReach(outlookAt(600 + 24 * 60), unreadable)).toBe(true);
    expect(isBeyondReach(outlookAt(48 * 60), HELD)).toBe(false);
    expect(isBeyondReach(outlookAt(59, { cancelledAt: AT }), HELD)).toBe(false);
    expect(isBeyondReach(outlookAt(60, { cancelledAt: AT }), HELD)).toBe(true);
  });
});

describe('looks', () => {
  it('are made at once when queued ones are left, and often for a quarter of an hour after it', () => {
    const before = outlookAt(60, { ...LADDER, lookedAt: AT + 31 * MINUTE_MS });
    expect(lookAt(before, HELD)).toBe(before.now);
    expect(lookAgainAt({ ...before, lookedAt: before.now }, HELD)).toBe(before.now + 4 * MINUTE_MS);
    const settled = outlookAt(76, { ...LADDER, lookedAt: AT + 75 * MINUTE_MS });
    expect(lookAt(settled, HELD)).toBe(AT + 90 * MINUTE_MS);
  });

  it('never wait past a moment at which responses are left, nor does one that is due lie before now', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 149 }), fc.boolean(), (minutes, waitsWhenLate) => {
        const now = AT + minutes * MINUTE_MS;
        const outlook = outlookAt(minutes, { ...LADDER, waitsWhenLate, lookedAt: now });
        const again = lookAgainAt(outlook, HELD);
        expect(again).toBeGreaterThan(now);
        for (const moment of [LADDER.queuedAt, LADDER.allAt])
          if (moment > now) expect(again).toBeLessThanOrEqual(moment);
      }),
    );
  });
});
