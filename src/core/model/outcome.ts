/** What became of the requests of a batch, and what they cost. */
import * as z from 'zod';
import type { PricedTier } from '../../contract/rates.ts';
import { noUsage, usageSchema } from './usage.ts';

const count = z.int().min(0);

/** What was billed in one tier. */
const tierBillSchema = z.object({
  /** Results that had tokens. */
  results: count,
  usage: usageSchema,
  /** An exact decimal, such as `0.000425`. */
  usd: z.string(),
});

const billSchema = z.object({
  /** By the tier that OpenAI billed, for results that have a price. */
  tiers: z.object({
    batch: z.exactOptional(tierBillSchema),
    flex: z.exactOptional(tierBillSchema),
    'background-8h': z.exactOptional(tierBillSchema),
    'background-2h': z.exactOptional(tierBillSchema),
    standard: z.exactOptional(tierBillSchema),
    priority: z.exactOptional(tierBillSchema),
  } satisfies Record<PricedTier, z.ZodType>),
  /** Results of which something has no price that is known, tokens or a tool: that is in no amount. */
  unpriced: count,
  /** Answers that do not say what they used: their shares of the batch's most are in {@link possibleUsd}. */
  withoutUsage: count,
  /** What tools that OpenAI runs were charged by the call: part of the tiers' amounts. */
  toolUsd: z.string(),
  /** What the priced results would have cost in standard; those without a standard price as much as they did. */
  standardUsd: z.string(),
  /** The most that OpenAI may have charged for results that it lost, or did not give the usage of. */
  possibleUsd: z.string(),
  /** Whether OpenAI reported other tokens for the batch than its lines have. */
  differs: z.exactOptional(z.boolean()),
});
/** What a batch cost. Amounts are USD as exact decimals, such as `0.000425`. */
export type Bill = z.infer<typeof billSchema>;

/** See {@link BatchOutcome}. */
export const outcomeSchema = z.object({
  succeeded: count,
  failed: count,
  /** Moved to the next round. */
  retried: count,
  /** Of those, run again though OpenAI may have charged the try that it lost, by what became of that try. */
  possiblyBilledTwice: z.record(z.string(), count),
  /** Final errors by code. */
  failedByCode: z.record(z.string(), count),
  /**
   * Succeeded, but cut at the token limit (`finish_reason: "length"`,
   * `incomplete_details.reason: "max_output_tokens"`).
   */
  incomplete: count,
  /** Succeeded, but cut by OpenAI's content filter (`content_filter` in the same places). */
  filtered: count,
  /** Succeeded, but cut for another reason of `incomplete_details`. */
  cutOtherwise: count,
  /** Result lines that were no UTF-8: what was none is replaced by U+FFFD. The bytes as they came stay in `work/`. */
  repairedLines: count,
  /** Lines of OpenAI's files that were not used: they name no request of this batch, or one for the second time. */
  strayLines: count,
  usage: usageSchema,
  /** Answers by the model that they name; of a batch with more than 100 of them, the rest is `other`. */
  answeredBy: z.exactOptional(z.record(z.string(), count)),
  /** Absent where nothing was sent. */
  bill: z.exactOptional(billSchema),
});
/** What collecting a batch found, by request. */
export type BatchOutcome = z.infer<typeof outcomeSchema>;

/** The outcome of a batch before any of its requests is counted. */
export function noOutcome(): BatchOutcome {
  return {
    succeeded: 0,
    failed: 0,
    retried: 0,
    failedByCode: {},
    possiblyBilledTwice: {},
    incomplete: 0,
    filtered: 0,
    cutOtherwise: 0,
    repairedLines: 0,
    strayLines: 0,
    usage: noUsage(),
  };
}
