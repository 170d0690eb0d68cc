/** Bills of batches, read and added up. */

import { fromUsd, type Picodollars, toMicrodollars } from '../base/money.ts';
import type { BatchRecord } from '../model/batch.ts';
import type { Bill } from '../model/outcome.ts';
import type { TokenUsage } from '../model/usage.ts';

/** What was billed, without what only may have been. */
export function billedOf({ tiers }: Bill): Picodollars {
  return Object.values(tiers).reduce((sum, { usd }) => sum + fromUsd(usd)!, 0n);
}

/** What a collected batch is booked with: what it cost and what it may have cost beyond that, rounded up once. */
export function microdollarsOf({ results }: Pick<BatchRecord, 'results'>): number {
  const bill = results?.outcome.bill;
  return bill === undefined ? 0 : toMicrodollars(billedOf(bill) + fromUsd(bill.possibleUsd)!);
}

/** Whether two counts of the same tokens differ. */
export function differ(one: TokenUsage, other: TokenUsage): boolean {
  return (['inputTokens', 'cachedTokens', 'outputTokens', 'reasoningTokens'] as const).some(
    (name) => one[name] !== other[name],
  );
}
