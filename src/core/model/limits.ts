/** How much one batch may hold: what the provider allows, less what we stay below it. */
export interface BatchLimits {
  requests: number;
  /** Rendered bytes of the input file. */
  bytes: number;
  /** Embedding inputs, over all requests. */
  embeddingInputs: number;
  /** Predicted bytes of the output file. */
  outputBytes: number;
}

/** Longest line that is read as a request; ours, so that memory stays flat. */
export const MAX_LINE_BYTES = 32 * 1024 * 1024;

/** Most pairs of model and endpoint in one file; each pair fills a batch of its own while the file is read. */
export const MAX_GROUPS = 200;
