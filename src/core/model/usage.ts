/** Tokens as OpenAI reports them, summed. */
export interface TokenUsage {
  inputTokens: number;
  /** Part of the input that OpenAI read from its prompt cache. */
  cachedTokens: number;
  /** Part of the input that OpenAI wrote to its prompt cache, which some models charge for. */
  cacheWriteTokens: number;
  outputTokens: number;
  reasoningTokens: number;
}
