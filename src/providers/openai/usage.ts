/** The tokens that an answer, or a whole batch, says it used. */

import { asObject, type JsonObject } from '../../core/base/json-value.ts';
import type { TokenUsage } from '../../core/model/usage.ts';

/**
 * Reads `usage`. Chat, completions and embeddings say prompt and completion tokens, responses say input and output
 * tokens; some services say both, one of them with zeros, so that the larger one counts. What is no whole number
 * counts as 0. What is not said to be the cheaper kind counts as the dearer one: a cache write is for 12 hours unless the
 * answer says 30 minutes, and tokens of an answer with images are image tokens unless it says text. Source: openai 7.59.0
 * `ResponseUsage`, `ImagesResponse.Usage`.
 */
export function usageOf(body: JsonObject): TokenUsage {
  const usage = asObject(body.usage) ?? {};
  const inputs = [asObject(usage.input_tokens_details), asObject(usage.prompt_tokens_details)];
  const outputs = [asObject(usage.output_tokens_details), asObject(usage.completion_tokens_details)];
  const inputTokens = largest(usage.input_tokens, usage.prompt_tokens);
  const outputTokens = largest(usage.output_tokens, usage.completion_tokens);
  const cacheWriteTokens = largest(...inputs.map((details) => details?.cache_write_tokens));
  const isPicture = body.object === undefined && Array.isArray(body.data);
  return {
    inputTokens,
    cachedTokens: largest(...inputs.map((details) => details?.cached_tokens)),
    cacheWriteTokens,
    cacheWrite12hTokens:
      cacheWriteTokens === 0 ? 0 : cacheWriteTokens - shortWrites(body, inputs, cacheWriteTokens),
    imageInputTokens: isPicture ? Math.max(0, inputTokens - textTokens(inputs)) : 0,
    outputTokens,
    imageOutputTokens: isPicture ? Math.max(0, outputTokens - textTokens(outputs)) : 0,
    reasoningTokens: largest(...outputs.map((details) => details?.reasoning_tokens)),
  };
}

/** Of the tokens that were written to the cache, those that are known to be for 30 minutes. */
function shortWrites(body: JsonObject, inputs: readonly (JsonObject | undefined)[], written: number): number {
  if (asObject(body.prompt_cache_options)?.ttl === '30m') return written;
  const said = inputs.map((details) => asObject(details?.cache_write_tokens_details)?.ttl_30m_tokens);
  return Math.min(written, largest(...said));
}

function textTokens(details: readonly (JsonObject | undefined)[]): number {
  return largest(...details.map((each) => each?.text_tokens));
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
