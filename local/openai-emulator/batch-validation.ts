import { open } from 'node:fs/promises';
import { BATCH_ENDPOINTS } from './answers.ts';
import { invalidType, invalidValue, missingParameter, refusal, typeInWords } from './api-error.ts';
import type { BatchError } from './batch-lifecycle.ts';
import { isObject, parseLine, readLines } from './json-lines.ts';
import type { Store } from './store.ts';
import { embeddingInputs, inputTokens } from './tokens.ts';

/** The body of `POST /v1/batches` after its synchronous checks. */
export type CreateParams = {
  input_file_id: string;
  endpoint: string;
  completion_window: string;
  metadata: Record<string, string> | null;
  output_expires_after: { anchor: string; seconds: number } | null;
};

/** The endpoints that the real message lists, whatever else is supported (as seen in practice). */
const ENDPOINTS_IN_MESSAGE = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses'];

/** openai 7.55.0, resources/shared.ts: Metadata. */
const METADATA_MAX = { pairs: 16, keyChars: 64, valueChars: 512 };

/** Bounds of expires_after and output_expires_after in seconds: one hour to thirty days (openai 7.55.0). */
const EXPIRY_SECONDS = { min: 3_600, max: 2_592_000 };

/**
 * The synchronous checks of `POST /v1/batches`, which look at nothing but the request itself.
 * @throws ApiError 400
 */
export function checkCreateParams(body: Record<string, unknown>): CreateParams {
  const text = (name: string): string => {
    const value = body[name];
    if (value === undefined || value === null) throw missingParameter(name);
    if (typeof value !== 'string') throw invalidType(name, 'a string', value);
    return value;
  };
  const input_file_id = text('input_file_id');
  const endpoint = text('endpoint');
  if (!BATCH_ENDPOINTS.includes(endpoint)) throw invalidValue('endpoint', endpoint, ENDPOINTS_IN_MESSAGE);
  const completion_window = text('completion_window');
  if (completion_window !== '24h') throw invalidValue('completion_window', completion_window, ['24h']);
  return {
    input_file_id,
    endpoint,
    completion_window,
    metadata: checkMetadata(body.metadata),
    output_expires_after: checkExpiresAfter('output_expires_after', body.output_expires_after),
  };
}

/** Checks `metadata`. @throws ApiError 400 */
export function checkMetadata(metadata: unknown): Record<string, string> | null {
  if (metadata === undefined || metadata === null) return null;
  if (!isObject(metadata)) throw invalidType('metadata', 'an object', metadata);
  const pairs = Object.entries(metadata);
  if (pairs.length > METADATA_MAX.pairs) {
    throw refusal(
      400,
      `Invalid 'metadata': too many properties. Expected an object with at most ${METADATA_MAX.pairs} properties, but got an object with ${pairs.length} properties instead.`,
      { param: 'metadata', code: 'object_above_max_properties' },
    );
  }
  for (const [key, value] of pairs) {
    const param = `metadata.${key}`;
    if (typeof value !== 'string') throw invalidType(param, 'a string', value);
    if ([...key].length > METADATA_MAX.keyChars)
      throw tooLong('metadata', METADATA_MAX.keyChars, [...key].length);
    if ([...value].length > METADATA_MAX.valueChars) {
      throw tooLong(param, METADATA_MAX.valueChars, [...value].length);
    }
  }
  return metadata as Record<string, string>;
}

const tooLong = (param: string, max: number, got: number) =>
  refusal(
    400,
    `Invalid '${param}': string too long. Expected a string with maximum length ${max}, but got a string with length ${got} instead.`,
    { param, code: 'string_above_max_length' },
  );

/** Checks `expires_after` and `output_expires_after`. @throws ApiError 400 */
export function checkExpiresAfter(name: string, value: unknown): { anchor: string; seconds: number } | null {
  if (value === undefined || value === null) return null;
  if (!isObject(value)) throw invalidType(name, 'an object', value);
  const { anchor, seconds } = value;
  if (anchor === undefined) throw missingParameter(`${name}.anchor`);
  if (anchor !== 'created_at') throw invalidValue(`${name}.anchor`, String(anchor), ['created_at']);
  if (seconds === undefined) throw missingParameter(`${name}.seconds`);
  if (typeof seconds !== 'number' || !Number.isInteger(seconds)) {
    throw invalidType(`${name}.seconds`, 'an integer', seconds);
  }
  return {
    anchor,
    seconds: checkInteger(`${name}.seconds`, seconds, EXPIRY_SECONDS.min, EXPIRY_SECONDS.max),
  };
}

/** An integer within bounds. @throws ApiError 400 */
export function checkInteger(param: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value)) throw invalidType(param, 'an integer', value);
  if (value >= min && value <= max) return value;
  const [side, sign, bound, code] =
    value > max
      ? ['above maximum', '<=', max, 'integer_above_max_value']
      : ['below minimum', '>=', min, 'integer_below_min_value'];
  throw refusal(
    400,
    `Invalid '${param}': integer ${side} value. Expected a value ${sign} ${bound}, but got ${value} instead.`,
    {
      param,
      code,
    },
  );
}

/** What a valid input file amounts to. */
type InputSummary = { total: number; model: string | null; inputTokens: number };

/** The outcome of validation: what the file holds, or why the batch fails. */
export type Validation = { ok: true; summary: InputSummary } | { ok: false; errors: BatchError[] };

/** The bounds that validation applies. */
export type InputLimits = {
  requestsPerBatch: number;
  embeddingInputs: number;
  /** At most this many errors are reported. */
  errorsReported: number;
};

/**
 * The asynchronous checks as seen in practice: each line's envelope, its first error only; several lines'
 * errors are all reported. Streams the file; memory holds the custom_ids.
 * @param path the input file
 * @param endpoint of the batch
 * @param isKnownModel whether a model can be used in a batch
 */
export async function validateInput(
  path: string,
  endpoint: string,
  limits: InputLimits,
  isKnownModel: (model: string) => boolean,
): Promise<Validation> {
  const errors: BatchError[] = [];
  const seen = new Set<string>();
  const summary: InputSummary = { total: 0, model: null, inputTokens: 0 };
  let embedded = 0;
  for await (const lines of readLines(path)) {
    for (const line of lines) {
      summary.total += 1;
      if (errors.length >= limits.errorsReported) return { ok: false, errors };
      const parsed = parseLine(line.bytes);
      const error = lineError(parsed?.value, endpoint, seen, summary, isKnownModel);
      if (error !== undefined) {
        errors.push({ ...error, line: line.number });
        continue;
      }
      const body = (parsed!.value as { body: Record<string, unknown> }).body;
      summary.inputTokens += inputTokens(body);
      if (endpoint === '/v1/embeddings') embedded += embeddingInputs(body);
    }
  }
  // Neither wording is known; the code is Azure's (inferred).
  if (summary.total > limits.requestsPerBatch) {
    errors.unshift(
      fileError(`The batch exceeds the limit of ${limits.requestsPerBatch} requests: ${summary.total}.`),
    );
  } else if (embedded > limits.embeddingInputs) {
    errors.unshift(
      fileError(`The batch exceeds the limit of ${limits.embeddingInputs} embedding inputs: ${embedded}.`),
    );
  }
  return errors.length > 0
    ? { ok: false, errors: errors.slice(0, limits.errorsReported) }
    : { ok: true, summary };
}

const fileError = (message: string): BatchError => ({
  code: 'too_many_tasks',
  message,
  param: null,
  line: null,
});

type LineError = Omit<BatchError, 'line'>;

function lineError(
  value: unknown,
  endpoint: string,
  seen: Set<string>,
  summary: InputSummary,
  isKnownModel: (model: string) => boolean,
): LineError | undefined {
  if (!isObject(value)) {
    return { code: 'invalid_json_line', message: 'This line is not parseable as valid JSON.', param: null };
  }
  const { custom_id, method, url, body } = value;
  if (custom_id === undefined || custom_id === null) return missing('custom_id');
  if (typeof custom_id !== 'string') return wrongType('custom_id', 'a string', custom_id);
  if (seen.has(custom_id)) {
    return {
      code: 'duplicate_custom_id',
      message: 'The custom ID for this request is a duplicate of the custom ID in another request.',
      param: 'custom_id',
    };
  }
  seen.add(custom_id);
  if (method === undefined || method === null) return missing('method');
  if (method !== 'POST') {
    return {
      code: 'invalid_value',
      message: `Invalid value: '${method}'. Value must be 'POST'.`,
      param: 'method',
    };
  }
  if (url === undefined || url === null) return missing('url');
  if (body === undefined || body === null) return missing('body');
  if (!isObject(body)) return wrongType('body', 'an object', body);
  if (url !== endpoint) {
    return {
      code: 'invalid_url',
      message: 'The URL provided for this request does not match the batch endpoint.',
      param: 'url',
    };
  }
  return bodyError(body, endpoint, summary, isKnownModel);
}

function bodyError(
  body: Record<string, unknown>,
  endpoint: string,
  summary: InputSummary,
  isKnownModel: (model: string) => boolean,
): LineError | undefined {
  const model = body.model ?? (endpoint === '/v1/moderations' ? 'omni-moderation-latest' : undefined);
  if (typeof model !== 'string' || model === '') return required('Model', 'body.model');
  if (!isKnownModel(model)) {
    return {
      code: 'model_not_found',
      message: `The provided model '${model}' is not supported by the Batch API.`,
      param: 'body.model',
    };
  }
  summary.model ??= model;
  if (model !== summary.model) {
    // The wording is not known.
    return {
      code: 'mismatched_model',
      message: `The provided model '${model}' does not match the model '${summary.model}' of the other requests in this batch.`,
      param: 'body.model',
    };
  }
  if (body.stream === true) {
    return {
      code: 'streaming_unsupported',
      message: `${endpoint === '/v1/responses' ? 'Responses' : 'Chat Completions'}: Streaming is not supported in the Batch API.`,
      param: 'body.stream',
    };
  }
  const content = CONTENT[endpoint] ?? ['Prompt', 'prompt'];
  const given = body[content[1]];
  return given === undefined || given === null ? required(content[0], `body.${content[1]}`) : undefined;
}

const CONTENT: Readonly<Record<string, readonly [string, string]>> = {
  '/v1/chat/completions': ['Messages', 'messages'],
  '/v1/responses': ['Input', 'input'],
  '/v1/embeddings': ['Input', 'input'],
  '/v1/moderations': ['Input', 'input'],
};

const missing = (param: string): LineError => ({
  code: 'missing_required_parameter',
  message: `Missing required parameter: '${param}'.`,
  param,
});

const required = (name: string, param: string): LineError => ({
  code: 'invalid_request',
  message: `${name} parameter is required.`,
  param,
});

const wrongType = (param: string, expected: string, got: unknown): LineError => ({
  code: 'invalid_type',
  message: `Invalid type for '${param}': expected ${expected}, but got ${typeInWords(got)} instead.`,
  param,
});

const PEEK_BYTES = 1_048_576;

/** The model of the first line, which fault rules can match before the batch is validated. */
export async function firstModel(store: Store, fileId: string): Promise<string | null> {
  if (!store.files.has(fileId)) return null;
  const handle = await open(store.filePath(fileId), 'r');
  try {
    const head = Buffer.alloc(PEEK_BYTES);
    const { bytesRead } = await handle.read(head, 0, PEEK_BYTES, 0);
    const end = head.subarray(0, bytesRead).indexOf(0x0a);
    const value = parseLine(head.subarray(0, end === -1 ? bytesRead : end))?.value;
    const model = isObject(value) && isObject(value.body) ? value.body.model : undefined;
    return typeof model === 'string' ? model : null;
  } finally {
    await handle.close();
  }
}
