/**
 * How long a batch waits that OpenAI refused for a reason that may pass: most last for seconds, so the first retry comes
 * within a minute, and further ones back off.
 */
const FIRST_MS = 30_000;
const MAX_MS = 60 * 60_000;
/** Longest wait over which a batch keeps what is reserved for it; over a longer one, others may have it. */
const MAX_SHORT_MS = 4 * 60_000;

/** @param refusals how many times in a row the batch was refused, from 1: 30 seconds, then twice as long each time, up to an hour. */
export function refusalWaitMs(refusals: number): number {
  return Math.min(FIRST_MS * 2 ** (refusals - 1), MAX_MS);
}

/** Whether a wait is so short that the batch keeps what is reserved for it. */
export function isShortWait(waitMs: number): boolean {
  return waitMs > 0 && waitMs <= MAX_SHORT_MS;
}
