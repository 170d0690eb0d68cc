/** What a visit does with a response that has not ended, and when the next visit is. Pure; all times are epoch ms. */
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../contract/time.ts';
import type { Created } from './created.ts';
import { MIN_LOOK_MS, nextLook, type Watch } from './looks.ts';
import type { Moments } from './slice-tier.ts';
import type { Unread } from './unread.ts';

/** For this time after queued responses were cancelled, running ones are read often: the cancelled requests wait for them. */
const SETTLING_MS = 15 * MINUTE_MS;
/** A cancel whose reply says that the response goes on is repeated after this share of the time since the first one, */
const CANCEL_AGAIN_SHARE = 1 / 8;
/** after this at the soonest, */
const CANCEL_AGAIN_MS = MINUTE_MS;
/** and after this at the latest. */
const MAX_CANCEL_AGAIN_MS = 15 * MINUTE_MS;
/** What cannot be read or cancelled of a cancelled job is waited for so long. */
const CANCELLING_MS = HOUR_MS;
/** What cannot be read is waited for so long, where nothing else decides: longer than faults of OpenAI last. */
const UNREADABLE_MS = DAY_MS;
/**
 * No response is waited for longer after its create: twice what a batch may take. Ours, no source says for how long one
 * may be queued or made.
 */
const LONGEST_MS = 2 * DAY_MS;
/** What goes on although it is cancelled is waited for so long. */
const STOPPING_MS = DAY_MS;
/** How long a response is kept after it has ended, where that is short. Source: see `responseRetention` of a route. */
const SHORT_RETENTION_MS = 10 * MINUTE_MS;
/**
 * A response counts as gone only after two 404s at least this far apart: the replica that answers may lag behind. Ours,
 * no source says how long that lasts.
 */
const MISSING_MS = MINUTE_MS;
/** One of which nothing is known is given up so many windows after its create, where nothing else decides. */
const WINDOWS_UNTIL_GIVEN_UP = 2;

/** What decides over all responses of a slice. */
export interface Outlook extends Pick<Moments, 'queuedAt' | 'allAt'> {
  now: number;
  windowMs: number;
  /** When the results must be there. */
  deadlineAt?: number | undefined;
  /** When the job was cancelled. */
  cancelledAt?: number | undefined;
  /** Responses that are being made are waited for, however late it is. */
  waitsWhenLate: boolean;
  /** The looks that were due by then are made. */
  lookedAt?: number | undefined;
}

/** What decides over one response besides. */
export interface Held extends Pick<Created, 'at'>, Unread {
  watch: Watch;
  /** OpenAI keeps it for minutes only. */
  isShortLived: boolean;
  /** Were it cancelled while it is being made, its request would fail: it may not be tried again. */
  isLastTry: boolean;
}

/** Whether to cancel a response: not, if it is still queued, or whatever it is. */
export type Cancelling = 'no' | 'queued' | 'always';

export function cancellingOf(outlook: Outlook, held: Pick<Held, 'at' | 'isLastTry'>): Cancelling {
  const { now, queuedAt } = outlook;
  if (now >= cancelledFrom(outlook, held)) return 'always';
  return now >= queuedAt ? 'queued' : 'no';
}

/** From when on a response is cancelled whatever it is. */
function cancelledFrom(outlook: Outlook, { at, isLastTry }: Pick<Held, 'at' | 'isLastTry'>): number {
  const { allAt, cancelledAt, waitsWhenLate } = outlook;
  if (cancelledAt !== undefined) return cancelledAt;
  return Math.min(at + LONGEST_MS, waitsWhenLate || isLastTry ? Number.POSITIVE_INFINITY : allAt);
}

/** Whether one that goes on although it is cancelled is waited for no longer. */
export function isUnstoppable(outlook: Outlook, held: Pick<Held, 'at' | 'isLastTry'>): boolean {
  return outlook.now >= cancelledFrom(outlook, held) + STOPPING_MS;
}

/** When one is given up of which OpenAI says, or has said, nothing. */
export function givenUpAt({ allAt, cancelledAt, windowMs }: Outlook, { at }: Pick<Created, 'at'>): number {
  if (cancelledAt !== undefined) return cancelledAt;
  return Number.isFinite(allAt) ? allAt : at + WINDOWS_UNTIL_GIVEN_UP * windowMs;
}

/**
 * Whether one that OpenAI does not know any more, or yet, is waited for no longer: it was missing before, so that two
 * looks say so. One that is kept for minutes is missing for as long as it is kept, or its time is over.
 */
export function isGone(outlook: Outlook, held: Held): boolean {
  return outlook.now >= goneAt(outlook, held);
}

/** From when on a further look that does not find it is the last one; `Infinity`: it was there, or not looked at. */
function goneAt(outlook: Outlook, { at, isShortLived, missingSince }: Held): number {
  if (missingSince === undefined) return Number.POSITIVE_INFINITY;
  const second = Math.max(missingSince + MISSING_MS, givenUpAt(outlook, { at }));
  return isShortLived ? Math.min(second, missingSince + SHORT_RETENTION_MS) : second;
}

/** Whether one that can be neither read nor cancelled is waited for no longer. */
export function isBeyondReach(outlook: Outlook, held: Held): boolean {
  const { now, cancelledAt, deadlineAt } = outlook;
  if (cancelledAt !== undefined) return now >= cancelledAt + CANCELLING_MS;
  if (cancellingOf(outlook, held) === 'always' && deadlineAt !== undefined) return now >= deadlineAt;
  const { unreadableSince = now } = held;
  return now >= Math.max(deadlineAt ?? 0, unreadableSince + UNREADABLE_MS);
}

/** Whether that has been so for as long as a cancel is tried. */
export function isCancelOverdue(outlook: Outlook, held: Held): boolean {
  return isBeyondReach({ ...outlook, now: outlook.now - CANCELLING_MS }, held);
}

/** When a response is to be looked at; that may be past. */
export function lookAt(outlook: Outlook, held: Held): number {
  const { now, queuedAt, lookedAt = 0 } = outlook;
  const cancelling = cancellingOf(outlook, held);
  if (cancelling === 'always' || (cancelling === 'queued' && (lookedAt < queuedAt || isSettling(outlook))))
    return now;
  return Math.min(plannedLook(outlook, held), goneAt(outlook, held));
}

/** When a response is to be looked at again, all looks that were due being made. */
export function lookAgainAt(outlook: Outlook, held: Held): number {
  const { now, queuedAt, allAt } = outlook;
  if (cancellingOf(outlook, held) === 'always') {
    const againMs = CANCEL_AGAIN_SHARE * (now - cancelledFrom(outlook, held));
    return now + Math.min(MAX_CANCEL_AGAIN_MS, Math.max(CANCEL_AGAIN_MS, Math.ceil(againMs)));
  }
  const planned = isSettling(outlook)
    ? Math.min(now + MIN_LOOK_MS, plannedLook(outlook, held))
    : plannedLook(outlook, held);
  const moments = [queuedAt, allAt, goneAt(outlook, held)].filter((moment) => moment > now);
  return Math.min(planned, ...moments);
}

/** Queued ones were cancelled a short time ago. */
function isSettling({ now, queuedAt }: Outlook): boolean {
  return now >= queuedAt && now < queuedAt + SETTLING_MS;
}

function plannedLook({ windowMs, lookedAt = 0 }: Outlook, { at, watch }: Held): number {
  return nextLook({ createdAt: at, windowMs, watch }, Math.max(lookedAt, at));
}
