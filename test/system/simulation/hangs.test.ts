/** Hanging calls stay within what the core promises to survive, and reach it. */
import { expect, test } from 'vitest';
import { HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import { restAfter } from '../../../src/core/lifecycle/step-failure.ts';
import { isLastTry } from '../../../src/core/steps/collect/last-resort.ts';
import { Hangs, MAX_COLLECT_REGIME_MS } from './hangs.ts';
import { Random } from './random.ts';
import type { HandlerName } from './stack.ts';

const CALM_AT_MS = 60 * HOUR_MS;
const STEP_MS = 10 * MINUTE_MS;
const CALLS = ['batches.getBatch', 'batches.readFile', 'batches.fileSize', 'batches.listBatches'];

/** The longest time in which each of a handler's calls of one name hangs. */
function longestHangMs(seed: number, name: string, handler: HandlerName): number {
  const hangs = new Hangs(new Random(`hangs ${seed}`), {
    kinds: new Set(['hanging-calls']),
    calmAt: CALM_AT_MS,
  });
  let longest = 0;
  let from: number | undefined;
  for (let at = 0; at <= CALM_AT_MS; at += STEP_MS) {
    from = hangs.isHanging(name, at, handler) ? (from ?? at) : undefined;
    if (from !== undefined) longest = Math.max(longest, at - from);
  }
  return longest;
}

function longestOfAll(handler: HandlerName): number {
  const seeds = Array.from({ length: 300 }, (_, seed) => seed);
  return Math.max(...seeds.flatMap((seed) => CALLS.map((name) => longestHangMs(seed, name, handler))));
}

test('no call of collect hangs until collect takes what it has as all there is', () => {
  let givenUpAfterMs = 0;
  for (let failures = 1; !isLastTry({ wait: { failures } }); failures++)
    givenUpAfterMs += restAfter(failures) ?? 0;
  expect(givenUpAfterMs).toBeGreaterThan(2 * MAX_COLLECT_REGIME_MS);
  // A call may hang by chance right before a regime and right after it.
  expect(longestOfAll('collect')).toBeLessThan(MAX_COLLECT_REGIME_MS + HOUR_MS);
  expect(longestOfAll('collect')).toBeGreaterThan(MAX_COLLECT_REGIME_MS / 2);
});

test('calls of the poll hang for longer than a day in some seeds', () => {
  expect(longestOfAll('poll')).toBeGreaterThan(24 * HOUR_MS);
});
