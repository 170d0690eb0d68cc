/**
 * How large an answer may get, so that a batch is cut before its output file outgrows what can be downloaded safely
 * (beyond 200 to 300 MB, downloads are reported to be cut: openai-java#649, openai-python#2959). The figures are upper
 * ends of what such answers take, not limits: too high makes more batches, too low makes a larger download.
 */
import type { JsonObject } from '../../../core/base/json-value.ts';
import type { PredictedOutput } from '../../../core/model/predicted-output.ts';

/** The envelope of an output line: ids, status, usage, model, choices. */
const ENVELOPE_BYTES = 1_200;
/** UTF-8 text is 4 to 5 bytes a token; JSON escapes add to it. */
const BYTES_PER_TOKEN = 6;
/** One token's logprobs entry; `top_logprobs` adds one more of these for each alternative. */
const LOGPROB_BYTES = 110;
/** Assumed where a request sets no limit to its answer: a few paragraphs; 50,000 of them just fill an output file. */
const DEFAULT_OUTPUT_TOKENS = 450;

/** An answer of so many bytes that does not repeat its request. */
export function answerOf(bytes: number): PredictedOutput {
  return { bytes: ENVELOPE_BYTES + bytes, repeatsRequest: false };
}

/** Bytes of the text of an answer. @param maxTokens the limit, as the body names it. */
export function textBytes(body: JsonObject, maxTokens: unknown): number {
  const tokens = positive(maxTokens) ?? DEFAULT_OUTPUT_TOKENS;
  const alternatives = positive(body.top_logprobs) ?? positive(body.logprobs) ?? 0;
  const wantsLogprobs = body.logprobs !== undefined && body.logprobs !== null && body.logprobs !== false;
  const perToken =
    BYTES_PER_TOKEN + (wantsLogprobs || alternatives > 0 ? LOGPROB_BYTES * (1 + alternatives) : 0);
  return Math.ceil(choicesIn(body) * tokens * perToken);
}

/** The limit of all choices together: each may be as long. */
export function timesChoices(tokens: number | undefined, body: JsonObject): number | undefined {
  return tokens === undefined ? undefined : Math.ceil(tokens * choicesIn(body));
}

export function positive(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : undefined;
}

function choicesIn({ n, best_of: bestOf }: JsonObject): number {
  return Math.max(positive(n) ?? 1, positive(bestOf) ?? 1);
}
