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

/** What is kept of a worker's life for recording how far it is: to send what is under way, and to retry each call. */
const MAX_RESERVE_MS = 60_000;

/** The time that a worker has for its work: all but a quarter of what is left now, or but a minute of it. */
export function workingTime(deadline: Deadline): Deadline {
  const reserveMs = Math.min(MAX_RESERVE_MS, deadline.remainingMs() / 4);
  return { remainingMs: () => deadline.remainingMs() - reserveMs };
}
