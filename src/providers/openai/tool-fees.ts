/**
 * What tools that OpenAI runs cost by the call, on top of tokens: the same in every tier, batch and flex included.
 * Source: https://developers.openai.com/api/docs/pricing, "Built-in tools", as modelcostwatch.com read it on 2026-03-12
 * (web search, file search); that batch does not halve them: OpenAI's help, and reports of users.
 */

import type { Picodollars } from '../../core/base/money.ts';
import type { ToolUse } from '../../core/model/tool-use.ts';

const PICODOLLARS_PER_USD_PER_THOUSAND = 1_000_000_000n;

/** Picodollars a call. */
const FEES = {
  /** $10 per 1,000 calls. */
  webSearch: 10n * PICODOLLARS_PER_USD_PER_THOUSAND,
  /** $25 per 1,000 calls of the preview tool by models that do not reason; by others it costs what web search does. */
  previewSearch: 25n * PICODOLLARS_PER_USD_PER_THOUSAND,
  /** $2.50 per 1,000 calls. */
  fileSearch: (5n * PICODOLLARS_PER_USD_PER_THOUSAND) / 2n,
};

/** Models that do not reason. Source: the model pages of gpt-4o and gpt-4.1. */
const WITHOUT_REASONING = /^gpt-(4o|4\.1)/;

/** What the calls of tools cost whose price is known. @param model that made them. */
export function toolFeeOf({ webSearches, isPreview, fileSearches }: ToolUse, model: string): Picodollars {
  const search = isPreview && WITHOUT_REASONING.test(model) ? FEES.previewSearch : FEES.webSearch;
  return BigInt(webSearches) * search + BigInt(fileSearches) * FEES.fileSearch;
}
