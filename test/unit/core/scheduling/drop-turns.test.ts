import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DropLimits } from '../../../../src/contract/drop-limits.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../../src/contract/time.ts';
import type { DropTally } from '../../../../src/core/model/drop-turn.ts';
import { dropTurnOf, withoutWaiting } from '../../../../src/core/scheduling/drop-turns.ts';

/** 12:00 UTC. */
const NOON = Date.UTC(2026, 10, 30, 12);

/** Files of one route, each asked for as it comes; keeps the tally. */
function route(limits: DropLimits | undefined) {
  let tally: DropTally | undefined;
  return {
    drop(now: number, { isFirst = false, before = undefined as Parameters<typeof dropTurnOf>[2] } = {}) {
      const verdict = dropTurnOf('r', tally, before, { limits, isFirst, now });
      tally = verdict.tally ?? tally;
      return verdict.turn;
    },
    get tally() {
      return tally!;
    },
    none(listedAt: number) {
      tally = withoutWaiting(tally, listedAt) ?? tally;
    },
  };
}

test('no 60 minutes and no day have more files than the limits say, whenever they come', () => {
  const waits = fc.array(fc.integer({ min: 0, max: 3 * HOUR_MS }), { minLength: 1, maxLength: 80 });
  const limit = fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined });
  fc.assert(
    fc.property(waits, limit, limit, (list, perHour, perDay) => {
      const files = route({ perHour, perDay });
      const taken: number[] = [];
      let now = NOON;
      for (const wait of list) {
        now += wait;
        const { takenAt, nextAt } = files.drop(now, { isFirst: true });
        if (takenAt === undefined) expect(nextAt).toBeGreaterThan(now);
        else taken.push(takenAt);
        const hour = taken.filter((at) => at > now - HOUR_MS).length;
        const day = taken.filter((at) => Math.floor(at / DAY_MS) === Math.floor(now / DAY_MS)).length;
        expect(hour).toBeLessThanOrEqual(perHour ?? Number.POSITIVE_INFINITY);
        expect(day).toBeLessThanOrEqual(perDay ?? Number.POSITIVE_INFINITY);
      }
    }),
  );
});

test('the time that is said of a wait has room, for the first that waits', () => {
  const limits = fc.record({
    perHour: fc.integer({ min: 1, max: 3 }),
    perDay: fc.integer({ min: 1, max: 3 }),
  });
  fc.assert(
    fc.property(limits, fc.integer({ min: 0, max: DAY_MS }), (limit, at) => {
      const files = route(limit);
      const now = NOON + at;
      let turn = files.drop(now);
      while (turn.nextAt === undefined) turn = files.drop(now);
      expect(files.drop(turn.nextAt, { isFirst: true, before: turn })).toEqual({
        since: now,
        takenAt: turn.nextAt,
      });
    }),
  );
});

test('a file that was counted is not counted again', () => {
  const files = route({ perDay: 2 });
  const first = files.drop(NOON);
  expect(files.drop(NOON + 5, { before: first })).toEqual({ takenAt: NOON });
  expect(files.tally).toMatchObject({ day: '2026-11-30', onDay: 1 });
});

describe('files that wait', () => {
  test('go before those that come later, also where there is room again', () => {
    const files = route({ perHour: 1 });
    files.drop(NOON);
    const waiting = files.drop(NOON + MINUTE_MS);
    expect(waiting).toMatchObject({ since: NOON + MINUTE_MS, waitsFor: 'perHour' });
    const later = NOON + 2 * HOUR_MS;
    expect(files.drop(later)).toEqual({ since: later, waitsFor: 'earlierDrops' });
    expect(files.drop(later, { isFirst: true, before: waiting })).toMatchObject({ takenAt: later });
  });

  test('are in nobody’s way once none is listed, two minutes after the last was made to wait', () => {
    const files = route({ perHour: 1 });
    files.drop(NOON);
    files.drop(NOON);
    const later = NOON + 2 * HOUR_MS;
    files.none(NOON + MINUTE_MS);
    expect(files.drop(later).waitsFor).toBe('earlierDrops');
    files.none(later + 3 * MINUTE_MS);
    expect(files.drop(later + 3 * MINUTE_MS).takenAt).toBe(later + 3 * MINUTE_MS);
  });

  test('do not write the tally for each of them, so that a flood does not contend for it', () => {
    const request = { limits: { perDay: 1 }, isFirst: false, now: NOON };
    const full = dropTurnOf('r', dropTurnOf('r', undefined, undefined, request).tally, undefined, request);
    expect(full.tally).toMatchObject({ waitedAt: NOON });
    const next = (now: number) => dropTurnOf('r', full.tally, undefined, { ...request, now });
    expect(next(NOON + 10_000).tally).toBeUndefined();
    expect(next(NOON + 40_000).tally).toMatchObject({ waitedAt: NOON + 40_000 });
  });

  test('start at once where the limits were removed', () => {
    const files = route({ perDay: 1 });
    files.drop(NOON);
    const waiting = files.drop(NOON);
    const { turn } = dropTurnOf('r', files.tally, waiting, {
      limits: undefined,
      isFirst: true,
      now: NOON + 1,
    });
    expect(turn.takenAt).toBe(NOON + 1);
  });
});

test('a day that a clock which is behind begins again keeps its count', () => {
  const files = route({ perDay: 1 });
  const midnight = Date.UTC(2026, 11, 1);
  files.drop(midnight);
  expect(files.drop(midnight - 1, { isFirst: true })).toMatchObject({ waitsFor: 'perDay' });
});
