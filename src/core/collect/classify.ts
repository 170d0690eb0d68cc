/**
 * What a line of OpenAI's result files says of its request. Rule and sources: openai-batch guide and API reference
 * ("request output object", "error codes"); status 0 lines: tidyverse/ellmer#830.
 */
import type { Cause } from '../attempts.ts';
import type { TokenUsage } from '../model.ts';

export type Verdict =
  | { kind: 'succeeded'; incomplete: boolean }
  /** Worth another try: OpenAI did not execute it, failed while it did, or lost what came of it. */
  | { kind: 'retry'; code: string; cause: Cause }
  /** It was never sent: that is no try. */
  | { kind: 'unsent'; code: string }
  /** Nothing is wrong with the request: a person must set the account or the choice of model right. */
  | { kind: 'operator'; code: string; scope: OperatorScope }
  /** It may have been charged, and another try would end the same way. */
  | { kind: 'lost'; code: string }
  /** The same again would fail the same way. */
  | { kind: 'failed'; code: string };

/** What an operator's error stops: everything sent with the key, or the one model. */
export type OperatorScope = 'key' | 'model';

/** Codes that say that the key or its account cannot be used as it is. Source: OpenAI guide "Error codes". */
const KEY_ERRORS: ReadonlySet<string> = new Set([
  'insufficient_quota',
  'billing_hard_limit_reached',
  'billing_not_active',
  'account_deactivated',
  'invalid_api_key',
]);
const MODEL_NOT_FOUND = 'model_not_found';

/** What an error of this code stops, if it is not the request that is at fault. By code alone: see {@link classify}. */
export function operatorScopeOf(code: string): OperatorScope | undefined {
  if (KEY_ERRORS.has(code)) return 'key';
  return code === MODEL_NOT_FOUND ? 'model' : undefined;
}

/** Our code for a request of a slice that was not called. */
export const NOT_SENT = 'not_sent';

/** Our code for a call whose answer takes longer than any worker can wait. */
export const ANSWER_TOO_SLOW = 'answer_too_slow';

/** `error.code`s of requests that OpenAI did not execute to the end; one that timed out may have been charged. */
const UNEXECUTED: ReadonlyMap<string, Cause> = new Map([
  ['batch_expired', 'unexecuted'],
  ['batch_cancelled', 'unexecuted'],
  ['request_timeout', 'lost'],
]);
/** Per-request statuses that a later try may not meet. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 409, 429]);

/** By error code first, by status second. @param line a parsed line of an output or error file. */
export function classify(line: Record<string, unknown>): Verdict {
  const error = asObject(line.error);
  if (error !== undefined) {
    const code = codeIn(error) ?? 'unknown_error';
    if (code === NOT_SENT) return { kind: 'unsent', code };
    if (code === ANSWER_TOO_SLOW) return { kind: 'lost', code };
    const cause = UNEXECUTED.get(code);
    if (cause !== undefined) return { kind: 'retry', code, cause };
    const scope = operatorScopeOf(code);
    return scope === undefined ? { kind: 'failed', code } : { kind: 'operator', code, scope };
  }
  const response = asObject(line.response);
  if (response === undefined) return { kind: 'retry', code: 'no_response', cause: 'lost' };
  // A status that is not a number counts as lost, unless it only is written as text.
  const status = statusOf(response.status_code);
  const answer = asObject(response.body);
  const body = answer ?? {};
  if (status >= 200 && status < 300) {
    // What came of it cannot be had: no JSON object, as a proxy on the way may send.
    if (answer === undefined) return { kind: 'retry', code: 'no_body', cause: 'lost' };
    // The Responses API answers 200 for a response that failed while it was made; it may have been charged, so it is
    // final rather than tried again.
    if (body.status === 'failed' || asObject(body.error) !== undefined)
      return { kind: 'failed', code: codeOf(body) ?? 'response_failed' };
    return { kind: 'succeeded', incomplete: isIncomplete(body) };
  }
  const stated = codeOf(body);
  const code = stated ?? (status === 0 ? 'status_0' : `http_${status}`);
  const scope = (stated === undefined ? undefined : operatorScopeOf(stated)) ?? scopeOfStatus(status, body);
  if (scope !== undefined) return { kind: 'operator', code, scope };
  // OpenAI has counted such lines as completed: what was executed is lost.
  if (status === 0) return { kind: 'retry', code, cause: 'lost' };
  return TRANSIENT.has(status) || status >= 500
    ? { kind: 'retry', code, cause: 'transient' }
    : { kind: 'failed', code };
}

/** A key that is refused without a known code, a model that is not found without one. */
function scopeOfStatus(status: number, body: Record<string, unknown>): OperatorScope | undefined {
  if (status === 401) return 'key';
  if (status !== 404) return undefined;
  const { code, param, message } = asObject(body.error) ?? {};
  if (typeof code === 'string') return undefined;
  return param === 'model' || (typeof message === 'string' && /\bmodel\b/i.test(message))
    ? 'model'
    : undefined;
}

/** Written as text by some services; anything else, an object with a `toString` of its own included, is no status. */
function statusOf(value: unknown): number {
  return typeof value === 'number' || typeof value === 'string' ? Number(value) || 0 : 0;
}

function codeOf(body: Record<string, unknown>): string | undefined {
  const error = asObject(body.error);
  return error === undefined ? undefined : codeIn(error);
}

/** An empty one, as some services send, says nothing, and could be no name of a count. */
function codeIn({ code }: Record<string, unknown>): string | undefined {
  return typeof code === 'string' && code !== '' ? code : undefined;
}

/** The body of a result line, if it has one. */
export function bodyOf(line: Record<string, unknown>): Record<string, unknown> | undefined {
  return asObject(asObject(line.response)?.body);
}

/** Whether the answer was cut at the token limit: still an answer that was paid for. */
function isIncomplete(body: Record<string, unknown>): boolean {
  if (body.status === 'incomplete') return true;
  return (
    Array.isArray(body.choices) && body.choices.some((choice) => asObject(choice)?.finish_reason === 'length')
  );
}

/** Chat, completions and embeddings say prompt and completion tokens, responses say input and output tokens. */
export function usageOf(body: Record<string, unknown>): TokenUsage {
  const usage = asObject(body.usage) ?? {};
  const inputDetails = asObject(usage.input_tokens_details) ?? asObject(usage.prompt_tokens_details) ?? {};
  const outputDetails =
    asObject(usage.output_tokens_details) ?? asObject(usage.completion_tokens_details) ?? {};
  return {
    inputTokens: count(usage.input_tokens ?? usage.prompt_tokens),
    cachedTokens: count(inputDetails.cached_tokens),
    cacheWriteTokens: count(inputDetails.cache_write_tokens),
    outputTokens: count(usage.output_tokens ?? usage.completion_tokens),
    reasoningTokens: count(outputDetails.reasoning_tokens),
  };
}

export function noUsage(): TokenUsage {
  return { inputTokens: 0, cachedTokens: 0, cacheWriteTokens: 0, outputTokens: 0, reasoningTokens: 0 };
}

export function addUsage(sum: TokenUsage, more: TokenUsage): void {
  sum.inputTokens += more.inputTokens;
  sum.cachedTokens += more.cachedTokens;
  sum.cacheWriteTokens += more.cacheWriteTokens;
  sum.outputTokens += more.outputTokens;
  sum.reasoningTokens += more.reasoningTokens;
}

/** No model reads or writes so many, nor does a batch; sums of as many results as a batch may have stay exact. */
const MOST_TOKENS = 100_000_000_000;

function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 && value <= MOST_TOKENS
    ? value
    : 0;
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
