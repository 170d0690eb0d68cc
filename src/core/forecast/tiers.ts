/** What the tiers cost and how long they take, and which one to take. */

import { isWindowTier, TIERS, type Tier, windowMs } from '../../contract/route.ts';
import { HOUR_MS, MINUTE_MS } from '../../contract/time.ts';
import type { Picodollars } from '../base/money.ts';
import { completionWindowMs } from '../lifecycle/time-limits.ts';
import { noUsage, type TokenUsage } from '../model/usage.ts';
import { costAt, type PriceQuestion, type Prices } from '../pricing/prices.ts';
import { withSlack } from '../scheduling/ladder.ts';
import { isServed, type TierRules } from '../scheduling/offered-tiers.ts';
import type { GroupForecast } from './file-forecast.ts';
import type { PrefixReport } from './prefixes.ts';

/** What a group would cost in a tier. */
export interface TierCost {
  input: Picodollars;
  /** For as many tokens as the answers may take. */
  output: Picodollars;
  /** Part of both that is due to requests of a long context. */
  longExtra: Picodollars;
}

/** When, and with which API key, something would be sent. */
type PricedWhen = Pick<PriceQuestion, 'at' | 'apiKey'>;

/** `undefined`: the tier is not offered, or has no price that is known. */
export function costOfGroup(
  prices: Prices,
  group: GroupForecast,
  tier: Tier,
  when: PricedWhen,
  rules: TierRules,
): TierCost | undefined {
  const { model, long } = group;
  if (!isServed(tier, group, rules)) return undefined;
  const short = prices.ratesOf({ ...when, model, tier, isLong: false });
  const forLong = long.requests === 0 ? short : prices.ratesOf({ ...when, model, tier, isLong: true });
  if (short === undefined || forLong === undefined) return undefined;
  // Of an image model, all of it as images: which is more, and files do not say.
  const usage = (inputTokens: number, outputTokens: number): TokenUsage => ({
    ...noUsage(),
    inputTokens,
    imageInputTokens: inputTokens,
    outputTokens,
    imageOutputTokens: outputTokens,
  });
  const rest = {
    input: Math.max(0, group.inputTokens - long.inputTokens),
    output: Math.max(0, group.outputTokens - long.outputTokens),
  };
  const longCost = costAt(forLong, usage(long.inputTokens, long.outputTokens));
  return {
    input: costAt(short, usage(rest.input, 0)) + costAt(forLong, usage(long.inputTokens, 0)),
    output: costAt(short, usage(0, rest.output)) + costAt(forLong, usage(0, long.outputTokens)),
    longExtra: longCost - costAt(short, usage(long.inputTokens, long.outputTokens)),
  };
}

/**
 * What caching would save at most: as if every shared beginning were found in the cache by all requests but the first.
 * `undefined` where the tier has no price for cached tokens.
 */
export function cachingSaves(
  prices: Prices,
  { cachedTokens }: PrefixReport,
  model: string,
  tier: Tier,
  when: PricedWhen,
): Picodollars | undefined {
  const rates = prices.ratesOf({ ...when, model, tier, isLong: false });
  if (rates?.cached === undefined) return undefined;
  return BigInt(cachedTokens.get(model) ?? 0) * BigInt(rates.input - rates.cached);
}

export interface TierQuestion {
  groups: readonly GroupForecast[];
  /** Whether the tier has a price for all of them. */
  isPriced: (tier: Tier) => boolean;
  /** How long a batch may take. Default: {@link completionWindowMs}. */
  completionWindow?: string | undefined;
  /** From the drop on. */
  deadlineMs?: number | undefined;
  /** See `ForecastOptions`. */
  enqueuedTokensOf?: (model: string) => number | undefined;
  /** Input tokens a minute that the account may send in flex and standard. */
  tokensPerMinute?: number | undefined;
}

export interface Recommendation {
  tier: Tier | undefined;
  /** Sentences. */
  reason: string;
  /**
   * How long the tiers take: at most for batch, expected for the others, for a window with the time to create everything;
   * absent if it is not known.
   */
  ms: Partial<Record<Tier, number>>;
}

/** The cheapest first. */
const WINDOWS = TIERS.filter(isWindowTier);

/** The cheapest tier that is sure to meet the deadline, as far as that can be known beforehand. */
export function recommendTier(question: TierQuestion): Recommendation {
  const { deadlineMs, tokensPerMinute, isPriced } = question;
  const batchMs = completionWindowMs(question);
  const hours = `${batchMs / HOUR_MS} hours`;
  const waves = wavesOf(question);
  const needed = neededMs(question);
  const ms: Recommendation['ms'] = { batch: waves * batchMs };
  if (needed !== undefined) {
    ms.flex = withSlack(needed);
    ms.standard = needed;
  }
  for (const window of WINDOWS) if (isPriced(window)) ms[window] = windowMs(window) + withSlack(needed ?? 0);
  if (deadlineMs === undefined) {
    return {
      tier: 'batch',
      ms,
      reason: `No deadline is given: batch is the cheapest, and takes up to ${hours}.`,
    };
  }
  if (deadlineMs >= waves * batchMs) {
    const reason =
      waves > 1
        ? `The tokens fit into the queue in ${waves} rounds of up to ${hours}.`
        : `A batch takes up to ${hours}.`;
    return { tier: 'batch', ms, reason };
  }
  const late = `Batch may take ${waves === 1 ? '' : `${waves} times `}${hours}, longer than the deadline.`;
  return { ms, ...recommendBelowBatch(question, ms, deadlineMs, late, tokensPerMinute) };
}

/** Sends and creates of everything, in ms; `undefined`: not known. */
function neededMs({ groups, tokensPerMinute }: TierQuestion): number | undefined {
  if (tokensPerMinute === undefined) return undefined;
  const tokens = groups.reduce((sum, { inputTokens }) => sum + inputTokens, 0);
  return Math.ceil((tokens / tokensPerMinute) * MINUTE_MS);
}

/** For what has no time for a batch. @param late says that. */
function recommendBelowBatch(
  question: TierQuestion,
  ms: Recommendation['ms'],
  deadlineMs: number,
  late: string,
  tokensPerMinute: number | undefined,
): Omit<Recommendation, 'ms'> {
  const withFlex = question.isPriced('flex');
  const unknown =
    tokensPerMinute === undefined
      ? ' Whether it is in time depends on the tokens a minute of the account: say --tokens-per-minute.'
      : '';
  if (withFlex && (ms.flex ?? 0) <= deadlineMs)
    return { tier: 'flex', reason: `${late} Flex costs the same.${unknown}` };
  const why = withFlex ? 'Flex may be refused for too long.' : 'Flex has no price for all of it.';
  const lastMs = withSlack(ms.standard ?? 0);
  const window = WINDOWS.find((each) => ms[each] !== undefined && ms[each] + lastMs <= deadlineMs);
  if (window !== undefined) {
    const aim = `Its window aims at answers within ${windowMs(window) / HOUR_MS} hours, and there is time for standard after that.`;
    return { tier: window, reason: `${late} ${why} ${aim}${unknown}` };
  }
  if ((ms.standard ?? 0) <= deadlineMs) return { tier: 'standard', reason: `${late} ${why}${unknown}` };
  return { tier: undefined, reason: `${late} At ${tokensPerMinute} tokens a minute no tier is in time.` };
}

/** How many times the queue is filled. Models have queues of their own. */
function wavesOf({ groups, enqueuedTokensOf }: TierQuestion): number {
  const tokens = new Map<string, number>();
  for (const { model, inputTokens } of groups) tokens.set(model, (tokens.get(model) ?? 0) + inputTokens);
  return Math.max(
    1,
    ...[...tokens].map(([model, sum]) =>
      Math.ceil(sum / (enqueuedTokensOf?.(model) ?? Number.POSITIVE_INFINITY)),
    ),
  );
}
