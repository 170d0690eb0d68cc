/** Spans of time that several steps must agree on. */
import type { Deadline } from './ports.ts';

/** A worker that has not ended by then is dead: a Lambda lives for 15 minutes at most. Claims and turns last as long. */
export const WORKER_LIFETIME_MS = 16 * 60_000;

/** How far OpenAI's clock and ours may differ when pages of a list are cut off by time. */
export const CLOCK_SKEW_MS = 10 * 60_000;

/** How much longer than its worker a claim holds, because clocks differ a little: Lambda keeps them by NTP. */
const CLAIM_BEYOND_WORKER_MS = 5_000;

/** Until when what a worker takes now is its own: as long as it lives. */
export function claimedUntil(now: number, deadline: Deadline): number {
  return now + deadline.remainingMs() + CLAIM_BEYOND_WORKER_MS;
}

/**
 * How long before its end a worker stops, so as to record how far it is: time to send what is under way, and to retry
 * each call.
 */
export const STOP_BEFORE_END_MS = 60_000;
