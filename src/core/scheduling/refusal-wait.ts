import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../contract/time.ts';
import { type Backoff, waitAfter } from '../base/backoff.ts';

/**
 * How long a batch waits that OpenAI refused for a reason that may pass: most last for seconds, so the first retry
 * comes within a minute, and further ones back off.
 */
const REFUSAL_BACKOFF: Backoff = { firstMs: 30 * SECOND_MS, maxMs: HOUR_MS };
/** Longest wait over which a batch keeps what is reserved for it; over a longer one, others may have it. */
const MAX_SHORT_MS = 4 * MINUTE_MS;

/**
 * @param refusals how many times in a row the batch was refused, from 1: 30 seconds, then twice as long each time, up
 * to an hour.
 */
export function refusalWaitMs(refusals: number): number {
  return waitAfter(REFUSAL_BACKOFF, refusals);
}

/** Whether a wait is so short that the batch keeps what is reserved for it. */
export function isShortWait(waitMs: number): boolean {
  return waitMs > 0 && waitMs <= MAX_SHORT_MS;
}
