/**
 * Decides whether one line is a request that can be in a batch: the form of an input, which is that of OpenAI's batch
 * files for every provider, and the provider's endpoints and limits. Only what would sink a whole batch is checked:
 * what a model thinks of its parameters is per-request.
 */

import { defined } from '../base/defined.ts';
import { MAX_LINE_BYTES } from '../model/limits.ts';
import { withRequest } from '../model/predicted-output.ts';
import type { EndpointRules, LineRules, SureRefusal } from '../ports/provider-rules.ts';
import { describeBadJson, describeBadUtf8, describeNoObject, hintForMissing, urlMeant } from './mistakes.ts';

/** Why a line is invalid: OpenAI's own codes where it has one, ours for the rest. */
export type InvalidCode =
  | 'invalid_json_line'
  | 'line_too_long'
  | 'missing_required_parameter'
  | 'invalid_type'
  | 'invalid_value'
  | 'invalid_url'
  | 'invalid_request'
  | 'streaming_unsupported'
  | 'too_many_inputs'
  | 'duplicate_custom_id'
  | 'preflight_refused';

export interface InvalidLine {
  valid: false;
  code: InvalidCode;
  message: string;
  /** The field at fault, as OpenAI writes it. */
  param: string | null;
  /** If one could be read. */
  customId?: string;
}

export interface ValidLine {
  valid: true;
  customId: string;
  /** One of the provider's endpoints. */
  url: string;
  model: string;
  /** Embedding inputs; 0 for other endpoints. */
  embeddingInputs: number;
  /** Bytes that the answer's output line may take. */
  predictedOutputBytes: number;
  /** See `EndpointRules.outputLimitOf`. */
  outputLimit: number | undefined;
  /**
   * UTF-8 bytes of all strings in the body, escapes decoded: for the token estimate. Left out are keys, data: URLs, the
   * model, and encoding_format and response_format where they are strings.
   */
  textBytes: number;
  /** The same for its data: URLs, which are not text. */
  dataUrlBytes: number;
  /** What the provider is sure to refuse in it, as far as is known. Absent: nothing. */
  refusal?: SureRefusal | undefined;
}

/** Longer than any model's name, fine-tuned ones included; a batch's record must fit a table item. */
const MAX_MODEL_CHARS = 256;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Why a line is invalid that is too long to be read. */
export function lineTooLong(length: number): InvalidLine {
  return {
    valid: false,
    code: 'line_too_long',
    message: `This line has ${length} bytes; a request may have at most ${MAX_LINE_BYTES}. Pass large files by URL or file id.`,
    param: null,
  };
}

/** Why a line is invalid whose custom_id an earlier line has. */
export function duplicateCustomId(customId: string, firstLine: number): InvalidLine {
  return {
    valid: false,
    code: 'duplicate_custom_id',
    message: `The custom ID for this request is a duplicate of the custom ID in another request (line ${firstLine}). Only the first one is run.`,
    param: 'custom_id',
    customId,
  };
}

/** Why a line is not run that the provider is sure to refuse, where the route says so. */
export function refusedByPreflight({ problem, instead }: SureRefusal, customId: string): InvalidLine {
  const message = `${problem} ${instead} The route says "preflight": "reject".`;
  return { valid: false, code: 'preflight_refused', message, param: 'body', customId };
}

/**
 * Checks one line.
 * @param bytes the line without line end and surrounding blanks.
 * @param rules of the provider that it is to be sent to.
 */
export function checkLine(bytes: Uint8Array, rules: LineRules): ValidLine | InvalidLine {
  const request = readObject(bytes);
  if (typeof request === 'string') return invalid('invalid_json_line', request, null);
  const customId = readCustomId(request);
  if (typeof customId !== 'string') return customId;
  const endpoint = readEndpoint(request, customId, rules);
  if ('valid' in endpoint) return endpoint;
  const { body } = request;
  if (body === undefined) return missing('body', customId);
  if (!isObject(body)) return wrongType('body', 'an object', body, customId);
  const model = readModel(body, customId);
  if (typeof model !== 'string') return model;
  if (body.stream === true) {
    const problem = 'Streaming is not supported in the Batch API.';
    return invalid('streaming_unsupported', problem, 'body.stream', customId);
  }
  const embeddingInputs = endpoint.countInputs?.(body) ?? 0;
  if (embeddingInputs > rules.limits.embeddingInputs) {
    const problem = `This request has ${embeddingInputs} embedding inputs; a whole batch may have at most ${rules.limits.embeddingInputs}.`;
    return invalid('too_many_inputs', problem, 'body.input', customId);
  }
  return {
    valid: true,
    customId,
    url: endpoint.url,
    model,
    embeddingInputs,
    predictedOutputBytes: withRequest(endpoint.predictOutput(body, embeddingInputs), bytes.length),
    outputLimit: endpoint.outputLimitOf(body),
    ...countText(body),
    refusal: rules.preflight.refusalOf(endpoint.url, model, body),
  };
}

/** The JSON object on the line, or a sentence that says why there is none. */
function readObject(bytes: Uint8Array): Record<string, unknown> | string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return describeBadUtf8(bytes);
  }
  let request: unknown;
  try {
    request = JSON.parse(text);
  } catch {
    return describeBadJson(text);
  }
  return isObject(request) ? request : describeNoObject(describe(request), Array.isArray(request));
}

function readCustomId(request: Record<string, unknown>): string | InvalidLine {
  const { custom_id: customId } = request;
  if (customId === undefined) return missing('custom_id', undefined, hintForMissing(request));
  if (typeof customId !== 'string') return wrongType('custom_id', 'a string', customId);
  if (customId === '')
    return invalid('invalid_value', "Invalid value: 'custom_id' is an empty string.", 'custom_id');
  if (customId.isWellFormed()) return customId;
  return invalid('invalid_value', "Invalid value: 'custom_id' holds half of a surrogate pair.", 'custom_id');
}

/** The endpoint that the request's method and URL name. */
function readEndpoint(
  request: Record<string, unknown>,
  customId: string,
  { endpoints }: LineRules,
): EndpointRules | InvalidLine {
  const { method, url } = request;
  if (method === undefined) return missing('method', customId, hintForMissing(request));
  if (method !== 'POST') {
    const problem = `Invalid value: 'method' must be 'POST', but is ${quote(method)}.`;
    return invalid('invalid_value', problem, 'method', customId);
  }
  if (url === undefined) return missing('url', customId);
  const endpoint = typeof url === 'string' ? endpoints.get(url) : undefined;
  if (endpoint !== undefined) return endpoint;
  const served = [...endpoints.keys()].map((known) => `'${known}'`).join(', ');
  const meant = typeof url === 'string' ? urlMeant(url, endpoints.keys()) : undefined;
  const problem =
    `The URL ${quote(url)} is not one that the Batch API serves. ` +
    (meant === undefined ? `Supported values are: ${served}.` : `Did you mean '${meant}'?`);
  return invalid('invalid_url', problem, 'url', customId);
}

function readModel({ model }: Record<string, unknown>, customId: string): string | InvalidLine {
  if (model === undefined || model === null || model === '') {
    return invalid('invalid_request', 'Model parameter is required.', 'body.model', customId);
  }
  if (typeof model !== 'string') return wrongType('body.model', 'a string', model, customId);
  if (model.length > MAX_MODEL_CHARS) {
    const problem = `Invalid value: 'model' has ${model.length} characters; at most ${MAX_MODEL_CHARS} are expected.`;
    return invalid('invalid_value', problem, 'body.model', customId);
  }
  // Keys of table items hold it, and those are UTF-8.
  if (model.isWellFormed()) return model;
  const problem = "Invalid value: 'model' holds half of a surrogate pair.";
  return invalid('invalid_value', problem, 'body.model', customId);
}

/** Fields of the body whose strings are no text of the request's. */
const NOT_TEXT = new Set(['model', 'encoding_format', 'response_format']);

function countText(body: Record<string, unknown>): Pick<ValidLine, 'textBytes' | 'dataUrlBytes'> {
  const counted = { textBytes: 0, dataUrlBytes: 0 };
  // A stack of our own: JSON.parse takes values that are nested deeper than calls can be.
  const values: unknown[] = Object.entries(body)
    .filter(([key, value]) => typeof value !== 'string' || !NOT_TEXT.has(key))
    .map(([, value]) => value);
  for (let value = values.pop(); value !== undefined; value = values.pop()) {
    if (typeof value === 'string')
      counted[value.startsWith('data:') ? 'dataUrlBytes' : 'textBytes'] += Buffer.byteLength(value);
    else if (typeof value === 'object' && value !== null) {
      for (const inner of Object.values(value)) values.push(inner);
    }
  }
  return counted;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(code: InvalidCode, message: string, param: string | null, customId?: string): InvalidLine {
  return defined({ valid: false, code, message, param, customId });
}

/** @param hint what the line looks like instead. */
function missing(param: string, customId?: string, hint?: string): InvalidLine {
  const message = `Missing required parameter: '${param}'.${hint === undefined ? '' : ` ${hint}`}`;
  return invalid('missing_required_parameter', message, param, customId);
}

function wrongType(param: string, expected: string, value: unknown, customId?: string): InvalidLine {
  return invalid(
    'invalid_type',
    `Invalid type for '${param}': expected ${expected}, but got ${describe(value)} instead.`,
    param,
    customId,
  );
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** A short, safe rendering: methods and URLs are not content, but a line may hold anything there. */
function quote(value: unknown): string {
  return typeof value === 'string' && value.length <= 64 ? `'${value}'` : describe(value);
}
