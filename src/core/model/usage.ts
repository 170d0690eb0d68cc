import * as z from 'zod';

const tokens = z.int().min(0);

/** See {@link TokenUsage}. */
export const usageSchema = z.object({
  inputTokens: tokens,
  /** Part of the input that was read from the provider's prompt cache. */
  cachedTokens: tokens,
  /** Part of the input that was written to the provider's prompt cache, which some models charge for. */
  cacheWriteTokens: tokens,
  /** Of those, written for 12 hours, which costs more. Records that were made before they were counted separately lack it. */
  cacheWrite12hTokens: tokens.default(0),
  /** Part of the input that was images, where the provider says so. */
  imageInputTokens: tokens.default(0),
  outputTokens: tokens,
  /** Part of the output that was images. */
  imageOutputTokens: tokens.default(0),
  reasoningTokens: tokens,
});

/** Tokens as the provider reports them, summed. */
export type TokenUsage = z.infer<typeof usageSchema>;

/** No tokens. */
export function noUsage(): TokenUsage {
  return {
    inputTokens: 0,
    cachedTokens: 0,
    cacheWriteTokens: 0,
    cacheWrite12hTokens: 0,
    imageInputTokens: 0,
    outputTokens: 0,
    imageOutputTokens: 0,
    reasoningTokens: 0,
  };
}

/** Adds `more` to `sum`. */
export function addUsage(sum: TokenUsage, more: TokenUsage): void {
  sum.inputTokens += more.inputTokens;
  sum.cachedTokens += more.cachedTokens;
  sum.cacheWriteTokens += more.cacheWriteTokens;
  sum.cacheWrite12hTokens += more.cacheWrite12hTokens;
  sum.imageInputTokens += more.imageInputTokens;
  sum.outputTokens += more.outputTokens;
  sum.imageOutputTokens += more.imageOutputTokens;
  sum.reasoningTokens += more.reasoningTokens;
}
