/** When a call may begin, by what is known of how long calls take. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOUR_MS, MINUTE_MS } from '../../../../src/contract/time.ts';
import {
  isTooSlow,
  mayBegin,
  recentLatencies,
  rememberLatencies,
} from '../../../../src/core/scheduling/latency.ts';

const FULL_MS = 12 * MINUTE_MS;

const ask = (recent: number[], underWay: number[], availableMs: number) =>
  mayBegin({ recentMs: recent, underWayMs: underWay, availableMs, fullMs: FULL_MS, minMs: MINUTE_MS });

describe('a call', () => {
  it('begins while the slowest of recent calls would still be answered', () => {
    const recent = Array.from({ length: 50 }, () => 5 * MINUTE_MS);
    expect(ask(recent, [], 6 * MINUTE_MS)).toBe('begin');
    expect(ask(recent, [], 5 * MINUTE_MS)).toBe('continue_later');
  });

  it('is judged by calls that are under way as well, since slow ones are answered last', () => {
    const quick = Array.from({ length: 50 }, () => 1_000);
    expect(ask(quick, [1_000], 7 * MINUTE_MS)).toBe('begin');
    expect(ask(quick, [8 * MINUTE_MS], 7 * MINUTE_MS)).toBe('continue_later');
  });

  it('gets more room where fewer were measured', () => {
    expect(ask([4 * MINUTE_MS], [], 7 * MINUTE_MS)).toBe('continue_later');
    expect(ask([4 * MINUTE_MS], [], 8 * MINUTE_MS)).toBe('begin');
  });

  it('waits behind four others while nothing is known, and does not begin late in a worker', () => {
    expect(ask([], [0, 0, 0], FULL_MS)).toBe('begin');
    expect(ask([], [0, 0, 0, 0], FULL_MS)).toBe('wait');
    expect(ask([], [], FULL_MS / 2 - 1)).toBe('continue_later');
  });

  it('always begins in a fresh worker, and never in one that is about to end', () => {
    const ms = fc.integer({ min: 1, max: 30 * MINUTE_MS });
    fc.assert(
      fc.property(
        fc.array(ms, { minLength: 1, maxLength: 150 }),
        fc.array(ms, { maxLength: 32 }),
        (recent, underWay) => {
          expect(ask(recent, underWay, FULL_MS)).toBe('begin');
          expect(ask(recent, underWay, MINUTE_MS - 1)).toBe('continue_later');
        },
      ),
    );
  });
});

describe('a model', () => {
  it('is too slow if more than one answer in ten needs more than a worker can wait', () => {
    const of = (slow: number) => [...Array(100 - slow).fill(1_000), ...Array(slow).fill(FULL_MS)];
    expect(isTooSlow(of(10), FULL_MS)).toBe(false);
    expect(isTooSlow(of(11), FULL_MS)).toBe(true);
    expect(isTooSlow([], FULL_MS)).toBe(false);
  });
});

describe('what is remembered', () => {
  it('are the last 100 durations, whichever worker measured them', () => {
    const first = rememberLatencies(undefined, Array(90).fill(1), 0);
    const second = rememberLatencies(first, Array(30).fill(2), HOUR_MS);
    expect(second).toEqual({ recentMs: [...Array(70).fill(1), ...Array(30).fill(2)], at: HOUR_MS });
  });

  it('is forgotten six hours after the last measurement', () => {
    const known = rememberLatencies(undefined, [7], 0);
    expect(recentLatencies(known, 6 * HOUR_MS - 1)).toEqual([7]);
    expect(recentLatencies(known, 6 * HOUR_MS)).toEqual([]);
    expect(rememberLatencies(known, [8], 6 * HOUR_MS).recentMs).toEqual([8]);
  });
});
