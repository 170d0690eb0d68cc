import { errorObject, typeInWords } from './api-error.ts';
import type { Answer, Body } from './exchange.ts';
import { isObject } from './json-lines.ts';
import { isOfKnownFamily, type ModelFacts, type ModelKind, modelFacts, windowOf } from './models.ts';
import { PARAMETERS } from './parameters.ts';
import { strictSchemaError } from './strict-schema.ts';
import { inputTokens } from './tokens.ts';

/**
 * The checks that a lenient emulator leaves out, one or all:
 * - `models`: a name that is not in the emulator's list
 * - `shutdowns`: a model that is shut down by the emulator's clock
 * - `endpoints`: a model of another endpoint
 * - `parameters`: one that the endpoint does not know, or that the model does not take
 * - `messages`: an empty list, or a message without role
 * - `schemas`: a strict schema that is none
 * - `json_word`: `json_object` without the word JSON
 * - `flex`: a model that has no flex
 * - `windows`: a model that has no completion windows in the background
 */
export const CHECKS = [
  'models',
  'shutdowns',
  'endpoints',
  'parameters',
  'messages',
  'schemas',
  'json_word',
  'flex',
  'windows',
] as const;

/** See `CHECKS`. */
export type Check = (typeof CHECKS)[number];

/** Whether a check is made. */
export type IsStrict = (check: Check) => boolean;

/** What an emulator that leaves out all checks, or these, is strict about. */
export const strictnessOf = (lenient: boolean | readonly Check[]): IsStrict =>
  typeof lenient === 'boolean' ? () => !lenient : (check) => !lenient.includes(check);

/** What a check can see. */
type Checked = {
  endpoint: string;
  body: Body;
  /** As sent; empty when the endpoint needs none and none is given. */
  model: string;
  facts: ModelFacts | undefined;
  isStrict: IsStrict;
};

/**
 * Whether a name can be used at a moment.
 * @param nowMs a model that is shut down by then is none
 */
export function isServedModel(model: string, nowMs: number, isStrict: IsStrict): boolean {
  const facts = modelFacts(model);
  if (facts === undefined) return !isStrict('models') && isOfKnownFamily(model);
  return nowMs < facts.shutdownMs || !isStrict('shutdowns');
}

/**
 * The refusal of a request that the endpoint would not serve, in its own words where they are known (issue trackers of
 * many projects); undefined when it is served.
 */
export function requestError(
  endpoint: string,
  body: Body,
  nowMs: number,
  isStrict: IsStrict,
): Answer | undefined {
  const missing = (REQUIRED[endpoint] ?? ['model', 'prompt']).find((param) => isNil(body[param]));
  if (missing !== undefined) return missingRequired(missing);
  if (body.model !== undefined && typeof body.model !== 'string') {
    return wrongType('model', 'a string', body.model);
  }
  const model = body.model ?? '';
  if (model !== '' && !isServedModel(model, nowMs, isStrict)) {
    return refuse(`The model \`${model}\` does not exist or you do not have access to it.`, {
      status: 404,
      code: 'model_not_found',
    });
  }
  const checked: Checked = { endpoint, body, model, facts: modelFacts(model), isStrict };
  for (const check of CHECKED_IN_ORDER) {
    const refused = check(checked);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

/** The first that has something to say answers. */
const CHECKED_IN_ORDER: readonly ((checked: Checked) => Answer | undefined)[] = [
  endpointError,
  parameterError,
  effortError,
  messagesError,
  formatError,
  flexError,
  backgroundError,
  rangeError,
];

type Rest = { status?: number; param?: string; code?: string };

const refuse = (message: string, { status = 400, ...rest }: Rest = {}): Answer => ({
  status,
  body: { error: errorObject(message, rest) },
});

const isNil = (value: unknown) => value === undefined || value === null;

const missingRequired = (param: string): Answer =>
  refuse(`Missing required parameter: '${param}'.`, { param, code: 'missing_required_parameter' });

const wrongType = (param: string, expected: string, got: unknown): Answer =>
  refuse(`Invalid type for '${param}': expected ${expected}, but got ${typeInWords(got)} instead.`, {
    param,
    code: 'invalid_type',
  });

const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  '/v1/responses': ['model', 'input'],
  '/v1/chat/completions': ['model', 'messages'],
  '/v1/embeddings': ['model', 'input'],
  '/v1/completions': ['model', 'prompt'],
  '/v1/moderations': ['input'],
};

const TEXT_ENDPOINTS: readonly string[] = ['/v1/responses', '/v1/chat/completions', '/v1/completions'];

/** The kinds of model that an endpoint serves; of images, videos and moderations nothing is said. */
const SERVED: Readonly<Record<string, readonly ModelKind[]>> = {
  '/v1/chat/completions': ['chat'],
  '/v1/responses': ['chat', 'responses'],
  '/v1/completions': ['completions'],
  '/v1/embeddings': ['embedding'],
};

function endpointError({ endpoint, facts, isStrict }: Checked): Answer | undefined {
  const served = SERVED[endpoint];
  if (!isStrict('endpoints') || facts === undefined || served === undefined) return undefined;
  if (served.includes(facts.kind)) return undefined;
  if (endpoint === '/v1/embeddings') {
    return refuse('You are not allowed to generate embeddings from this model', { status: 403 });
  }
  if (endpoint === '/v1/chat/completions') {
    return refuse(
      'This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/completions?',
      { status: 404, param: 'model' },
    );
  }
  if (endpoint === '/v1/completions' && facts.kind === 'chat') {
    return refuse(
      'This is a chat model and not supported in the v1/completions endpoint. Did you mean to use v1/chat/completions?',
      { status: 404, param: 'model' },
    );
  }
  // The wording is not known.
  return refuse(`This model is not supported in the ${endpoint.slice(1)} endpoint.`, { param: 'model' });
}

function parameterError({ endpoint, body, facts, isStrict }: Checked): Answer | undefined {
  const known = PARAMETERS[endpoint];
  if (!isStrict('parameters') || known === undefined) return undefined;
  const unknown = Object.keys(body).find((name) => !known.has(name));
  if (unknown !== undefined) return unknownParameter(endpoint, unknown);
  if (endpoint !== '/v1/chat/completions' || facts === undefined) return undefined;
  if (facts.isReasoning && !isNil(body.max_tokens)) {
    return refuse(
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      { param: 'max_tokens', code: 'unsupported_parameter' },
    );
  }
  return !facts.isReasoning && !isNil(body.reasoning_effort)
    ? unknownParameter(endpoint, 'reasoning_effort')
    : undefined;
}

/** Models that take no function tools at chat while they reason, and those that never reason less than `low`. */
const NO_TOOLS_WITH_EFFORT = /^gpt-(?:5\.[4-9]|6)/;
const LOW_EFFORT_OR_MORE = /^gpt-(?:6-astra|6\.1-sol|6\.2-)/;

/** What models of 2026 refuse of `reasoning_effort` (chat) and `reasoning.effort` (responses). */
function effortError({ endpoint, body, model, isStrict }: Checked): Answer | undefined {
  const isChat = endpoint === '/v1/chat/completions';
  const effort = isChat
    ? body.reasoning_effort
    : isObject(body.reasoning)
      ? body.reasoning.effort
      : undefined;
  if (!isStrict('parameters') || typeof effort !== 'string') return undefined;
  const param = isChat ? 'reasoning_effort' : 'reasoning.effort';
  if (LOW_EFFORT_OR_MORE.test(model) && (effort === 'none' || effort === 'minimal')) {
    return refuse(
      `Unsupported value: '${param}' does not support '${effort}' with this model. Supported values are: 'low', 'medium', and 'high'.`,
      { param, code: 'unsupported_value' },
    );
  }
  const hasTools = Array.isArray(body.tools) && body.tools.length > 0;
  if (!isChat || !hasTools || effort === 'none' || !NO_TOOLS_WITH_EFFORT.test(model)) return undefined;
  return refuse(
    `Function tools with reasoning_effort are not supported for ${model} in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'.`,
    { param },
  );
}

/** Two ways of saying so are seen: of the newer endpoint, and of the others. */
const unknownParameter = (endpoint: string, name: string): Answer =>
  endpoint === '/v1/responses'
    ? refuse(`Unknown parameter: '${name}'.`, { param: name, code: 'unknown_parameter' })
    : refuse(`Unrecognized request argument supplied: ${name}`);

function messagesError({ endpoint, body, isStrict }: Checked): Answer | undefined {
  if (endpoint !== '/v1/chat/completions') return undefined;
  const messages = body.messages;
  if (!Array.isArray(messages)) return wrongType('messages', 'an array of objects', messages);
  if (!isStrict('messages')) return undefined;
  if (messages.length === 0) {
    return refuse(
      "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
      { param: 'messages', code: 'empty_array' },
    );
  }
  for (const [index, message] of messages.entries()) {
    if (!isObject(message)) return wrongType(`messages[${index}]`, 'an object', message);
    if (isNil(message.role)) return missingRequired(`messages[${index}].role`);
  }
  return undefined;
}

/** Where an endpoint takes the format of its answer, and what it calls it. */
function formatError({ endpoint, body, isStrict }: Checked): Answer | undefined {
  const isChat = endpoint === '/v1/chat/completions';
  const format = isChat
    ? body.response_format
    : endpoint === '/v1/responses' && isObject(body.text)
      ? body.text.format
      : undefined;
  if (isObject(format) && format.type === 'json_object' && isStrict('json_word')) {
    // Instructions do not count: seen with the Responses API.
    const said = JSON.stringify(isChat ? body.messages : body.input);
    if (!/json/i.test(said)) return jsonWordMissing(isChat);
  }
  if (!isStrict('schemas')) return undefined;
  if (isObject(format) && format.type === 'json_schema') {
    const described = isChat ? format.json_schema : format;
    const holder = isChat ? 'response_format.json_schema' : 'text.format';
    if (!isObject(described)) return missingRequired(holder);
    if (isNil(described.name)) return missingRequired(`${holder}.name`);
    const error = described.strict === true ? strictSchemaError(described.schema) : undefined;
    if (error !== undefined) {
      return refuse(`Invalid schema for response_format '${String(described.name)}': ${error}`, {
        ...(isChat
          ? { param: 'response_format' }
          : { param: 'text.format.schema', code: 'invalid_json_schema' }),
      });
    }
  }
  return toolError(body);
}

const jsonWordMissing = (isChat: boolean): Answer =>
  isChat
    ? refuse(
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        { param: 'messages' },
      )
    : refuse(
        "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
        { param: 'text.format' },
      );

function toolError(body: Body): Answer | undefined {
  const tools = Array.isArray(body.tools) ? body.tools : [];
  for (const [index, tool] of tools.entries()) {
    const described = isObject(tool) && isObject(tool.function) ? tool.function : tool;
    if (!isObject(described) || described.strict !== true) continue;
    const error = strictSchemaError(described.parameters);
    if (error === undefined) continue;
    const param = described === tool ? `tools[${index}].parameters` : `tools[${index}].function.parameters`;
    return refuse(`Invalid schema for function '${String(described.name)}': ${error}`, {
      param,
      code: 'invalid_function_parameters',
    });
  }
  return undefined;
}

/** Seen by users of gpt-4o and others; `line.no_flex` scripts the other ways of saying so. */
function flexError({ body, facts, isStrict }: Checked): Answer | undefined {
  if (body.service_tier !== 'flex' || !isStrict('flex') || (facts?.hasFlex ?? true)) return undefined;
  return refuse('Flex is not available for this model.');
}

/** Stated by openai 7.59.0; the wording is not known. */
function backgroundError({ endpoint, body }: Checked): Answer | undefined {
  if (endpoint !== '/v1/responses' || isNil(body.background_options) || body.background === true)
    return undefined;
  return refuse("'background_options' requires 'background' to be true.", {
    param: 'background_options',
    code: 'unsupported_value',
  });
}

function rangeError({ endpoint, body, model }: Checked): Answer | undefined {
  const temperature = body.temperature;
  if (typeof temperature === 'number' && (temperature < 0 || temperature > 2)) {
    const [side, sign, bound, code] =
      temperature > 2
        ? ['above maximum', '<=', 2, 'decimal_above_max_value']
        : ['below minimum', '>=', 0, 'decimal_below_min_value'];
    return refuse(
      `Invalid 'temperature': decimal ${side} value. Expected a value ${sign} ${bound}, but got ${temperature} instead.`,
      { param: 'temperature', code: String(code) },
    );
  }
  const { context, output } = windowOf(model);
  for (const param of ['max_tokens', 'max_completion_tokens', 'max_output_tokens']) {
    const asked = body[param];
    if (typeof asked === 'number' && asked > output) {
      return refuse(
        `${param} is too large: ${asked}. This model supports at most ${output} completion tokens, whereas you provided ${asked}.`,
        { param },
      );
    }
  }
  const tokens = TEXT_ENDPOINTS.includes(endpoint) ? inputTokens(body) : 0;
  if (tokens <= context) return undefined;
  return refuse(
    `This model's maximum context length is ${context} tokens. However, your messages resulted in ${tokens} tokens. Please reduce the length of the messages.`,
    { param: 'messages', code: 'context_length_exceeded' },
  );
}
