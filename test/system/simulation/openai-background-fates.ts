import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import type { ServiceResponse } from './openai-model.ts';
import type { Random } from './random.ts';

/** The windows of background mode, in ms. Source: OpenAI guide "Background mode" (2026-11). */
export const WINDOWS = { '8h': 8 * HOUR_MS, '2h': 2 * HOUR_MS } as const;

/** The states that a response comes to, with their times. @param isOdd it does not go as it should. */
export function drawResponseSteps(
  random: Random,
  note: (what: string) => void,
  { now, window, isOdd }: { now: number; window: keyof typeof WINDOWS; isOdd: boolean },
): ServiceResponse['steps'] {
  const windowMs = WINDOWS[window];
  const fate = isOdd
    ? random.weighted({
        late: 3,
        'stuck queued': 3,
        'stuck in progress': 3,
        failed: 2,
        incomplete: 2,
        'cancelled from outside': 1,
      })
    : 'normal';
  note(`response:${fate}`);
  const stuckMs = random.spread(windowMs, 20 * DAY_MS);
  const queuedMs =
    fate === 'stuck queued'
      ? stuckMs
      : fate === 'late'
        ? random.spread(windowMs / 2, windowMs * 2)
        : random.spread(SECOND_MS, windowMs * 0.6);
  const runMs =
    fate === 'stuck in progress'
      ? stuckMs
      : fate === 'late'
        ? random.spread(windowMs / 2, windowMs)
        : random.spread(SECOND_MS, random.chance(0.2) ? windowMs * 0.4 : 10 * MINUTE_MS);
  const began = now + queuedMs;
  const at = began + runMs;
  if (fate === 'cancelled from outside') {
    // Before it began, or while it was being made.
    const isBegun = random.chance(0.5);
    return isBegun
      ? [
          { at: began, to: 'in_progress' },
          { at, to: 'cancelled' },
        ]
      : [{ at: began, to: 'cancelled' }];
  }
  const to = fate === 'failed' ? 'failed' : fate === 'incomplete' ? 'incomplete' : 'completed';
  return [
    { at: began, to: 'in_progress' },
    { at, to },
  ];
}
