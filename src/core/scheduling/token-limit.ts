import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../contract/time.ts';
import { type Backoff, waitAfter } from '../base/backoff.ts';
import { type BatchRecord, tokensOf } from '../model/batch.ts';
import type { Ledger } from '../model/ledger.ts';
import type { LedgerLessons } from '../ports/quota.ts';
import { unjudgedWithout } from './ledger.ts';

/** A batch above this part of the limit that is known is cut again. */
export const RECUT_SHARE = 0.8;
/** A lesson is believed for a day: accounts move up, and one batch a day that is refused is how it shows. */
const LESSON_LASTS_MS = DAY_MS;
/** Batches beyond what is proven that may be unjudged: before the first refusal, after it, and ever. */
const FIRST_PROBES = 4;
const PROBES_AFTER_REFUSAL = 1;
const MAX_PROBES = 32;
/** What is left of the ceiling after a refusal that the limit does not explain, and after one that follows upon it. */
const FIRST_SHRINK = 3 / 4;
const FURTHER_SHRINK = 1 / 2;
/** So many batches are taken before the ceiling is where it was refused. */
const ACCEPTED_PER_REFUSAL = 40;
/** How long nothing is sent after a refusal. */
const PAUSE_BACKOFF: Backoff = { firstMs: 5 * MINUTE_MS, maxMs: HOUR_MS };

/**
 * Where the ceiling of a model starts: the lowest limit that was published or reported for its class (tier 1). Low is
 * harmless, it doubles every few minutes; high means refusals. Sources: model pages 2026-10 and messages of
 * 2026-08/09 (luna: pages say 5,000,000, messages 2,000,000), OpenAI's llms-models-pricing.txt 2025 (gpt-4o class
 * 90,000), community reports (gpt-4o-mini 2,000,000, embeddings-3 3,000,000, gpt-5 900,000).
 */
const STARTS: readonly (readonly [pattern: RegExp, tokens: number])[] = [
  [/^text-embedding-/, 3_000_000],
  [/-luna|-mini|-nano/, 2_000_000],
  [/^gpt-(5|6)/, 900_000],
];
/** For every other model: the lowest of all. */
const LOWEST_START = 90_000;

/** What to keep to. */
export interface TokenLimit {
  /** The limit itself, where it is known. */
  known?: number | undefined;
  /** The same, or what a model of this class has at the least. */
  assumed: number;
  /** What may be reserved at present: never above `known`. */
  ceiling: number;
  /** How many batches beyond the ceiling may be unjudged. */
  probes: number;
}

/** @param configured the user's own limit for the model, which OpenAI's can only lower. */
export function tokenLimitOf(
  ledger: Ledger | undefined,
  model: string,
  configured: number | undefined,
  now: number,
): TokenLimit {
  const isFresh = isRecent(ledger?.limitLearnedAt, now);
  const known = least(configured, isFresh ? ledger?.limit : undefined);
  const assumed = known ?? startOf(model);
  const proven = Math.min(ledger?.ceiling ?? assumed, known ?? Number.MAX_SAFE_INTEGER);
  if (known !== undefined && !isRecent(ledger?.sharedAt, now))
    return { known, assumed, ceiling: known, probes: 0 };
  const first = ledger?.lastRefusal === undefined ? FIRST_PROBES : PROBES_AFTER_REFUSAL;
  const probes = ledger?.refusedAt === undefined ? (ledger?.probes ?? first) : 0;
  return { known, assumed, ceiling: proven, probes };
}

function isRecent(time: number | undefined, now: number): boolean {
  return time !== undefined && now < time + LESSON_LASTS_MS;
}

/** What OpenAI's refusal says: "Limit: 2,000,000 enqueued tokens." */
function reportedLimit(message: string): number | undefined {
  const reported = /limit:\s*([\d,]+)\s*enqueued tokens/i.exec(message)?.[1];
  const limit = reported === undefined ? 0 : Number(reported.replaceAll(',', ''));
  return Number.isSafeInteger(limit) && limit > 0 ? limit : undefined;
}

/** A refusal of a batch for lack of room. */
export interface Refusal {
  /** The batch at OpenAI: a refusal that is reported twice counts once. */
  openaiBatchId: string;
  /** What it would have taken. */
  tokens: number;
  message: string;
  /** The batch itself is cut, see {@link cutAfterRefusal}. */
  isCut?: boolean;
}

/**
 * A batch below this part of a limit is not above it by any error of our estimate: something unseen has taken the
 * room.
 */
export const SURELY_SMALL_SHARE = 1 / 8;

/**
 * Into parts of how many tokens a refused batch is to be cut at once. OpenAI states the limit in its refusal; a batch
 * that was sent while nothing else was enqueued, and is refused all the same, is above it by OpenAI's count, whatever
 * our estimate says.
 * @param ledger as it is after the batch's own tokens were given back.
 * @returns `undefined` if the refusal does not say so, or the batch cannot be cut: it waits for room.
 */
export function cutAfterRefusal(
  ledger: Pick<Ledger, 'reserved'> | undefined,
  batch: Pick<BatchRecord, 'tokens' | 'bytes' | 'requests' | 'admission'>,
  message: string,
): number | undefined {
  const reported = reportedLimit(message);
  if (reported === undefined || batch.requests === 1) return undefined;
  const tokens = tokensOf(batch);
  if (tokens > reported) return Math.max(1, Math.floor(reported * RECUT_SHARE));
  const isAlone = batch.admission?.sentAlone === true && (ledger?.reserved ?? 0) === 0;
  return isAlone && tokens >= reported * SURELY_SMALL_SHARE ? Math.max(1, Math.floor(tokens / 2)) : undefined;
}

/**
 * What a refusal teaches. If what was enqueued is above the limit that it states, the limit is the lesson; if there
 * should have been room, less is used after a pause. Refusals that are seen during the pause are of batches sent
 * before it.
 * @param ledger as it is after the batch's own tokens were given back.
 */
export function lessonOfRefusal(
  ledger: Ledger | undefined,
  refusal: Refusal,
  model: string,
  configured: number | undefined,
  now: number,
): LedgerLessons | undefined {
  if (ledger?.lastRefusal === refusal.openaiBatchId) return undefined;
  const reported = reportedLimit(refusal.message);
  const limit = reported ?? ledger?.limit;
  const lastRefusal = refusal.openaiBatchId;
  const lesson: LedgerLessons =
    reported === undefined ? { lastRefusal } : { lastRefusal, limit: reported, limitLearnedAt: now };
  // Others that were sent to see whether there is room are most likely refused as well.
  const enqueued = (ledger === undefined ? 0 : takenOf(ledger, ledger.unjudged)) + refusal.tokens;
  const before = tokenLimitOf(ledger, model, configured, now);
  if (limit !== undefined && enqueued > limit)
    return { ...lesson, ceiling: Math.min(before.ceiling, limit), probes: PROBES_AFTER_REFUSAL };
  const isSameBurst = (ledger?.pausedUntil ?? 0) > now && !refusal.isCut;
  if (isSameBurst) return lesson;
  const refusals = (ledger?.refusals ?? 0) + 1;
  const part = refusal.isCut || refusals > 1 ? FURTHER_SHRINK : FIRST_SHRINK;
  const ceiling = Math.max(1, Math.floor(Math.min(before.ceiling, enqueued) * part));
  const recovering = { ...lesson, ceiling, refusedAt: enqueued, sharedAt: now, probes: PROBES_AFTER_REFUSAL };
  // Its parts are what OpenAI takes by its own count, so they need not rest.
  if (refusal.isCut) return recovering;
  const pause = waitAfter(PAUSE_BACKOFF, refusals);
  return { ...recovering, refusals, pausedUntil: now + pause };
}

/** What it teaches that OpenAI has taken a batch; `undefined` if nothing new. */
export function lessonOfAcceptance(
  ledger: Ledger | undefined,
  batch: Pick<BatchRecord, 'model' | 'admission'>,
  configured: number | undefined,
  now: number,
): LedgerLessons | undefined {
  if (ledger === undefined) return undefined;
  const { known, ceiling, probes } = tokenLimitOf(ledger, batch.model, configured, now);
  const wasProbe = ledger.unjudged?.[batch.admission?.reservation ?? ''] !== undefined;
  const unjudged = unjudgedWithout(ledger.unjudged, batch.admission?.reservation);
  const taken = Math.min(takenOf(ledger, unjudged), known ?? Number.MAX_SAFE_INTEGER);
  const lesson: LedgerLessons = {};
  if (wasProbe) {
    lesson.unjudged = unjudged;
    lesson.probes = Math.min(probes + 1, MAX_PROBES);
  }
  if (taken > ceiling) lesson.ceiling = taken;
  const { refusedAt } = ledger;
  if (refusedAt !== undefined) {
    const step = Math.ceil((refusedAt * (1 - FIRST_SHRINK)) / ACCEPTED_PER_REFUSAL);
    // What is not used proves nothing.
    const grown = taken * 2 >= ceiling ? Math.min(ceiling + step, known ?? Number.MAX_SAFE_INTEGER) : ceiling;
    if (grown > (lesson.ceiling ?? ceiling)) lesson.ceiling = grown;
    if (taken >= refusedAt) lesson.refusedAt = undefined;
  }
  if (ledger.refusals !== undefined && (ledger.pausedUntil ?? 0) <= now) {
    lesson.refusals = undefined;
    lesson.pausedUntil = undefined;
  }
  return Object.keys(lesson).length === 0 ? undefined : lesson;
}

/** What OpenAI has enqueued of ours, for certain. */
function takenOf({ reserved }: Pick<Ledger, 'reserved'>, unjudged: Ledger['unjudged']): number {
  const tokens = Object.values(unjudged ?? {}).reduce((sum, batch) => sum + batch.tokens, 0);
  return Math.max(0, reserved - tokens);
}

function startOf(model: string): number {
  return STARTS.find(([pattern]) => pattern.test(model))?.[1] ?? LOWEST_START;
}

function least(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined) return other;
  return other === undefined ? one : Math.min(one, other);
}
