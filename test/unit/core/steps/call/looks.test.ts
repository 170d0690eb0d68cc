import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOUR_MS, MINUTE_MS } from '../../../../../src/contract/time.ts';
import { MIN_LOOK_MS, nextLook, type Watch } from '../../../../../src/core/steps/call/looks.ts';

const CREATED_AT = 1_790_000_000_000;
const WATCHES: readonly Watch[] = ['sparing', 'reported', 'close'];

/** The looks at a response, in ms since its create, each made at its time, until `untilMs`. */
function looksUntil(windowMs: number, watch: Watch, untilMs: number): number[] {
  const looks: number[] = [];
  for (let at = CREATED_AT; ; ) {
    at = nextLook({ createdAt: CREATED_AT, windowMs, watch }, at);
    if (at - CREATED_AT > untilMs) return looks;
    looks.push(at - CREATED_AT);
  }
}

const inMinutes = (looks: readonly number[]): number[] => looks.map((ms) => ms / MINUTE_MS);

describe('the times of looks at a response', () => {
  it('are shares of its window, and quarters after it', () => {
    expect(inMinutes(looksUntil(8 * HOUR_MS, 'sparing', 12 * HOUR_MS))).toEqual([
      15, 30, 60, 120, 240, 360, 480, 600, 720,
    ]);
    expect(inMinutes(looksUntil(2 * HOUR_MS, 'sparing', 3 * HOUR_MS))).toEqual([
      4, 8, 15, 30, 60, 90, 120, 150, 180,
    ]);
  });

  it('are few while webhooks tell of its end', () => {
    expect(inMinutes(looksUntil(8 * HOUR_MS, 'reported', 12 * HOUR_MS))).toEqual([240, 480, 600, 720]);
  });

  it('are every 4 minutes where it is kept for 10', () => {
    expect(inMinutes(looksUntil(2 * HOUR_MS, 'close', 20 * MINUTE_MS))).toEqual([4, 8, 12, 16, 20]);
  });

  it('lie ahead of any time, by a quarter of the window at most, and never within 4 minutes of each other', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...WATCHES),
        fc.constantFrom(2 * HOUR_MS, 8 * HOUR_MS),
        fc.integer({ min: -HOUR_MS, max: 100 * HOUR_MS }),
        (watch, windowMs, ageMs) => {
          const watched = { createdAt: CREATED_AT, windowMs, watch };
          const after = CREATED_AT + ageMs;
          const look = nextLook(watched, after);
          expect(look).toBeGreaterThan(after);
          expect(nextLook(watched, look) - look).toBeGreaterThanOrEqual(MIN_LOOK_MS);
          expect(look - Math.max(after, CREATED_AT)).toBeLessThanOrEqual(windowMs / 2);
        },
      ),
    );
  });

  it('are 6 at most for a response on average, if any end within the window is as likely as any other', () => {
    for (const windowMs of [2 * HOUR_MS, 8 * HOUR_MS]) {
      const steps = 1_000;
      let looks = 0;
      for (let step = 1; step <= steps; step++) {
        const endedMs = (step / steps) * windowMs;
        // Those that find it unfinished, and the one that finds it.
        looks += looksUntil(windowMs, 'sparing', endedMs - 1).length + 1;
      }
      expect(looks / steps).toBeLessThanOrEqual(6);
    }
  });
});
