import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attemptsOf, type Cause, isExhausted, withAttempt } from '../../../../src/core/model/attempts.ts';

const CAUSES: Cause[] = ['unexecuted', 'transient', 'lost'];
const triesOf = (...causes: Cause[]): number => causes.reduce(withAttempt, 0);
const route = (maxRounds: number, maxRoundsByCause = {}) => ({
  maxRounds,
  maxRoundsByCause: { lost: 2, ...maxRoundsByCause },
});

describe('attempts', () => {
  it('are counted by cause, in any order, and fit the four bytes of a manifest entry', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...CAUSES), { maxLength: 200 }), (causes) => {
        const tried = triesOf(...causes);
        expect(attemptsOf(tried)).toBe(causes.length);
        expect(triesOf(...causes.toReversed())).toBe(tried);
        expect(tried >= 0 && tried <= 0xffffffff).toBe(true);
      }),
    );
  });

  it('stay where they are once a cause has come 255 times, and spill into no other cause', () => {
    for (const cause of CAUSES) {
      const most = triesOf(...Array.from({ length: 300 }, () => cause));
      expect(attemptsOf(most)).toBe(255);
      for (const other of CAUSES.filter((one) => one !== cause))
        expect(attemptsOf(withAttempt(most, other))).toBe(256);
    }
  });

  it('are exhausted by their number in all, or by one cause alone', () => {
    expect(isExhausted(triesOf('transient', 'unexecuted'), route(3))).toBe(false);
    expect(isExhausted(triesOf('transient', 'unexecuted', 'lost'), route(3))).toBe(true);
    expect(isExhausted(triesOf('lost'), route(3))).toBe(false);
    expect(isExhausted(triesOf('lost', 'lost'), route(3))).toBe(true);
    expect(isExhausted(triesOf('lost', 'lost'), route(3, { lost: 3 }))).toBe(false);
    expect(isExhausted(triesOf('unexecuted'), route(3, { unexecuted: 1 }))).toBe(true);
    expect(isExhausted(triesOf('transient'), route(3, { unexecuted: 1 }))).toBe(false);
    expect(isExhausted(0, route(1))).toBe(false);
  });
});
