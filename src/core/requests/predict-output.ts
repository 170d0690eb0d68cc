/**
 * How large an answer may get, so that a batch is cut before its output file outgrows what can be downloaded safely
 * (beyond 200 to 300 MB, downloads are reported to be cut: openai-java#649, openai-python#2959). The figures are upper
 * ends of what such answers take, not limits: too high makes more batches, too low makes a larger download.
 */
import type { Endpoint } from '../model/endpoints.ts';

/** The envelope of an output line: ids, status, usage, model, choices. */
const ENVELOPE_BYTES = 1_200;
/** UTF-8 text is 4 to 5 bytes a token; JSON escapes add to it. */
const BYTES_PER_TOKEN = 6;
/** One token's logprobs entry; `top_logprobs` adds one more of these for each alternative. */
const LOGPROB_BYTES = 110;
/** Assumed where a request sets no limit to its answer: a few paragraphs; 50,000 of them just fill an output file. */
const DEFAULT_OUTPUT_TOKENS = 450;
/** One dimension of an embedding as JSON text, such as `-0.012345678,`; four bytes in base64 are five and a third. */
const BYTES_PER_DIMENSION = { float: 14, base64: 5.4 };
/** Dimensions by model. Source: OpenAI's embeddings guide; others are taken to be as large as the largest. */
const DIMENSIONS: ReadonlyMap<unknown, number> = new Map([
  ['text-embedding-3-small', 1_536],
  ['text-embedding-ada-002', 1_536],
  ['text-embedding-3-large', 3_072],
]);
const DEFAULT_DIMENSIONS = 3_072;
/** A generated image, base64 in the line: a 1536x1024 PNG. */
const IMAGE_BYTES = 4_000_000;
const IMAGE_URL_BYTES = 1_000;
const MODERATION_BYTES = 3_000;

/** Bytes of an answer's output line. */
export interface PredictedOutput {
  bytes: number;
  /** Whether the answer repeats its request, whose bytes come on top. */
  repeatsRequest: boolean;
}

/** @param requestBytes the length of the request's line. */
export function predictOutputBytes(
  url: Endpoint,
  body: Record<string, unknown>,
  embeddingInputs: number,
  requestBytes: number,
): number {
  return withRequest(predictOutput(url, body, embeddingInputs), requestBytes);
}

/** Bytes of the answer to a request of this length. */
export function withRequest({ bytes, repeatsRequest }: PredictedOutput, requestBytes: number): number {
  return repeatsRequest ? bytes + requestBytes : bytes;
}

/** The same, of a request whose length need not be known. */
export function predictOutput(
  url: Endpoint,
  body: Record<string, unknown>,
  embeddingInputs: number,
): PredictedOutput {
  const own = (bytes: number): PredictedOutput => ({ bytes: ENVELOPE_BYTES + bytes, repeatsRequest: false });
  switch (url) {
    case '/v1/embeddings': {
      const dimensions = positive(body.dimensions) ?? DIMENSIONS.get(body.model) ?? DEFAULT_DIMENSIONS;
      const each = body.encoding_format === 'base64' ? BYTES_PER_DIMENSION.base64 : BYTES_PER_DIMENSION.float;
      return own(Math.ceil(embeddingInputs * (dimensions * each + 64)));
    }
    case '/v1/images/generations':
    case '/v1/images/edits': {
      const byUrl = body.response_format === 'url';
      return own((positive(body.n) ?? 1) * (byUrl ? IMAGE_URL_BYTES : IMAGE_BYTES));
    }
    case '/v1/moderations':
      return own(MODERATION_BYTES * (Array.isArray(body.input) ? body.input.length : 1));
    case '/v1/videos':
      return own(0);
    case '/v1/responses':
      // It repeats instructions and tools.
      return { ...own(textBytes(body, body.max_output_tokens)), repeatsRequest: true };
    case '/v1/chat/completions':
      return own(textBytes(body, body.max_completion_tokens ?? body.max_tokens));
    case '/v1/completions':
      // Source: API reference, legacy completions: max_tokens defaults to 16.
      return { ...own(textBytes(body, body.max_tokens ?? 16)), repeatsRequest: body.echo === true };
  }
}

function textBytes(body: Record<string, unknown>, maxTokens: unknown): number {
  const choices = Math.max(positive(body.n) ?? 1, positive(body.best_of) ?? 1);
  const tokens = positive(maxTokens) ?? DEFAULT_OUTPUT_TOKENS;
  const alternatives = positive(body.top_logprobs) ?? positive(body.logprobs) ?? 0;
  const wantsLogprobs = body.logprobs !== undefined && body.logprobs !== null && body.logprobs !== false;
  const perToken =
    BYTES_PER_TOKEN + (wantsLogprobs || alternatives > 0 ? LOGPROB_BYTES * (1 + alternatives) : 0);
  return Math.ceil(choices * tokens * perToken);
}

function positive(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : undefined;
}
