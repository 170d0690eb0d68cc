/** What every {@link PauseStore} does. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PauseStore } from '../../../src/core/ports/pauses.ts';

const BY = 'arn:aws:iam::123456789012:user/one';
const OTHER = 'arn:aws:iam::123456789012:user/other';

/** Runs the suite on a store that has no pause. */
export function describePauseStore(
  name: string,
  open: () => Promise<{ pauses: PauseStore; close(): Promise<void> }>,
): void {
  describe(`pauses in ${name}`, () => {
    let opened: Awaited<ReturnType<typeof open>>;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(() => opened.close());

    test('begin once, say who began them, and end once', async () => {
      const { pauses } = opened;
      expect(await pauses.getPauses()).toEqual([]);
      const begin = { v: 1, route: 'nightly', by: BY, at: 10, reason: 'bad prompts' } as const;
      const pause = { ...begin, isPaused: true };
      expect(await pauses.pause(begin)).toEqual({ pause, isNew: true });
      expect(await pauses.pause({ v: 1, route: 'nightly', by: OTHER, at: 20 })).toEqual({
        pause,
        isNew: false,
      });
      expect(await pauses.getPauses()).toEqual([pause]);
      expect(await pauses.unpause({ v: 1, route: 'nightly', by: OTHER, at: 30 })).toBe(true);
      expect(await pauses.unpause({ v: 1, route: 'nightly', by: OTHER, at: 40 })).toBe(false);
      expect(await pauses.getPauses()).toEqual([]);
    });

    test('of the stack and of a route are two', async () => {
      const { pauses } = opened;
      await pauses.pause({ v: 1, by: BY, at: 50 });
      await pauses.pause({ v: 1, route: 'nightly', by: OTHER, at: 60 });
      expect(await pauses.getPauses()).toEqual([
        { v: 1, by: BY, at: 50, isPaused: true },
        { v: 1, route: 'nightly', by: OTHER, at: 60, isPaused: true },
      ]);
      await pauses.unpause({ v: 1, by: BY, at: 70 });
      expect(await pauses.getPauses()).toEqual([
        { v: 1, route: 'nightly', by: OTHER, at: 60, isPaused: true },
      ]);
      expect(await pauses.unpause({ v: 1, route: 'weekly', by: BY, at: 80 })).toBe(false);
    });
  });
}
