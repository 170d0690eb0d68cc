import type { QuotaSettings } from '../../contract/quota.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../contract/time.ts';
import { type Backoff, waitAfter } from '../base/backoff.ts';
import { type BatchRecord, tokensOf } from '../model/batch.ts';
import type { Ledger } from '../model/ledger.ts';
import type { QuotaRules } from '../ports/provider-rules.ts';
import type { LedgerLessons } from '../ports/quota.ts';
import { unjudgedWithout } from './ledger.ts';

/**
 * A batch above this part of the limit that is known is cut again. These rules are ours: they learn any provider's limit from
 * what it takes and refuses, and know no number of it.
 */
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

/** What is known of the limit of a model beside what its ledger has learned. */
export interface GivenLimit {
  /** The user's own, which the provider's can only lower. */
  configured: number | undefined;
  /** Where the ceiling starts: it doubles every few minutes from there. */
  first: number;
}

/** The user's own limit for a model. */
export function configuredFor(
  { enqueuedTokens }: Pick<QuotaSettings, 'enqueuedTokens'>,
  model: string,
): number | undefined {
  return Object.hasOwn(enqueuedTokens, model) ? enqueuedTokens[model] : undefined;
}

/** What the settings and the provider say of the limit of a model. */
export function givenLimitOf(
  quota: Pick<QuotaSettings, 'enqueuedTokens'>,
  rules: Pick<QuotaRules, 'firstEnqueuedTokensOf'>,
  model: string,
): GivenLimit {
  return { configured: configuredFor(quota, model), first: rules.firstEnqueuedTokensOf(model) };
}

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

/** What the ledger and what is given say together. */
export function tokenLimitOf(
  ledger: Ledger | undefined,
  { configured, first: start }: GivenLimit,
  now: number,
): TokenLimit {
  const isFresh = isRecent(ledger?.limitLearnedAt, now);
  const known = least(configured, isFresh ? ledger?.limit : undefined);
  const assumed = known ?? start;
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

/** A refusal of a batch for lack of room. */
export interface Refusal {
  /** The batch at the provider: a refusal that is reported twice counts once. */
  openaiBatchId: string;
  /** What it would have taken. */
  tokens: number;
  /** The limit that it reports. Absent: it reports none. */
  reported?: number | undefined;
  /** The batch itself is cut, see {@link cutAfterRefusal}. */
  isCut?: boolean;
}

/**
 * A batch below this part of a limit is not above it by any error of our estimate: something unseen has taken the
 * room.
 */
export const SURELY_SMALL_SHARE = 1 / 8;

/**
 * Into parts of how many tokens a refused batch is to be cut at once. A batch that was sent while nothing else was
 * enqueued, and is refused all the same, is above the limit by the provider's count, whatever our estimate says.
 * @param ledger as it is after the batch's own tokens were given back.
 * @param reported the limit, as the refusal reports it.
 * @returns `undefined` if the refusal does not say so, or the batch cannot be cut: it waits for room.
 */
export function cutAfterRefusal(
  ledger: Pick<Ledger, 'reserved'> | undefined,
  batch: Pick<BatchRecord, 'tokens' | 'bytes' | 'requests' | 'admission'>,
  reported: number | undefined,
): number | undefined {
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
  given: GivenLimit,
  now: number,
): LedgerLessons | undefined {
  if (ledger?.lastRefusal === refusal.openaiBatchId) return undefined;
  const { reported } = refusal;
  const limit = reported ?? ledger?.limit;
  const lastRefusal = refusal.openaiBatchId;
  const lesson: LedgerLessons =
    reported === undefined ? { lastRefusal } : { lastRefusal, limit: reported, limitLearnedAt: now };
  // Others that were sent to see whether there is room are most likely refused as well.
  const enqueued = (ledger === undefined ? 0 : takenOf(ledger, ledger.unjudged)) + refusal.tokens;
  const before = tokenLimitOf(ledger, given, now);
  if (limit !== undefined && enqueued > limit)
    return { ...lesson, ceiling: Math.min(before.ceiling, limit), probes: PROBES_AFTER_REFUSAL };
  const isSameBurst = (ledger?.pausedUntil ?? 0) > now && !refusal.isCut;
  if (isSameBurst) return lesson;
  const refusals = (ledger?.refusals ?? 0) + 1;
  const part = refusal.isCut || refusals > 1 ? FURTHER_SHRINK : FIRST_SHRINK;
  const ceiling = Math.max(1, Math.floor(Math.min(before.ceiling, enqueued) * part));
  const recovering = { ...lesson, ceiling, refusedAt: enqueued, sharedAt: now, probes: PROBES_AFTER_REFUSAL };
  // Its parts are what the provider takes by its own count, so they need not rest.
  if (refusal.isCut) return recovering;
  const pause = waitAfter(PAUSE_BACKOFF, refusals);
  return { ...recovering, refusals, pausedUntil: now + pause };
}

/** The ledger after the provider accepted a batch; `undefined` if nothing changes. */
export function lessonOfAcceptance(
  ledger: Ledger | undefined,
  batch: Pick<BatchRecord, 'admission'>,
  given: GivenLimit,
  now: number,
): LedgerLessons | undefined {
  if (ledger === undefined) return undefined;
  const { known, ceiling, probes } = tokenLimitOf(ledger, given, now);
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

/** What the provider has enqueued of ours, for certain. */
function takenOf({ reserved }: Pick<Ledger, 'reserved'>, unjudged: Ledger['unjudged']): number {
  const tokens = Object.values(unjudged ?? {}).reduce((sum, batch) => sum + batch.tokens, 0);
  return Math.max(0, reserved - tokens);
}

function least(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined) return other;
  return other === undefined ? one : Math.min(one, other);
}
