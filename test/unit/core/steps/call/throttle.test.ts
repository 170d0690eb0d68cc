import { describe, expect, it } from 'vitest';
import { Throttle } from '../../../../../src/core/steps/call/throttle.ts';

const MAX_JITTER = 'ffffffff';

/** A throttle and its clock; every wait is the longest of its step. */
function throttle() {
  const clock = { now: 1_000_000 };
  const throttle = new Throttle({ now: () => clock.now, nonce: () => MAX_JITTER });
  const begin = (calls: number): void => {
    for (let call = 0; call < calls; call++) throttle.begin();
  };
  return { throttle, clock, begin };
}

describe('a throttle', () => {
  it('lets 32 calls begin at a time', () => {
    const { throttle: calls, clock, begin } = throttle();
    begin(31);
    expect(calls.hasRoom(clock.now)).toBe(true);
    begin(1);
    expect(calls.hasRoom(clock.now)).toBe(false);
    calls.end();
    expect(calls).toMatchObject({ active: 31, isRefused: false });
    expect(calls.hasRoom(clock.now)).toBe(true);
  });

  it('waits longer and halves the calls with each refusal, and counts those of calls under way together once', () => {
    const { throttle: calls, clock, begin } = throttle();
    for (const waitMs of [1_000, 2_000, 4_000]) {
      for (let call = 0; call < 5; call++) calls.refused();
      expect(calls.waitMs(clock.now)).toBe(waitMs);
      expect(calls.hasRoom(clock.now)).toBe(false);
      clock.now += waitMs;
    }
    begin(3);
    expect(calls.hasRoom(clock.now)).toBe(true);
    begin(1);
    expect(calls.hasRoom(clock.now)).toBe(false);
  });

  it('waits as long as the provider asks, but checks every 30 seconds', () => {
    const { throttle: calls, clock } = throttle();
    calls.refused(90_000);
    expect(calls.waitMs(clock.now)).toBe(30_000);
    expect(calls.hasRoom(clock.now + 89_999)).toBe(false);
    expect(calls.hasRoom(clock.now + 90_000)).toBe(true);
  });

  it('gives up after two minutes without an answer, and starts over with one', () => {
    const { throttle: calls, clock } = throttle();
    expect(calls.isRefusedForLong(clock.now + 200_000)).toBe(false);
    calls.refused();
    expect(calls.isRefusedForLong(clock.now + 120_000)).toBe(false);
    expect(calls.isRefusedForLong(clock.now + 120_001)).toBe(true);
    calls.answered(clock.now);
    expect(calls.isRefused).toBe(false);
    expect(calls.isRefusedForLong(clock.now + 200_000)).toBe(false);
  });
});
