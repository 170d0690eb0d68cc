import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Cause, isExhausted, triesOf, withTry } from '../../../../src/core/model/tries.ts';

const CAUSES: Cause[] = ['unexecuted', 'transient', 'lost'];
const triedBy = (...causes: Cause[]): number => causes.reduce(withTry, 0);
const route = (maxTries: number, maxTriesByCause = {}) => ({
  maxTries,
  maxTriesByCause: { lost: 2, ...maxTriesByCause },
});

describe('tries', () => {
  it('are counted by cause, in any order, and fit the four bytes of a manifest entry', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...CAUSES), { maxLength: 200 }), (causes) => {
        const tried = triedBy(...causes);
        expect(triesOf(tried)).toBe(causes.length);
        expect(triedBy(...causes.toReversed())).toBe(tried);
        expect(tried >= 0 && tried <= 0xffffffff).toBe(true);
      }),
    );
  });

  it('stay where they are once a cause has come 255 times, and spill into no other cause', () => {
    for (const cause of CAUSES) {
      const most = triedBy(...Array.from({ length: 300 }, () => cause));
      expect(triesOf(most)).toBe(255);
      for (const other of CAUSES.filter((one) => one !== cause))
        expect(triesOf(withTry(most, other))).toBe(256);
    }
  });

  it('are exhausted by their number in all, or by one cause alone', () => {
    expect(isExhausted(triedBy('transient', 'unexecuted'), route(3))).toBe(false);
    expect(isExhausted(triedBy('transient', 'unexecuted', 'lost'), route(3))).toBe(true);
    expect(isExhausted(triedBy('lost'), route(3))).toBe(false);
    expect(isExhausted(triedBy('lost', 'lost'), route(3))).toBe(true);
    expect(isExhausted(triedBy('lost', 'lost'), route(3, { lost: 3 }))).toBe(false);
    expect(isExhausted(triedBy('unexecuted'), route(3, { unexecuted: 1 }))).toBe(true);
    expect(isExhausted(triedBy('transient'), route(3, { unexecuted: 1 }))).toBe(false);
    expect(isExhausted(0, route(1))).toBe(false);
  });
});
