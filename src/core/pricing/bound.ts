/**
 * The most that a batch can cost, before it is sent: what is reserved for it. It holds as far as its inputs
 * do: requests that limit their answers cost no more than this; of those that do not, answers are taken to have at
 * most {@link Prices.unlimitedOutputTokens}. Images and files by reference, and tools that the provider runs, cannot be bounded
 * from a file.
 */

import { isWindowTier } from '../../contract/route.ts';
import type { Picodollars } from '../base/money.ts';
import type { ManifestEntries, ManifestEntry } from '../files/manifest.ts';
import type { BatchRecord } from '../model/batch.ts';
import { outputLimitIn } from '../model/output-limit.ts';
import type { Rates } from '../model/price-table.ts';
import type { Prices } from './prices.ts';
import { cutByWeight, type Part, tokensOfEach } from './recut.ts';

/**
 * Records of a batch that were made before there were budgets lack these.
 * @param unlimited output tokens that a request counts for which does not limit its answer.
 */
export function sizeOf(
  entries: ManifestEntries,
  unlimited: number,
): Required<Pick<BatchRecord, 'outputTokens' | 'longestBytes'>> {
  let outputTokens = 0;
  let longestBytes = 0;
  for (let index = 0; index < entries.count; index++) {
    outputTokens += outputLimitIn(entries.tried(index)) ?? unlimited;
    longestBytes = Math.max(longestBytes, entries.length(index));
  }
  return { outputTokens, longestBytes };
}

type Bounded = Pick<
  BatchRecord,
  'model' | 'tier' | 'requests' | 'bytes' | 'tokens' | 'outputTokens' | 'longestBytes'
> & { apiKey?: string | undefined };

/** `undefined`: there is no price. */
export function boundOf(batch: Bounded, prices: Prices, at: number): Picodollars | undefined {
  const rates = ratesFor(batch, prices, at);
  if (rates === undefined) return undefined;
  const outputTokens = batch.outputTokens ?? batch.requests * prices.unlimitedOutputTokens(batch.model);
  return costOf(rates, inputAtMost(batch), outputTokens);
}

/**
 * Consecutive parts of a batch, in order, none of which costs more than `microdollars` at the most unless it is a
 * single request. Not many more than `maxParts`, if need be of more.
 */
export function cutByCost(
  batch: Bounded,
  entries: ManifestEntries,
  { microdollars, maxParts }: { microdollars: number; maxParts: number },
  prices: Prices,
  at: number,
): Part[] {
  const weightOf = costOfEach(batch, entries, prices, at);
  // Its price was there when the cut was decided on.
  if (weightOf === undefined) return [{ entries }];
  let whole = 0;
  for (let index = 0; index < entries.count; index++) whole += weightOf(entries.at(index));
  const most = Math.max(microdollars * PICODOLLARS_PER_MICRODOLLAR, whole / maxParts);
  return cutByWeight(batch, entries, most, weightOf);
}

/**
 * What each request of a batch can cost at the most, in picodollars, as {@link boundOf} has it for a batch of that
 * request alone: parts of a batch, each with the tokens that it is given, do not come out dearer than their requests
 * together. `undefined`: there is no price.
 */
function costOfEach(
  batch: Bounded,
  entries: ManifestEntries,
  prices: Prices,
  at: number,
): ((entry: Pick<ManifestEntry, 'length' | 'tried'>) => number) | undefined {
  const rates = ratesFor(batch, prices, at);
  if (rates === undefined) return undefined;
  const tokensOfOne = tokensOfEach(batch, entries);
  return (entry) => {
    const input = inputAtMost({
      requests: 1,
      bytes: entry.length + 1,
      tokens: batch.tokens === undefined ? undefined : tokensOfOne(entry),
    });
    return Number(
      costOf(rates, input, outputLimitIn(entry.tried) ?? prices.unlimitedOutputTokens(batch.model)),
    );
  };
}

/**
 * The bound of a batch, divided among its requests by what each can cost at the most; the shares add up to the bound.
 * `undefined`: there is no price.
 */
export function sharesOf(
  batch: Bounded,
  entries: ManifestEntries,
  prices: Prices,
  at: number,
): Picodollars[] | undefined {
  const bound = boundOf(batch, prices, at);
  const weightOf = costOfEach(batch, entries, prices, at);
  if (bound === undefined || weightOf === undefined) return undefined;
  const weights = Array.from({ length: entries.count }, (_, index) => BigInt(weightOf(entries.at(index))));
  const whole = weights.reduce((sum, weight) => sum + weight, 0n);
  let weight = 0n;
  let divided = 0n;
  return weights.map((own) => {
    weight += own;
    const upTo = whole === 0n ? 0n : (bound * weight) / whole;
    const share = upTo - divided;
    divided = upTo;
    return share;
  });
}

const PICODOLLARS_PER_MICRODOLLAR = 1_000_000;

/**
 * An estimate is within 5 % where the text was looked at (see tokens/estimate.ts); this leaves as much again. In whole
 * numbers: times 1.1, some would come out one token higher than the sum of their parts.
 */
const ABOVE_ESTIMATE = { times: 11, by: 10 };
/**
 * Where tokens were not counted: prose has 4 bytes a token, rows of numbers and what is not text have 2 at the least.
 */
const MIN_BYTES_PER_TOKEN = 2;

/** What models may write around a prompt, beyond what is known of it. Ours; it matters where prompts are tiny. */
const AROUND_A_PROMPT = 16;

function inputAtMost({
  requests,
  tokens,
  bytes,
}: Pick<BatchRecord, 'requests' | 'bytes'> & { tokens?: number | undefined }): number {
  return tokens === undefined
    ? Math.ceil(bytes / MIN_BYTES_PER_TOKEN)
    : Math.ceil((tokens * ABOVE_ESTIMATE.times) / ABOVE_ESTIMATE.by) + requests * AROUND_A_PROMPT;
}

/**
 * Those of long requests if one may be long; where these have none, the provider does not run them. Where a model has no flex
 * price, those of standard: it is refused in flex, or it is new there. Those of standard for background windows, too:
 * what is billed when a window is missed is not established.
 */
function ratesFor(batch: Bounded, prices: Prices, at: number): Rates | undefined {
  const { model, tier = 'batch', apiKey, bytes, longestBytes = bytes } = batch;
  const question = { model, tier: isWindowTier(tier) ? 'standard' : tier, at, apiKey } as const;
  const isLong = longestBytes / MIN_BYTES_PER_TOKEN > prices.shortContextTokens;
  const rates =
    (isLong ? prices.ratesOf({ ...question, isLong }) : undefined) ??
    prices.ratesOf({ ...question, isLong: false });
  return rates === undefined && tier === 'flex'
    ? ratesFor({ ...batch, tier: 'standard' }, prices, at)
    : rates;
}

/**
 * As if all of it were of the dearest kind that the model has: written to the cache for the longest time, or images.
 * Which of them a request is, its batch does not know.
 */
function costOf(rates: Rates, inputTokens: number, outputTokens: number): Picodollars {
  const { input, cacheWrite = 0, cacheWrite12h = 0, imageInput = 0, output, imageOutput = 0 } = rates;
  const dearestInput = Math.max(input, cacheWrite, cacheWrite12h, imageInput);
  return (
    BigInt(inputTokens) * BigInt(dearestInput) + BigInt(outputTokens) * BigInt(Math.max(output, imageOutput))
  );
}
