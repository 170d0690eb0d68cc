/** What the tiers cost and how long they take, and which one to take. */

import type { Tier } from '../../contract/route.ts';
import { HOUR_MS } from '../../contract/time.ts';
import type { Picodollars } from '../base/money.ts';
import { completionWindowMs } from '../lifecycle/time-limits.ts';
import { noUsage, type TokenUsage } from '../model/usage.ts';
import { costAt, type PriceQuestion, type Prices } from '../pricing/prices.ts';
import { isServed, type TierRules } from '../scheduling/offered-tiers.ts';
import type { GroupForecast } from './file-forecast.ts';
import type { PrefixReport } from './prefixes.ts';

/** What a group would cost in a tier. */
export interface TierCost {
  input: Picodollars;
  /** For as many tokens as the answers may take. */
  output: Picodollars;
  /** Part of both that is due to requests of more than 272,000 input tokens. */
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
  /** How long a batch may take. Default: as OpenAI says. */
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
  /** How long the tiers take: at most for batch, expected for the others; absent if it is not known. */
  ms: Partial<Record<Tier, number>>;
}

/** Work is given half as long again as the quota says, and a quarter of an hour. */
const SLACK = 1.5;
const SLACK_MS = 900_000;

/** The cheapest tier that is sure to meet the deadline, as far as that can be known beforehand. */
export function recommendTier(question: TierQuestion): Recommendation {
  const { deadlineMs, tokensPerMinute } = question;
  const windowMs = completionWindowMs(question);
  const hours = `${windowMs / HOUR_MS} hours`;
  const waves = wavesOf(question);
  const ms: Recommendation['ms'] = { batch: waves * windowMs };
  if (tokensPerMinute !== undefined) {
    const tokens = question.groups.reduce((sum, { inputTokens }) => sum + inputTokens, 0);
    const needed = Math.ceil((tokens / tokensPerMinute) * 60_000);
    ms.flex = Math.ceil(needed * SLACK) + SLACK_MS;
    ms.standard = needed;
  }
  const withFlex = question.isPriced('flex');
  if (deadlineMs === undefined) {
    return {
      tier: 'batch',
      ms,
      reason: `No deadline is given: batch is the cheapest, and takes up to ${hours}.`,
    };
  }
  if (deadlineMs >= waves * windowMs) {
    const reason =
      waves > 1
        ? `The tokens fit into the queue in ${waves} rounds of up to ${hours}.`
        : `A batch takes up to ${hours}.`;
    return { tier: 'batch', ms, reason };
  }
  const late = `Batch may take ${waves === 1 ? '' : `${waves} times `}${hours}, longer than the deadline.`;
  if (tokensPerMinute === undefined) {
    const unknown =
      'Whether it is in time depends on the tokens a minute of the account: say --tokens-per-minute.';
    return withFlex
      ? { tier: 'flex', ms, reason: `${late} Flex costs the same. ${unknown}` }
      : { tier: 'standard', ms, reason: `${late} Flex has no price for all of it. ${unknown}` };
  }
  if (withFlex && ms.flex! <= deadlineMs) return { tier: 'flex', ms, reason: `${late} Flex costs the same.` };
  if (ms.standard! <= deadlineMs) {
    const why = withFlex ? 'Flex may be refused for too long.' : 'Flex has no price for all of it.';
    return { tier: 'standard', ms, reason: `${late} ${why}` };
  }
  return { tier: undefined, ms, reason: `${late} At ${tokensPerMinute} tokens a minute no tier is in time.` };
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
