/** Whether a dropped file may start, by the limits of its route. Pure; the store counts and records in one step. */
import type { DropLimits } from '../../contract/drop-limits.ts';
import { DAY_MS, MINUTE_MS } from '../../contract/time.ts';
import type { DropTally, DropTurn } from '../model/drop-turn.ts';
import { takeTurnOf } from './turns.ts';

/** How old {@link DropTally.waitedAt} may become while drops are made to wait: it is not written for each of them. */
const WAITED_AGAIN_MS = 30_000;
/** How long an index may lag behind what it shows: DynamoDB says "within a fraction of a second" under normal load. */
const INDEX_LAG_MS = 2 * MINUTE_MS;

/** What is asked for one drop. */
export interface TurnRequest {
  /** Absent: its route has no limits (any more). */
  limits: DropLimits | undefined;
  /** Whether it is the first of those that wait, so that it waits for no other one. */
  isFirst: boolean;
  now: number;
}

/** The answer to a drop. */
export interface TurnVerdict {
  turn: DropTurn;
  /** The route's tally after that; absent: it is as it was. */
  tally?: DropTally;
}

/**
 * Lets a drop start and counts it, or has it wait.
 * @param current the tally of its route; `undefined`: none was counted yet.
 * @param before its turn so far. One that it has taken stays taken, and is counted once.
 */
export function dropTurnOf(
  route: string,
  current: DropTally | undefined,
  before: DropTurn | undefined,
  { limits, isFirst, now }: TurnRequest,
): TurnVerdict {
  if (before?.takenAt !== undefined) return { turn: before };
  const { minutes, onDay, ...tally } = talliedOn(dayOf(now), current ?? newTally(route, now));
  const taken = takeTurnOf(minutes, limits?.perHour ?? Number.POSITIVE_INFINITY, now);
  const isDayFull = onDay >= (limits?.perDay ?? Number.POSITIVE_INFINITY);
  const isBehind = !isFirst && tally.waitedAt !== undefined;
  if (!('waitMs' in taken) && !isDayFull && !isBehind) {
    const { since } = before ?? {};
    return {
      turn: { ...(since === undefined ? {} : { since }), takenAt: now },
      tally: { ...tally, minutes: taken.minutes, onDay: onDay + 1 },
    };
  }
  const short = { perHour: 'waitMs' in taken ? now + taken.waitMs : 0, perDay: isDayFull ? nextDay(now) : 0 };
  const nextAt = Math.max(short.perHour, short.perDay);
  const waitsFor = nextAt === 0 ? 'earlierDrops' : short.perDay > 0 ? 'perDay' : 'perHour';
  const turn = { since: before?.since ?? now, waitsFor, ...(nextAt === 0 ? {} : { nextAt }) } as const;
  if (tally.waitedAt !== undefined && now < tally.waitedAt + WAITED_AGAIN_MS) return { turn };
  return { turn, tally: { ...tally, minutes, onDay, waitedAt: now } };
}

/**
 * The tally once no drop of its route waits any more, so that the next one need not wait for the poll.
 * @param listedAt when the index was read that showed none.
 * @returns `undefined` if it stays: one may have been made to wait that the index did not show yet.
 */
export function withoutWaiting(current: DropTally | undefined, listedAt: number): DropTally | undefined {
  if (current?.waitedAt === undefined || current.waitedAt > listedAt - INDEX_LAG_MS) return undefined;
  const { waitedAt: _, ...tally } = current;
  return tally;
}

function newTally(route: string, now: number): DropTally {
  return { v: 1, route, minutes: [], day: dayOf(now), onDay: 0 };
}

/** A day that begins has none yet; one that a clock which is behind begins again keeps its count. */
function talliedOn(day: string, tally: DropTally): DropTally {
  return day > tally.day ? { ...tally, day, onDay: 0 } : tally;
}

function dayOf(now: number): string {
  return new Date(now).toISOString().slice(0, 10);
}

function nextDay(now: number): number {
  return (Math.floor(now / DAY_MS) + 1) * DAY_MS;
}
