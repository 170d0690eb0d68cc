import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import type { BatchLevelError, BatchStatus } from '../../../src/core/model/batch.ts';
import type { Fate, ServiceBatch } from './openai-model.ts';
import type { Random } from './random.ts';

/** OpenAI gives up on a batch after 24 hours. */
export const WINDOW_MS = DAY_MS;

/** Errors of a batch that is refused as a whole, though nothing is wrong with any line of it. */
export const BATCH_ERRORS: readonly BatchLevelError[] = [
  { code: 'server_error', message: 'The batch could not be processed.' },
  { code: 'billing_hard_limit_reached', message: 'Billing hard limit has been reached.' },
  {
    code: 'model_not_found',
    message: 'The provided model is not supported by the Batch API.',
    param: 'body.model',
  },
  { code: 'input_modified', message: 'The input file was modified.' },
  { code: 'never_heard_of', message: 'Something new.' },
];

/** The fate of a batch that does not go as it should. */
export function drawFate(random: Random): Fate {
  return random.weighted({
    normal: 0,
    all_failed: 1,
    stuck: 1,
    slow_validation: 3,
    slow_finalizing: 1,
    expired: 2,
    cancelled: 2,
    refused_blindly: 6,
    no_room: 1,
  });
}

/** The states that a batch comes to, with their times. */
export function drawSteps(
  random: Random,
  note: (what: string) => void,
  now: number,
  fate: Fate,
): ServiceBatch['steps'] {
  const validated =
    now +
    (fate === 'slow_validation'
      ? random.spread(HOUR_MS, 20 * HOUR_MS)
      : random.spread(SECOND_MS, 10 * MINUTE_MS));
  const done = validated + random.spread(MINUTE_MS, random.chance(0.1) ? 20 * HOUR_MS : 2 * HOUR_MS);
  const ended =
    done +
    (fate === 'slow_finalizing'
      ? random.spread(HOUR_MS, 12 * HOUR_MS)
      : random.spread(SECOND_MS, 20 * MINUTE_MS));
  const expires = now + WINDOW_MS;
  if (fate === 'slow_validation' || fate === 'slow_finalizing') note('Q2');
  if (fate === 'stuck') {
    note('Q1');
    return [
      { at: validated, to: 'in_progress' },
      { at: expires, to: 'expired' },
    ];
  }
  if (fate === 'expired') {
    note('Q14');
    // Sometimes before its time.
    const at = random.chance(0.3) ? now + random.spread(HOUR_MS, WINDOW_MS) : expires;
    return [
      { at: Math.min(validated, at), to: 'in_progress' },
      { at, to: 'expired' },
    ];
  }
  if (fate === 'cancelled') {
    note('Q12');
    return [
      { at: validated, to: 'in_progress' },
      { at: done, to: 'cancelling' },
      { at: done + random.spread(SECOND_MS, 10 * MINUTE_MS), to: 'cancelled' },
    ];
  }
  if (ended > expires) return [{ at: validated, to: 'in_progress' }, drawLastMoment(random, note, expires)];
  return [
    { at: validated, to: 'in_progress' },
    { at: done, to: 'finalizing' },
    { at: ended, to: 'completed' },
  ];
}

/** Done in the last moment, or not done. */
function drawLastMoment(
  random: Random,
  note: (what: string) => void,
  expires: number,
): { at: number; to: BatchStatus } {
  if (random.chance(0.5)) note('Q14');
  return {
    at: random.chance(0.5) ? expires + 5 * MINUTE_MS : expires,
    to: random.chance(0.5) ? 'completed' : 'expired',
  };
}
