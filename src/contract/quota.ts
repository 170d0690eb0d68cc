/** What of OpenAI's limits a deployment may use. */
import * as z from 'zod';
import { onlyFields } from './only-fields.ts';

/** Other applications may share these limits, and so do API keys of one organization. */
export const quotaSchema = onlyFields({
  /**
   * The most tokens of a model that may be enqueued at a time with one API key, by model as requests name it. Left
   * out: the limit is learned from OpenAI's refusals, beginning low. OpenAI's limit holds where it is lower.
   */
  enqueuedTokens: z.record(z.string().min(1), z.int().min(1)).default({}),
  /**
   * The most batches that are created with one API key in any 60 minutes. OpenAI allows 2,000 (guide "Batch API",
   * 2026-09-26).
   */
  createsPerHour: z.int().min(1).max(2_000).default(2_000),
  /**
   * The most slices of a model that are called at a time with one API key in flex, and as many in standard: each has
   * at most 500 requests, with up to 32 calls at a time.
   */
  concurrentSlices: z.int().min(1).max(100).default(8),
});
export type QuotaSettings = z.infer<typeof quotaSchema>;
