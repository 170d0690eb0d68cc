/** Spans of time that several steps must agree on. */
import { readDuration } from '../../contract/durations.ts';
import { DEFAULT_COMPLETION_WINDOW } from '../../contract/route.ts';
import type { Deadline } from '../ports/ambient.ts';

/**
 * How long a provider may take for a batch (ms). Absent: the default of the routes' setting, which stays in the contract
 * because a deployment, not the core, decides it.
 */
export function completionWindowMs({ completionWindow }: { completionWindow?: string | undefined }): number {
  return readDuration(completionWindow ?? DEFAULT_COMPLETION_WINDOW)!;
}

/** How far OpenAI's clock and ours may differ when pages of a list are cut off by time. */
export const CLOCK_SKEW_MS = 10 * 60_000;

/** What is kept of a worker's life for recording how far it is: to send what is under way, and to retry each call. */
const MAX_RESERVE_MS = 60_000;

/** The time that a worker has for its work: all but a quarter of what is left now, or but a minute of it. */
export function workingTime(deadline: Deadline): Deadline {
  const reserveMs = Math.min(MAX_RESERVE_MS, deadline.remainingMs() / 4);
  return { remainingMs: () => deadline.remainingMs() - reserveMs };
}

/** @returns a deadline that leaves all but a share (0 to 1) of what is left now to others. */
export function partOf(deadline: Deadline, share: number): Deadline {
  const leftMs = deadline.remainingMs() * (1 - share);
  return { remainingMs: () => deadline.remainingMs() - leftMs };
}
