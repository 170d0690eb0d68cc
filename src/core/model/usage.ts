/** Tokens as the provider reports them, summed. */
export interface TokenUsage {
  inputTokens: number;
  /** Part of the input that was read from the provider's prompt cache. */
  cachedTokens: number;
  /** Part of the input that was written to the provider's prompt cache, which some models charge for. */
  cacheWriteTokens: number;
  outputTokens: number;
  reasoningTokens: number;
}

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
