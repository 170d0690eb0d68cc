import type { Latencies } from '../model/ledger.ts';

/** Answers that are remembered: enough for a quantile of 99 %, and below 1 KB in the ledger's item. */
const MAX_REMEMBERED = 100;
/** After this long without an answer the model is measured again: its load changes within a day. */
const FORGOTTEN_AFTER_MS = 6 * 60 * 60_000;
/** At most one call in a hundred may outlast its worker (the target of the issue "calls that cannot end"). */
const FITTING_SHARE = 0.99;
/** A model is too slow if one answer in ten needs more than a worker's life: single stragglers do not condemn it. */
const TOO_SLOW_SHARE = 0.9;
/** Calls under way while nothing is known. */
const MAX_PROBES = 4;
/** Probes begin while a worker has at least this share of its longest call left. */
const PROBING_SHARE = 0.5;

/** What decides whether another call begins. All times in ms. */
export interface BeginQuestion {
  /** Durations of recent calls, oldest first. */
  recentMs: readonly number[];
  /** How long each call that is under way has lasted. */
  underWayMs: readonly number[];
  /** How long a call that begins now can wait for its answer. */
  availableMs: number;
  /** How long one can that begins with its worker. */
  fullMs: number;
  /** Less than this is no time for a call. */
  minMs: number;
}

/** `wait`: not before an answer has come; `continue_later`: not in this worker any more. */
export type BeginAnswer = 'begin' | 'wait' | 'continue_later';

/** Whether another call may begin. */
export function mayBegin(question: BeginQuestion): BeginAnswer {
  const { recentMs, underWayMs, availableMs, fullMs, minMs } = question;
  if (availableMs < minMs) return 'continue_later';
  if (recentMs.length > 0) return availableMs < neededMs(question) ? 'continue_later' : 'begin';
  if (underWayMs.length >= MAX_PROBES) return 'wait';
  return availableMs < fullMs * PROBING_SHARE ? 'continue_later' : 'begin';
}

/** The time to allow for one call. Few measurements say less, so they are given more room. */
function neededMs({ recentMs, underWayMs, fullMs, minMs }: BeginQuestion): number {
  if (isTooSlow(recentMs, fullMs)) return fullMs;
  const expected = quantile([...recentMs, ...underWayMs], FITTING_SHARE) * (1 + 1 / recentMs.length);
  // A fresh worker always has time for a call: otherwise nothing would ever begin.
  return Math.min(fullMs, Math.max(minMs, expected));
}

/** Whether calls of the model take longer than any worker can wait. `false` while nothing is known. */
export function isTooSlow(recentMs: readonly number[], fullMs: number): boolean {
  return recentMs.length > 0 && quantile(recentMs, TOO_SLOW_SHARE) >= fullMs;
}

/** The durations that still count at `now`, oldest first. */
export function recentLatencies(known: Latencies | undefined, now: number): readonly number[] {
  return known === undefined || now >= known.at + FORGOTTEN_AFTER_MS ? [] : known.recentMs;
}

/** What is known after more calls, measured until `now`. */
export function rememberLatencies(
  known: Latencies | undefined,
  measuredMs: readonly number[],
  now: number,
): Latencies {
  const rounded = measuredMs.map((ms) => Math.round(ms));
  return { recentMs: [...recentLatencies(known, now), ...rounded].slice(-MAX_REMEMBERED), at: now };
}

/** The smallest of the values that at least `share` of them do not exceed. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.ceil(sorted.length * share) - 1]!;
}
