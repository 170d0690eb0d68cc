/** What a budget is asked to hold for a file: as admission reckons it, all batches of the file at the same time. */
import type { Route } from '../../contract/route.ts';
import { fromMicrodollars, type Picodollars, toMicrodollars } from '../base/money.ts';
import { boundOf } from '../pricing/bound.ts';
import type { Prices } from '../pricing/prices.ts';
import { ladderOf, type TierRules } from '../scheduling/offered-tiers.ts';
import type { BatchForecast } from './file-forecast.ts';

export interface Reserve {
  /** Each batch rounded up to a millionth of a USD, as ledgers do. */
  atMost: Picodollars;
  /** Models and tiers without a price; they are not in the sum. */
  unpriced: string[];
}

/** @param at time whose prices hold, in epoch milliseconds. */
export function reserveFor(
  batches: readonly BatchForecast[],
  route: Pick<Route, 'tiers' | 'apiKey'>,
  prices: Prices,
  at: number,
  rules: TierRules,
): Reserve {
  let atMost = 0n;
  const unpriced = new Set<string>();
  for (const { inputTokensAtMost: tokens, outputTokensAtMost: outputTokens, ...batch } of batches) {
    // The tier that it begins in; without one its requests fail, and cost nothing.
    const tier = ladderOf(route, batch, rules, at)?.tiers[0];
    if (tier === undefined) continue;
    const bound = boundOf({ ...batch, tier, apiKey: route.apiKey, tokens, outputTokens }, prices, at);
    if (bound === undefined) unpriced.add(`${batch.model} in ${tier}`);
    else atMost += fromMicrodollars(toMicrodollars(bound));
  }
  return { atMost, unpriced: [...unpriced] };
}
