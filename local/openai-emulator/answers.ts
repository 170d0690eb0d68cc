import { type ErrorObject, errorObject } from './api-error.ts';
import { usageObject } from './batch-lifecycle.ts';
import { unixSeconds } from './clock.ts';
import type { Answer, Body } from './exchange.ts';
import { base62Of, hexOf, randomOf } from './ids.ts';
import { isObject } from './json-lines.ts';
import { completionLogprobs, logprobsOf } from './logprobs.ts';
import { embeddingDimensions, resolveModel } from './models.ts';
import { type IsStrict, requestError } from './request-checks.ts';
import { answerToSchema } from './schema-answer.ts';
import { inputTokens, tokensOfBytes } from './tokens.ts';

/** What an answer depends on besides the request. */
export type AnswerContext = {
  /** Hash of the request: the same request gets the same text, enum values and vectors. */
  requestHash: string;
  /** Names this one execution: ids are derived from it. */
  executionKey: string;
  nowMs: number;
  /** The checks that are made. */
  isStrict: IsStrict;
};

/** The endpoints that a batch can be for (openai 7.55.0, resources/batches.ts). */
export const BATCH_ENDPOINTS: readonly string[] = [
  '/v1/responses',
  '/v1/chat/completions',
  '/v1/embeddings',
  '/v1/completions',
  '/v1/moderations',
  '/v1/images/generations',
  '/v1/images/edits',
  '/v1/videos',
];

/** The endpoints that also answer synchronously here. */
export const SYNC_ENDPOINTS: readonly string[] = BATCH_ENDPOINTS.slice(0, 5);

/**
 * Answers a request the way its endpoint would: a real response shape whose text begins with "[emulated] ", or JSON
 * that follows the request's schema; or the endpoint's 400 or 404 for what the emulator can see is wrong.
 */
export function answer(endpoint: string, body: Body, context: AnswerContext): Answer {
  const refused = requestError(endpoint, body, context.nowMs, context.isStrict);
  if (refused !== undefined) return refused;
  switch (endpoint) {
    case '/v1/responses':
      return { status: 200, body: responseObject(body, context) };
    case '/v1/chat/completions':
      return { status: 200, body: chatCompletion(body, context) };
    case '/v1/embeddings':
      return { status: 200, body: embeddingList(body) };
    case '/v1/completions':
      return { status: 200, body: textCompletion(body, context) };
    case '/v1/moderations':
      return { status: 200, body: moderation(body, context) };
    case '/v1/videos':
      return { status: 200, body: video(body, context) };
    default:
      return { status: 200, body: images(body, context) };
  }
}

/** What does not change the answer: so a batch, flex, a stream and a background response with a nonce agree. */
const NOT_ASKED = /^(?:service_tier|stream|stream_options|background|background_options|store|metadata)$/;

/** A hash of what a request asks for. */
export const hashRequest = (endpoint: string, body: Body): string =>
  hexOf(32, endpoint, JSON.stringify(Object.entries(body).filter(([name]) => !NOT_ASKED.test(name))));

/** The error that the real service gives for a status, in its own words (as seen in practice). */
export function statusError(status: number, model: string, requestId: string): ErrorObject {
  switch (status) {
    case 400:
      return errorObject("Invalid value for 'temperature'.", { param: 'temperature', code: 'invalid_value' });
    case 404:
      return errorObject(`The model \`${model}\` does not exist or you do not have access to it.`, {
        code: 'model_not_found',
      });
    case 429:
      return errorObject(
        'You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.',
        { type: 'insufficient_quota', code: 'insufficient_quota' },
      );
    case 504:
      return errorObject(
        'Timed out generating response. Please try again with a shorter prompt or with `max_tokens` set to a lower value.',
        { type: 'internal_error', code: 'request_timeout' },
      );
    default:
      return errorObject(
        `An error occurred while processing your request. You can retry your request, or contact us through our help center at help.openai.com if the error persists. Please include the request ID ${requestId} in your message.`,
        { type: 'server_error', code: 'server_error' },
      );
  }
}

/** The text of an answer, what it is derived from, and whether the request's own limit on output tokens cut it. */
function textOf(body: Body, format: unknown, context: AnswerContext, choice: number) {
  const key = choice === 0 ? context.requestHash : hexOf(32, context.requestHash, choice);
  const schema = isObject(format)
    ? isObject(format.json_schema)
      ? format.json_schema.schema
      : format.schema
    : undefined;
  const wantsJson = isObject(format) && ['json_schema', 'json_object'].includes(String(format.type));
  const whole = wantsJson
    ? JSON.stringify(schema === undefined ? { emulated: key.slice(0, 8) } : answerToSchema(schema, key))
    : `[emulated] Answer ${key.slice(0, 8)} to ${inputTokens(body)} input tokens.`;
  const limit = body.max_completion_tokens ?? body.max_output_tokens ?? body.max_tokens;
  const tokens = tokensOfBytes(Buffer.byteLength(whole));
  if (typeof limit !== 'number' || tokens <= limit) return { text: whole, tokens, isCut: false, key };
  return { text: whole.slice(0, limit * 4), tokens: limit, isCut: true, key };
}

function chatCompletion(body: Body, context: AnswerContext): Body {
  const count = typeof body.n === 'number' ? Math.max(1, Math.min(128, body.n)) : 1;
  const call = forcedCall(body, context);
  let output = 0;
  const choices = Array.from({ length: count }, (_, index) => {
    const { text, tokens, isCut, key } = textOf(body, body.response_format, context, index);
    output += call === undefined ? tokens : tokensOfBytes(Buffer.byteLength(call.arguments));
    const message =
      call === undefined
        ? { role: 'assistant', content: text, refusal: null, annotations: [] }
        : {
            role: 'assistant',
            content: null,
            tool_calls: [
              {
                id: `call_${base62Of(24, context.executionKey, index)}`,
                type: 'function',
                function: { name: call.name, arguments: call.arguments },
              },
            ],
            refusal: null,
            annotations: [],
          };
    return {
      index,
      message,
      logprobs:
        body.logprobs === true && call === undefined
          ? { content: logprobsOf(text, key, topOf(body)), refusal: null }
          : null,
      finish_reason: isCut && call === undefined ? 'length' : call === undefined ? 'stop' : 'tool_calls',
    };
  });
  const input = inputTokens(body);
  return {
    id: `chatcmpl-${base62Of(29, context.executionKey)}`,
    object: 'chat.completion',
    created: unixSeconds(context.nowMs),
    model: resolveModel(String(body.model)),
    choices,
    usage: {
      prompt_tokens: input,
      completion_tokens: output,
      total_tokens: input + output,
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: {
        reasoning_tokens: 0,
        audio_tokens: 0,
        accepted_prediction_tokens: 0,
        rejected_prediction_tokens: 0,
      },
    },
    service_tier: tierOf(body),
    system_fingerprint: 'fp_emulated',
  };
}

/** A function call, where the request leaves no choice but to make one. */
function forcedCall(body: Body, context: AnswerContext): { name: string; arguments: string } | undefined {
  const choice = body.tool_choice;
  const named = isObject(choice) ? ((choice.function as Body | undefined)?.name ?? choice.name) : undefined;
  if (choice !== 'required' && named === undefined) return undefined;
  const tools = (Array.isArray(body.tools) ? body.tools : [])
    .filter(isObject)
    .map((tool) => (isObject(tool.function) ? tool.function : tool))
    .filter((tool) => typeof tool.name === 'string');
  const tool = tools.find((candidate) => candidate.name === named) ?? tools[0];
  if (tool === undefined) return undefined;
  return {
    name: String(tool.name),
    arguments: JSON.stringify(
      answerToSchema(tool.parameters ?? { type: 'object' }, context.requestHash) ?? {},
    ),
  };
}

function responseObject(body: Body, context: AnswerContext): Body {
  const format = isObject(body.text) ? body.text.format : undefined;
  const { text, tokens, isCut, key } = textOf(body, format, context, 0);
  const wantsLogprobs = Array.isArray(body.include) && body.include.includes('message.output_text.logprobs');
  const logprobs = wantsLogprobs ? logprobsOf(text, key, topOf(body)) : [];
  const call = forcedCall(body, context);
  const status = isCut && call === undefined ? 'incomplete' : 'completed';
  const item =
    call === undefined
      ? {
          id: `msg_${hexOf(48, context.executionKey, 'message')}`,
          type: 'message',
          status,
          content: [{ type: 'output_text', annotations: [], logprobs, text }],
          role: 'assistant',
        }
      : {
          id: `fc_${hexOf(48, context.executionKey, 'call')}`,
          type: 'function_call',
          status: 'completed',
          arguments: call.arguments,
          call_id: `call_${base62Of(24, context.executionKey)}`,
          name: call.name,
        };
  const output = call === undefined ? tokens : tokensOfBytes(Buffer.byteLength(call.arguments));
  return {
    id: `resp_${hexOf(48, context.executionKey)}`,
    object: 'response',
    created_at: unixSeconds(context.nowMs),
    status,
    background: false,
    completed_at: unixSeconds(context.nowMs),
    error: null,
    incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: null,
    model: resolveModel(String(body.model)),
    output: [item],
    parallel_tool_calls: true,
    previous_response_id: null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: { effort: null, summary: null },
    safety_identifier: null,
    service_tier: tierOf(body),
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { format: format ?? { type: 'text' }, verbosity: 'medium' },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_logprobs: topOf(body),
    top_p: body.top_p ?? 1,
    truncation: 'disabled',
    usage: usageObject({ input: inputTokens(body), cached: 0, output, reasoning: 0 }),
    user: null,
    metadata: body.metadata ?? {},
  };
}

/** How many of the likeliest tokens are asked for: 20 at most (openai 7.55.0). */
const topOf = (body: Body): number =>
  typeof body.top_logprobs === 'number' ? Math.min(20, body.top_logprobs) : 0;

/** The tier that served the request: what was asked for, `default` for `auto` and for nothing. */
function tierOf(body: Body): string {
  const asked = body.service_tier;
  return typeof asked === 'string' && asked !== 'auto' ? asked : 'default';
}

function textCompletion(body: Body, context: AnswerContext): Body {
  const prompts = Array.isArray(body.prompt) && typeof body.prompt[0] !== 'number' ? body.prompt : [0];
  let output = 0;
  const choices = prompts.map((_, index) => {
    const { text, tokens, isCut, key } = textOf(body, undefined, context, index);
    output += tokens;
    const logprobs = typeof body.logprobs === 'number' ? completionLogprobs(text, key, body.logprobs) : null;
    return { text, index, logprobs, finish_reason: isCut ? 'length' : 'stop' };
  });
  const input = inputTokens(body);
  return {
    id: `cmpl-${base62Of(29, context.executionKey)}`,
    object: 'text_completion',
    created: unixSeconds(context.nowMs),
    model: resolveModel(String(body.model)),
    choices,
    usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
    system_fingerprint: 'fp_emulated',
  };
}

function embeddingList(body: Body): Body {
  const input = body.input;
  const inputs = Array.isArray(input) && typeof input[0] !== 'number' ? input : [input];
  const model = resolveModel(String(body.model));
  const dimensions = typeof body.dimensions === 'number' ? body.dimensions : embeddingDimensions(model);
  const tokens = inputTokens(body);
  return {
    object: 'list',
    data: inputs.map((item, index) => {
      // A vector belongs to its text: the same text has the same vector in every request.
      const vector = unitVector(dimensions, model, JSON.stringify(item));
      return {
        object: 'embedding',
        index,
        embedding:
          body.encoding_format === 'base64'
            ? Buffer.from(vector.buffer).toString('base64')
            : Array.from(vector),
      };
    }),
    model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

function unitVector(dimensions: number, ...key: readonly string[]): Float32Array {
  const random = randomOf(...key);
  const vector = new Float32Array(dimensions);
  let squares = 0;
  for (let i = 0; i < dimensions; i++) {
    const value = random() * 2 - 1;
    vector[i] = value;
    squares += value * value;
  }
  const length = Math.sqrt(squares);
  for (let i = 0; i < dimensions; i++) vector[i] = vector[i]! / length;
  return vector;
}

const MODERATION_CATEGORIES: readonly string[] = [
  'harassment',
  'harassment/threatening',
  'sexual',
  'hate',
  'hate/threatening',
  'illicit',
  'illicit/violent',
  'self-harm/intent',
  'self-harm/instructions',
  'self-harm',
  'sexual/minors',
  'violence',
  'violence/graphic',
];

function moderation(body: Body, context: AnswerContext): Body {
  const inputs = Array.isArray(body.input) && typeof body.input[0] === 'string' ? body.input : [body.input];
  return {
    id: `modr-${hexOf(32, context.executionKey)}`,
    model: resolveModel(String(body.model ?? 'omni-moderation-latest')),
    results: inputs.map((input) => {
      const random = randomOf('moderation', JSON.stringify(input));
      const scores = MODERATION_CATEGORIES.map((category) => [category, random() / 100] as const);
      return {
        flagged: false,
        categories: Object.fromEntries(scores.map(([category]) => [category, false])),
        category_scores: Object.fromEntries(scores),
        category_applied_input_types: Object.fromEntries(scores.map(([category]) => [category, ['text']])),
      };
    }),
  };
}

/** A PNG of one transparent pixel. */
const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';

function images(body: Body, context: AnswerContext): Body {
  const count = typeof body.n === 'number' ? body.n : 1;
  const text = inputTokens(body);
  const output = 272 * count;
  return {
    created: unixSeconds(context.nowMs),
    background: 'opaque',
    data: Array.from({ length: count }, () => ({ b64_json: PIXEL })),
    output_format: 'png',
    quality: 'low',
    size: body.size ?? '1024x1024',
    usage: {
      input_tokens: text,
      input_tokens_details: { image_tokens: 0, text_tokens: text },
      output_tokens: output,
      total_tokens: text + output,
    },
  };
}

function video(body: Body, context: AnswerContext): Body {
  return {
    id: `video_${hexOf(32, context.executionKey)}`,
    object: 'video',
    created_at: unixSeconds(context.nowMs),
    status: 'queued',
    model: resolveModel(String(body.model)),
    progress: 0,
    prompt: body.prompt ?? null,
    seconds: String(body.seconds ?? '4'),
    size: body.size ?? '720x1280',
    completed_at: null,
    expires_at: null,
    error: null,
    remixed_from_video_id: null,
  };
}
