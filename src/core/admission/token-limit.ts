/**
 * How many tokens of a model may be enqueued at a time.
 *
 * Nobody tells the limit before it is exceeded, and then OpenAI's message does (openai-python#2084); what pages publish
 * differs from it. So three things are kept apart: what is *known* (set by the user, or told by OpenAI in the last week),
 * what is *dared* (the ceiling, which doubles with acceptances until the first refusal, halves with each refusal that the
 * limit does not explain, and grows back by a sixteenth), and what goes *alone*: with nothing else enqueued, one batch may
 * always try, because a refusal costs nothing and teaches the limit.
 */
import type { BatchRecord, Ledger } from '../model.ts';
import type { LedgerLessons } from '../ports.ts';

/** A batch above this part of the limit that is known is cut again. */
export const RECUT_SHARE = 0.8;
/** A lesson is believed for so long: accounts move up, and nothing else would tell. */
const LESSON_LASTS_MS = 7 * 24 * 60 * 60_000;
const FIRST_PAUSE_MS = 5 * 60_000;
const MOST_PAUSE_MS = 60 * 60_000;
/** Highest published queue limit, tier 5 (model pages, 2026-10). */
const MOST_TOKENS = 15_000_000_000;

/**
 * Where the ceiling of a model starts: the lowest limit that was published or reported for its class (tier 1). Low is
 * harmless, it doubles every few minutes; high means refusals. Sources: model pages 2026-10 and messages of 2026-08/09
 * (luna: pages say 5,000,000, messages 2,000,000), OpenAI's llms-models-pricing.txt 2025 (gpt-4o class 90,000), community
 * reports (gpt-4o-mini 2,000,000, embeddings-3 3,000,000, gpt-5 900,000).
 */
const STARTS: readonly (readonly [pattern: RegExp, tokens: number])[] = [
  [/^text-embedding-/, 3_000_000],
  [/-luna|-mini|-nano/, 2_000_000],
  [/^gpt-(5|6)/, 900_000],
];
/** For every other model: the lowest of all. */
const LOWEST_START = 90_000;

/** Estimated tokens of a batch: four bytes each where nobody has looked closer. */
export function tokensOf(batch: Pick<BatchRecord, 'tokens' | 'bytes'>): number {
  return batch.tokens ?? Math.ceil(batch.bytes / 4);
}

/** What to keep to. */
export interface TokenLimit {
  /** The limit itself, where it is known. */
  known?: number;
  /** The same, or what a model of this class has at the least. */
  assumed: number;
  /** What may be reserved at present: never above `known`. */
  ceiling: number;
}

/** @param configured the user's own limit for the model, which OpenAI's can only lower. */
export function tokenLimitOf(
  ledger: Ledger | undefined,
  model: string,
  configured: number | undefined,
  now: number,
): TokenLimit {
  const isFresh = ledger?.limitLearnedAt !== undefined && now < ledger.limitLearnedAt + LESSON_LASTS_MS;
  const known = least(configured, isFresh ? ledger.limit : undefined);
  const assumed = known ?? startOf(model);
  const ceiling = ledger?.ceiling ?? assumed;
  return known === undefined ? { assumed, ceiling } : { known, assumed, ceiling: Math.min(ceiling, known) };
}

/** What OpenAI's refusal says: "Limit: 2,000,000 enqueued tokens." */
function limitToldBy(message: string): number | undefined {
  const told = /limit:\s*([\d,]+)\s*enqueued tokens/i.exec(message)?.[1];
  const limit = told === undefined ? 0 : Number(told.replaceAll(',', ''));
  return Number.isSafeInteger(limit) && limit > 0 ? limit : undefined;
}

/** A refusal of a batch for lack of room. */
export interface Refusal {
  /** The batch at OpenAI: a refusal that is told twice counts once. */
  openaiBatchId: string;
  /** What it would have taken. */
  tokens: number;
  message: string;
  /** The batch itself is cut, see {@link cutAfterRefusal}. */
  isCut?: boolean;
}

/** A batch below this part of a limit is not above it by any error of our estimate: something unseen has taken the room. */
export const SURELY_SMALL_SHARE = 1 / 8;

/**
 * Into parts of how many tokens a refused batch is to be cut at once. OpenAI tells the limit in its refusal; a batch that
 * was sent while nothing else was enqueued, and is refused all the same, is above it by OpenAI's count, whatever our estimate says.
 * @param ledger as it is after the batch's own tokens were given back.
 * @returns `undefined` if the refusal does not say so, or the batch cannot be cut: it waits for room.
 */
export function cutAfterRefusal(
  ledger: Pick<Ledger, 'reserved'> | undefined,
  batch: Pick<BatchRecord, 'tokens' | 'bytes' | 'requests' | 'sentAlone'>,
  message: string,
): number | undefined {
  const told = limitToldBy(message);
  if (told === undefined || batch.requests === 1) return undefined;
  const tokens = tokensOf(batch);
  if (tokens > told) return Math.max(1, Math.floor(told * RECUT_SHARE));
  const isAlone = batch.sentAlone === true && (ledger?.reserved ?? 0) === 0;
  return isAlone && tokens >= told * SURELY_SMALL_SHARE ? Math.max(1, Math.floor(tokens / 2)) : undefined;
}

/**
 * What a refusal teaches. If what was enqueued is above the limit that it tells, the limit is the lesson; if there should
 * have been room (OpenAI forgets to give tokens back, or counts them otherwise), we dare half as much after a pause.
 */
export function lessonOfRefusal(
  ledger: Ledger | undefined,
  refusal: Refusal,
  model: string,
  configured: number | undefined,
  now: number,
): LedgerLessons | undefined {
  if (ledger?.lastRefusal === refusal.openaiBatchId) return undefined;
  const told = limitToldBy(refusal.message);
  const limit = told ?? ledger?.limit;
  const lastRefusal = refusal.openaiBatchId;
  const lesson: LedgerLessons =
    told === undefined ? { lastRefusal } : { lastRefusal, limit: told, limitLearnedAt: now };
  const enqueued = (ledger?.reserved ?? 0) + refusal.tokens;
  const before = tokenLimitOf(ledger, model, configured, now);
  if (limit !== undefined && enqueued > limit) {
    return { ...lesson, ceiling: Math.min(before.ceiling, limit) };
  }
  // Its parts are what OpenAI takes by its own count, so they need not rest.
  if (refusal.isCut)
    return { ...lesson, ceiling: Math.max(1, Math.floor(Math.min(before.ceiling, enqueued) / 2)) };
  const refusals = (ledger?.refusals ?? 0) + 1;
  const pause = Math.min(FIRST_PAUSE_MS * 2 ** (refusals - 1), MOST_PAUSE_MS);
  const ceiling = Math.max(1, Math.floor(Math.min(before.ceiling, enqueued) / 2));
  return { ...lesson, ceiling, refusals, pausedUntil: now + pause };
}

/** What it teaches that OpenAI has taken a batch of `tokens`; `undefined` if nothing new. */
export function lessonOfAcceptance(
  ledger: Ledger | undefined,
  tokens: number,
  model: string,
  configured: number | undefined,
  now: number,
): LedgerLessons | undefined {
  const { known, ceiling } = tokenLimitOf(ledger, model, configured, now);
  const isBeforeFirstRefusal = ledger?.lastRefusal === undefined;
  const step = isBeforeFirstRefusal ? tokens : Math.ceil((ledger.limit ?? ceiling) / 16);
  const grown = Math.min(ceiling + step, known ?? MOST_TOKENS);
  if (grown === ceiling && ledger?.refusals === undefined) return undefined;
  return { ceiling: grown, refusals: undefined, pausedUntil: undefined };
}

function startOf(model: string): number {
  return STARTS.find(([pattern]) => pattern.test(model))?.[1] ?? LOWEST_START;
}

function least(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined) return other;
  return other === undefined ? one : Math.min(one, other);
}
