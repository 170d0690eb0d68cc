/** What a new account may have under way, and how OpenAI reports limits. */
import type { QuotaRules } from '../../core/ports/provider-rules.ts';

/**
 * Enqueued tokens of a model: the lowest limit that was published or reported for its class (tier 1). Sources: model
 * pages 2026-10 and messages of 2026-08/09 (luna: pages say 5,000,000, messages 2,000,000), OpenAI's
 * llms-models-pricing.txt 2025 (gpt-4o class 90,000), community reports (gpt-4o-mini 2,000,000, embeddings-3
 * 3,000,000, gpt-5 900,000).
 */
const FIRST_ENQUEUED_TOKENS: readonly (readonly [models: RegExp, tokens: number])[] = [
  [/^text-embedding-/, 3_000_000],
  [/-luna|-mini|-nano/, 2_000_000],
  [/^gpt-(5|6)/, 900_000],
];
/** For every other model: the lowest of all. */
const LOWEST_ENQUEUED_TOKENS = 90_000;

/** What OpenAI's accounts begin with. */
export const QUOTA_RULES: QuotaRules = {
  firstEnqueuedTokensOf: (model) =>
    FIRST_ENQUEUED_TOKENS.find(([models]) => models.test(model))?.[1] ?? LOWEST_ENQUEUED_TOKENS,
  /** "Limit: 2,000,000 enqueued tokens." */
  reportedEnqueuedTokens(message) {
    const reported = /limit:\s*([\d,]+)\s*enqueued tokens/i.exec(message)?.[1];
    const limit = reported === undefined ? 0 : Number(reported.replaceAll(',', ''));
    return Number.isSafeInteger(limit) && limit > 0 ? limit : undefined;
  },
  /** Tier 1 of the gpt-5 models (model pages, 2026-10). */
  firstRates: { requestsPerMinute: 500, tokensPerMinute: 200_000 },
};
