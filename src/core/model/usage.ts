import * as z from 'zod';

const tokens = z.int().min(0);

/** See {@link TokenUsage}. */
export const usageSchema = z.object({
  inputTokens: tokens,
  /** Part of the input that was read from the provider's prompt cache. */
  cachedTokens: tokens,
  /** Part of the input that was written to the provider's prompt cache, which some models charge for. */
  cacheWriteTokens: tokens,
  outputTokens: tokens,
  reasoningTokens: tokens,
});

/** Tokens as the provider reports them, summed. */
export type TokenUsage = z.infer<typeof usageSchema>;

/** No tokens. */
export function noUsage(): TokenUsage {
  return { inputTokens: 0, cachedTokens: 0, cacheWriteTokens: 0, outputTokens: 0, reasoningTokens: 0 };
}

/** Adds `more` to `sum`. */
export function addUsage(sum: TokenUsage, more: TokenUsage): void {
  sum.inputTokens += more.inputTokens;
  sum.cachedTokens += more.cachedTokens;
  sum.cacheWriteTokens += more.cacheWriteTokens;
  sum.outputTokens += more.outputTokens;
  sum.reasoningTokens += more.reasoningTokens;
}
