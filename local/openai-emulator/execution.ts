import { answer, hashRequest, statusError } from './answers.ts';
import { errorObject } from './api-error.ts';
import { NO_TOKENS, type TokenUsage } from './batch-lifecycle.ts';
import type { EffectOf } from './effects.ts';
import type { Answer } from './exchange.ts';
import type { Faults, Subject } from './faults.ts';
import { hexOf } from './ids.ts';
import { isObject, isTooDeep, MAX_DEPTH } from './json-lines.ts';
import type { IsStrict } from './request-checks.ts';
import { usageOf } from './tokens.ts';
import { askUpstream, type UpstreamOptions } from './upstream.ts';

/** One request to execute, from a batch line or a synchronous call. */
export type ExecutionRequest = {
  endpoint: string;
  body: Record<string, unknown>;
  /** What fault rules can match. */
  subject: Subject;
  /** Names this one execution: ids are derived from it. */
  executionKey: string;
  nowMs: number;
  signal: AbortSignal;
};

/** The outcome of an execution. */
export type Executed = {
  answer: Answer;
  requestHash: string;
  /** `req_` or bare: both forms are seen. */
  requestId: string;
  /** What was bought: the usage of a 200 answer. */
  usage: TokenUsage;
  /** The line faults that fired; those about files are applied by the batch. */
  effects: EffectOf<'line'>[];
};

/** What executions need. */
export type ExecutionDeps = {
  faults: Faults;
  upstream: UpstreamOptions | undefined;
  /** The checks that are made of a request. */
  isStrict: IsStrict;
};

/** Executes one request: emulated, or by the upstream, or as a fault rule says. */
export async function execute(deps: ExecutionDeps, request: ExecutionRequest): Promise<Executed> {
  const { endpoint, body } = request;
  const isRead = !isTooDeep(body);
  const requestHash = isRead ? hashRequest(endpoint, body) : hexOf(32, request.executionKey);
  const digest = hexOf(32, request.executionKey, 'request');
  const requestId = digest < '8' ? digest : `req_${digest}`;
  const effects = deps.faults.fire('line', request.subject);
  // Not charged (platform.openai.com/docs/guides/flex-processing).
  if (effects.some((effect) => effect.kind === 'line.resource_unavailable')) {
    const answer = { status: 429, body: { error: RESOURCE_UNAVAILABLE } };
    return { answer, requestHash, requestId, usage: NO_TOKENS, effects };
  }
  const noFlex = effects.find((effect) => effect.kind === 'line.no_flex');
  if (noFlex !== undefined && body.service_tier === 'flex') {
    const answer = { status: 400, body: { error: NO_FLEX[noFlex.as] } };
    return { answer, requestHash, requestId, usage: NO_TOKENS, effects };
  }
  const refused = effects.find((effect) => effect.kind === 'line.status');
  if (refused !== undefined) {
    const error = refused.error ?? statusError(refused.status, String(body.model), requestId);
    const refusal = { status: refused.status, body: refused.status === 0 ? {} : { error } };
    return { answer: refusal, requestHash, requestId, usage: NO_TOKENS, effects };
  }
  // Not run at all: nothing is asked of the upstream.
  if (effects.some((effect) => effect.kind === 'line.error')) {
    return { answer: { status: 0, body: {} }, requestHash, requestId, usage: NO_TOKENS, effects };
  }
  const given = !isRead
    ? { status: 400, body: { error: TOO_DEEP } }
    : deps.upstream === undefined
      ? answerSafely(request, { requestHash, requestId, isStrict: deps.isStrict })
      : await askUpstream(deps.upstream, endpoint, body, request.signal);
  if (given.status === 200) for (const effect of effects) alterBody(given.body, effect);
  return {
    answer: given,
    requestHash,
    requestId,
    usage: given.status === 200 ? usageOf(given.body) : NO_TOKENS,
    effects,
  };
}

/** An answer for whatever a request holds: what the emulator cannot handle costs one line, not those after it. */
function answerSafely(
  { endpoint, body, executionKey, nowMs }: ExecutionRequest,
  { requestHash, requestId, isStrict }: { requestHash: string; requestId: string; isStrict: IsStrict },
): Answer {
  try {
    return answer(endpoint, body, { requestHash, executionKey, nowMs, isStrict });
  } catch (error) {
    console.error(`the emulator cannot answer a request to ${endpoint}:`, error);
    return { status: 500, body: { error: statusError(500, String(body.model), requestId) } };
  }
}

/** A copy of an answer that says something else. */
export function withText(body: Record<string, unknown>, text: string): Record<string, unknown> {
  const copy = structuredClone(body);
  setText(copy, text);
  return copy;
}

/** What the real service says is not known. */
const TOO_DEEP = errorObject(`The request is nested too deeply: at most ${MAX_DEPTH} levels are read.`);

/** Flex without capacity: the message is documented, the rest inferred. */
const RESOURCE_UNAVAILABLE = errorObject('Resource Unavailable', {
  type: 'resource_unavailable',
  code: 'resource_unavailable',
});

/**
 * A model without flex. The first two messages were seen by users of gpt-4o and others (UKGovernmentBEIS/inspect_ai,
 * `test_openai.py`; reports beside it), the rest is inferred from how the API refuses other values.
 */
const NO_FLEX = {
  flex: errorObject('Flex is not available for this model.'),
  argument: errorObject('Invalid service_tier argument'),
  param: errorObject("Invalid value: 'flex'. Supported values are: 'auto', 'default', and 'priority'.", {
    param: 'service_tier',
    code: 'invalid_value',
  }),
};

function alterBody(body: Record<string, unknown>, effect: EffectOf<'line'>): void {
  if (effect.kind === 'line.length') cutShort(body, 'max_output_tokens');
  if (effect.kind === 'line.incomplete') cutShort(body, effect.reason);
  if (effect.kind === 'line.text') setText(body, effect.text);
  if (effect.kind === 'line.mojibake') setText(body, Buffer.from(effect.text).toString('latin1'));
  if (effect.kind === 'line.tier') body.service_tier = effect.tier;
  if (effect.kind === 'line.model') body.model = effect.model;
  if (effect.kind === 'line.cached') setCached(body, effect.tokens);
}

/** The 200 answer that says nothing: `finish_reason:"length"` with empty content, or `status:"incomplete"`. */
function cutShort(body: Record<string, unknown>, reason: string): void {
  setText(body, '');
  if (body.object === 'response') {
    body.status = 'incomplete';
    body.incomplete_details = { reason };
    for (const item of objectsIn(body.output)) item.status = 'incomplete';
  }
  for (const choice of objectsIn(body.choices)) choice.finish_reason = 'length';
}

/** Replaces the text of every choice, or of every part of a response. */
function setText(body: Record<string, unknown>, text: string): void {
  for (const choice of objectsIn(body.choices)) {
    if (isObject(choice.message)) choice.message.content = text;
    else choice.text = text;
  }
  for (const item of objectsIn(body.output)) {
    for (const part of objectsIn(item.content)) part.text = text;
  }
}

function setCached(body: Record<string, unknown>, tokens: number): void {
  const usage = body.usage;
  if (!isObject(usage)) return;
  for (const [total, details] of [
    ['prompt_tokens', 'prompt_tokens_details'],
    ['input_tokens', 'input_tokens_details'],
  ] as const) {
    const holder = usage[details];
    if (isObject(holder)) holder.cached_tokens = Math.min(tokens, Number(usage[total]));
  }
}

const objectsIn = (value: unknown) => (Array.isArray(value) ? value.filter(isObject) : []);
