/** The tokens that an answer, or a whole batch, says it used. */

import { asObject, type JsonObject } from '../../core/base/json-value.ts';
import type { TokenUsage } from '../../core/model/usage.ts';

/**
 * Reads `usage`. Chat, completions and embeddings say prompt and completion tokens, responses say input and output
 * tokens; some services say both, one of them with zeros, so that the larger one counts. What is no whole number
 * counts as 0.
 */
export function usageOf(body: JsonObject): TokenUsage {
  const usage = asObject(body.usage) ?? {};
  const inputs = [asObject(usage.input_tokens_details), asObject(usage.prompt_tokens_details)];
  const outputs = [asObject(usage.output_tokens_details), asObject(usage.completion_tokens_details)];
  return {
    inputTokens: largest(usage.input_tokens, usage.prompt_tokens),
    cachedTokens: largest(...inputs.map((details) => details?.cached_tokens)),
    cacheWriteTokens: largest(...inputs.map((details) => details?.cache_write_tokens)),
    outputTokens: largest(usage.output_tokens, usage.completion_tokens),
    reasoningTokens: largest(...outputs.map((details) => details?.reasoning_tokens)),
  };
}

/** No model reads or writes so many, nor does a batch; sums of as many results as a batch may have stay exact. */
const MAX_TOKENS = 100_000_000_000;

function largest(...values: unknown[]): number {
  return values.reduce<number>((most, value) => Math.max(most, count(value)), 0);
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 && value <= MAX_TOKENS
    ? value
    : 0;
}
