/** How large the line of an answer may get, so that a batch is cut before its output file is too large to download. */

/** Bytes of an answer's output line. */
export interface PredictedOutput {
  bytes: number;
  /** Whether the answer repeats its request, whose bytes come on top. */
  repeatsRequest: boolean;
}

/** Bytes of the answer to a request of this length. */
export function withRequest({ bytes, repeatsRequest }: PredictedOutput, requestBytes: number): number {
  return repeatsRequest ? bytes + requestBytes : bytes;
}
