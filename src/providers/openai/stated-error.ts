/** What an error of a result says, in whatever shape a service writes it. */
import { asObject, isText } from '../../core/base/json-value.ts';

/** An error that says something. */
export interface StatedError {
  /** Its `code` as text. */
  code?: string | undefined;
  /** Its `type`. */
  type?: string | undefined;
  /** The HTTP status that it names, or that its code or type has where there is one. */
  status?: number;
  /** The parameter that it is about. */
  param?: unknown;
  message?: string | undefined;
}

/**
 * HTTP statuses of the codes and types that are worth another try, or that an operator must see. Sources: OpenAI guide
 * "Error codes"; openai 7.55.0 `ResponseError.code`; guide "Flex processing" (`resource_unavailable`). `api_error`,
 * `overloaded_error`, `timeout_error` and `authentication_error` are Anthropic's names, which gateways pass on (API
 * reference "Errors").
 */
const STATUS_OF: ReadonlyMap<string, number> = new Map([
  ['rate_limit_exceeded', 429],
  ['rate_limit_error', 429],
  ['too_many_requests', 429],
  ['resource_unavailable', 429],
  // Types of OpenAI's rate limits: which limit was met.
  ['requests', 429],
  ['tokens', 429],
  ['server_error', 500],
  ['internal_error', 500],
  ['internal_server_error', 500],
  ['api_error', 500],
  ['bad_gateway', 502],
  ['service_unavailable', 503],
  ['service_unavailable_error', 503],
  ['overloaded', 503],
  ['overloaded_error', 503],
  ['engine_overloaded', 503],
  ['slow_down', 503],
  ['timeout', 504],
  ['timeout_error', 504],
  ['gateway_timeout', 504],
  ['vector_store_timeout', 504],
  ['authentication_error', 401],
]);

/**
 * Reads an error: an object, text, a number, or a list of them.
 * @param depth how many lists it is in.
 * @returns `undefined` if it says nothing: absent, `null`, `false`, 0, blank text, or made of nothing else, as some
 * services write beside every answer.
 */
export function statedIn(value: unknown, depth = 0): StatedError | undefined {
  if (depth > MAX_DEPTH) return {};
  if (isBlank(value)) return undefined;
  if (typeof value === 'number') return withStatus({ code: String(value) });
  if (typeof value === 'string') return { message: value };
  if (Array.isArray(value))
    return statedIn(
      value.find((item) => !isBlank(item)),
      depth + 1,
    );
  const error = asObject(value);
  if (error === undefined) return {};
  const code = codeIn(error.code);
  const { param } = error;
  return withStatus(
    {
      code,
      type: isText(error.type) ? error.type : undefined,
      message: isText(error.message) ? error.message : undefined,
      param: isBlank(param) ? undefined : param,
    },
    statusIn(error.status_code) ?? statusIn(error.status),
  );
}

function withStatus(error: StatedError, named?: number): StatedError {
  const status =
    statusIn(error.code) ?? named ?? STATUS_OF.get(error.code ?? '') ?? STATUS_OF.get(error.type ?? '');
  return status === undefined ? error : { ...error, status };
}

function codeIn(code: unknown): string | undefined {
  if (isText(code)) return code;
  return typeof code === 'number' && code !== 0 ? String(code) : undefined;
}

/** A status of an error, as a number or as its digits. */
function statusIn(value: unknown): number | undefined {
  const status = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value;
  return typeof status === 'number' && Number.isInteger(status) && status >= 400 && status <= 599
    ? status
    : undefined;
}

/** No error is nested more deeply; what is, says something. */
const MAX_DEPTH = 8;

function isBlank(value: unknown, depth = 0): boolean {
  if (typeof value === 'object' && value !== null)
    return depth < MAX_DEPTH && Object.values(value).every((inner) => isBlank(inner, depth + 1));
  if (typeof value === 'string') return !isText(value);
  return value === undefined || value === null || value === false || value === 0;
}
