/** What became of the requests of a batch, and what they cost. */
import type { PricedTier } from '../../contract/rates.ts';
import type { TokenUsage } from './usage.ts';

/** What collecting a batch found, by request. */
export interface BatchOutcome {
  succeeded: number;
  failed: number;
  /** Moved to the next round. */
  retried: number;
  /** Of those, run again though OpenAI may have charged the try that it lost, by what became of that try. */
  possiblyBilledTwice: Record<string, number>;
  /** Final errors by code. */
  failedByCode: Record<string, number>;
  /** Succeeded, but cut at the token limit (`finish_reason: "length"`, `incomplete_details.reason: "max_output_tokens"`). */
  incomplete: number;
  /** Succeeded, but cut by OpenAI's content filter (`content_filter` in the same places). */
  filtered: number;
  /** Succeeded, but cut for another reason of `incomplete_details`. */
  cutOtherwise: number;
  /** Result lines that were no UTF-8: what was none is replaced by U+FFFD. The bytes as they came stay in `work/`. */
  repairedLines: number;
  /** Lines of OpenAI's files that were not used: named nobody of this batch, or somebody for the second time. */
  strayLines: number;
  usage: TokenUsage;
  /** Absent where there were no budgets yet. */
  bill?: Bill;
}

/** What a batch cost. Amounts are USD as exact decimals, such as `0.000425`. */
export interface Bill {
  /** By the tier that OpenAI billed, for results that have a price. */
  tiers: { [Tier in PricedTier]?: TierBill };
  /** Results of which something has no price that is known, tokens or a tool: that is in no amount. */
  unpriced: number;
  /** Answers that do not say what they used: their shares of the batch's most are in {@link possibleUsd}. */
  withoutUsage: number;
  /** What tools that OpenAI runs were charged by the call: part of the tiers' amounts. */
  toolUsd: string;
  /** What the priced results would have cost in standard; those without a standard price as much as they did. */
  standardUsd: string;
  /** The most that OpenAI may have charged for results that it lost, or did not give the usage of. */
  possibleUsd: string;
  /** Whether OpenAI reported other tokens for the batch than its lines have. */
  differs?: boolean;
}

/** What was billed in one tier. */
export interface TierBill {
  /** Results that had tokens. */
  results: number;
  usage: TokenUsage;
  usd: string;
}
