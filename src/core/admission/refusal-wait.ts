/**
 * How long a batch waits that OpenAI refused for a reason that may pass: most last for seconds, so the first retry comes
 * within a minute, and further ones back off.
 */
import { NotYetError } from '../errors.ts';

const FIRST_MS = 30_000;
const MAX_MS = 60 * 60_000;
/**
 * Longest wait that the message of the batch is kept for; longer ones end with a dispatch. So at most four receives of a
 * message are spent on it.
 */
const MAX_SHORT_MS = 4 * 60_000;

/** @param refusals how many times in a row the batch was refused, from 1: 30 seconds, then twice as long each time, up to an hour. */
export function refusalWaitMs(refusals: number): number {
  return Math.min(FIRST_MS * 2 ** (refusals - 1), MAX_MS);
}

/** Whether a wait is so short that the batch's own message should come back for it. */
export function isShortWait(waitMs: number): boolean {
  return waitMs > 0 && waitMs <= MAX_SHORT_MS;
}

/** What brings the message of a refused batch back after a short wait, to be thrown once the wait is recorded. */
export function refusedForNow(batchId: string, reason: string, waitMs: number): NotYetError {
  return new NotYetError(`batch ${batchId} is tried again soon: ${reason}`, waitMs);
}
