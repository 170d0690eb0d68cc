/**
 * What a line of OpenAI's result files says of its request. Rule and sources: openai-batch guide and API reference
 * ("request output object"); status 0 lines: tidyverse/ellmer#830.
 */
import type { TokenUsage } from '../model.ts';

export type Verdict =
  | { kind: 'succeeded'; incomplete: boolean; usage: TokenUsage }
  /** Worth another try: OpenAI did not execute it, or failed while it did. */
  | { kind: 'retry'; code: string }
  /** The same again would fail the same way. */
  | { kind: 'failed'; code: string };

/** `error.code`s of requests that OpenAI did not execute to the end. */
const UNEXECUTED: ReadonlySet<string> = new Set(['batch_expired', 'batch_cancelled', 'request_timeout']);
/** Per-request statuses that a later try may not meet; 0 is a line that OpenAI lost. */
const TRANSIENT: ReadonlySet<number> = new Set([0, 408, 409, 429]);

/** @param line a parsed line of an output or error file. */
export function classify(line: Record<string, unknown>): Verdict {
  const error = asObject(line.error);
  if (error !== undefined) {
    const code = typeof error.code === 'string' ? error.code : 'unknown_error';
    return UNEXECUTED.has(code) ? { kind: 'retry', code } : { kind: 'failed', code };
  }
  const response = asObject(line.response);
  if (response === undefined) return { kind: 'retry', code: 'no_response' };
  // A status that is not a number counts as lost, unless it only is written as text.
  const status = Number(response.status_code) || 0;
  const body = asObject(response.body) ?? {};
  if (status >= 200 && status < 300) {
    // The Responses API answers 200 for a response that failed while it was made; it may have been charged, so it is
    // final rather than tried again.
    if (body.status === 'failed') return { kind: 'failed', code: codeOf(body) ?? 'response_failed' };
    return { kind: 'succeeded', incomplete: isIncomplete(body), usage: usageOf(body) };
  }
  const code = codeOf(body) ?? `http_${status}`;
  return TRANSIENT.has(status) || status >= 500 ? { kind: 'retry', code } : { kind: 'failed', code };
}

function codeOf(body: Record<string, unknown>): string | undefined {
  const code = asObject(body.error)?.code;
  return typeof code === 'string' ? code : undefined;
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
    outputTokens: count(usage.output_tokens ?? usage.completion_tokens),
    reasoningTokens: count(outputDetails.reasoning_tokens),
  };
}

export function noUsage(): TokenUsage {
  return { inputTokens: 0, cachedTokens: 0, outputTokens: 0, reasoningTokens: 0 };
}

export function addUsage(sum: TokenUsage, more: TokenUsage): void {
  sum.inputTokens += more.inputTokens;
  sum.cachedTokens += more.cachedTokens;
  sum.outputTokens += more.outputTokens;
  sum.reasoningTokens += more.reasoningTokens;
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
