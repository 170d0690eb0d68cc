/** The `error` object of every refusal. */
export type ErrorObject = {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
};

/** A refusal that a handler throws and the server writes as status and JSON body. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly body: { error: ErrorObject; detail?: unknown };

  constructor(status: number, body: { error: ErrorObject; detail?: unknown }) {
    super(body.error.message);
    this.status = status;
    this.body = body;
  }
}

type Rest = { param?: string | null; code?: string | null; type?: string };

/** An error object with the two fields that are nearly always null. */
export function errorObject(message: string, rest: Rest = {}): ErrorObject {
  return {
    message,
    type: rest.type ?? 'invalid_request_error',
    param: rest.param ?? null,
    code: rest.code ?? null,
  };
}

/** A refusal of the common kind: type `invalid_request_error`, `param` and `code` null unless given. */
export function refusal(status: number, message: string, rest: Rest = {}): ApiError {
  return new ApiError(status, { error: errorObject(message, rest) });
}

/** 429 `rate_limit_exceeded`; `type` names what there was too much of. */
export const rateLimited = (message: string, type = 'requests'): ApiError =>
  refusal(429, message, { type, code: 'rate_limit_exceeded' });

/** `Missing required parameter: 'x'.` */
export const missingParameter = (param: string): ApiError =>
  refusal(400, `Missing required parameter: '${param}'.`, { param, code: 'missing_required_parameter' });

/** `Invalid type for 'x': expected a string, but got an array instead.` */
export const invalidType = (param: string, expected: string, got: unknown): ApiError =>
  refusal(400, `Invalid type for '${param}': expected ${expected}, but got ${typeInWords(got)} instead.`, {
    param,
    code: 'invalid_type',
  });

/** `Invalid value: 'x'. Supported values are: 'a', 'b', and 'c'.` */
export const invalidValue = (param: string, value: string, supported: readonly string[]): ApiError =>
  refusal(400, `Invalid value: '${value}'. Supported values are: ${listInWords(supported)}.`, {
    param,
    code: 'invalid_value',
  });

/** The API's name for the type of a JSON value: `an array`, `an integer`, `null`, ... */
export function typeInWords(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'an array';
  switch (typeof value) {
    case 'string':
      return 'a string';
    case 'boolean':
      return 'a boolean';
    case 'number':
      return Number.isInteger(value) ? 'an integer' : 'a decimal';
    default:
      return 'an object';
  }
}

function listInWords(values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  if (quoted.length < 3) return quoted.join(' and ');
  return `${quoted.slice(0, -1).join(', ')}, and ${quoted.at(-1)}`;
}
