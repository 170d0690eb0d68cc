import type { BatchLimits } from '../../core/model/limits.ts';

/**
 * 50,000 requests, 200 MB and 50,000 embedding inputs are OpenAI's (guide "Batch API", 2026-09-26; openai 7.55.0
 * `resources/batches.ts`). Whether MB is decimal is not documented, so files stay below 190,000,000 bytes. Output files
 * have no documented limit, but downloads beyond 200 to 300 MB are reported to be cut (openai-java#649,
 * openai-python#2959), hence 200,000,000 predicted bytes.
 */
export const OPENAI_LIMITS: BatchLimits = {
  requests: 50_000,
  bytes: 190_000_000,
  embeddingInputs: 50_000,
  outputBytes: 200_000_000,
};
