/**
 * What one OpenAI batch may hold, and how far below it we stay.
 */
export interface BatchLimits {
  requests: number;
  /** Rendered bytes of the input file. */
  bytes: number;
  /** Embedding inputs, over all requests. */
  embeddingInputs: number;
  /** Predicted bytes of the output file. */
  outputBytes: number;
}

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

/** Longest line that is read as a request; ours, so that memory stays flat. */
export const MAX_LINE_BYTES = 32 * 1024 * 1024;

/** Most pairs of model and endpoint in one file; each pair fills a batch of its own while the file is read. */
export const MAX_GROUPS = 200;
