/** Errors of calls to OpenAI, free of content and keys. */
import { APIConnectionError, APIConnectionTimeoutError, APIError, OpenAIError } from 'openai';
import { BatchdropError, KeyUnusableError, type RefusalTopic } from '../../core/base/errors.ts';
import { topicOf } from './refusals.ts';

/** Answers by which OpenAI says that it made nothing. 408 and 409 leave it open, as does everything else. */
const REFUSING_STATUSES: ReadonlySet<number> = new Set([400, 401, 403, 404, 413, 422, 429]);

const MAX_MESSAGE_CHARS = 300;
/** A code is recorded with what it kept from being sent, and a record has room for 400 KB (DynamoDB). OpenAI's have some 40 characters. */
const MAX_CODE_CHARS = 200;

/** A call to OpenAI that failed, free of content and keys. Try the step again. */
export class OpenAIRequestError extends BatchdropError {
  /** HTTP status; absent if there was no answer. */
  readonly status: number | undefined;
  /** OpenAI's error code, or the system's (such as `ECONNRESET`). */
  readonly code: string | undefined;
  /** What OpenAI's words say that it is about. */
  readonly topic: RefusalTopic | undefined;

  constructor(message: string, status?: number, code?: string, topic?: RefusalTopic) {
    super(message);
    this.status = status;
    this.code = code;
    this.topic = topic;
  }
}

/** Whether OpenAI says that it made nothing. */
export function isRefusal(error: unknown): error is OpenAIRequestError & { status: number } {
  return error instanceof OpenAIRequestError && REFUSING_STATUSES.has(error.status ?? 0);
}

/** Whether OpenAI does not know what was asked for. */
export function isNotFound(error: unknown): boolean {
  return error instanceof APIError && error.status === 404;
}

/** Whether the API key is refused. */
export function isUnauthorized(error: unknown): boolean {
  return error instanceof APIError && error.status === 401;
}

/** Whether the API key is good, and may not do this. */
export function isForbidden(error: unknown): boolean {
  return error instanceof APIError && error.status === 403;
}

/** The error of any call; what a function threw that the client called is given as it was thrown. */
export function toRequestError(action: string, error: unknown): Error {
  if (error instanceof BatchdropError) return error;
  // A function that fetches the API key failed: the client wraps what it threw.
  if (error instanceof OpenAIError && error.cause instanceof BatchdropError) return error.cause;
  if (error instanceof APIConnectionTimeoutError) {
    return new OpenAIRequestError(`${action} timed out: unknown whether OpenAI acted on it`);
  }
  if (error instanceof APIConnectionError) {
    const code = systemCodeOf(error);
    return new OpenAIRequestError(
      `${action} got no answer (${code ?? 'no code'}): unknown whether OpenAI acted on it`,
      undefined,
      code,
    );
  }
  if (error instanceof APIError) {
    // Compatible services give numbers, too.
    const code = `${error.code ?? ''}`.slice(0, MAX_CODE_CHARS) || undefined;
    return new OpenAIRequestError(
      [
        `${action} was answered ${error.status}`,
        ...(code === undefined ? [] : [` ${code}`]),
        `: ${publicMessageOf(error)}`,
        ...(error.requestID ? [` (request ${error.requestID})`] : []),
      ].join(''),
      error.status,
      code,
      topicOf(action, error.message),
    );
  }
  return new OpenAIRequestError(`${action} failed: ${error instanceof Error ? error.name : 'unknown error'}`);
}

/**
 * The error of a call that asks for one batch or file.
 * @returns {@link KeyUnusableError} if no key is accepted: what was paid for waits for one, for as long as it takes.
 */
export function toReadError(action: string, error: unknown): Error {
  const failure = toRequestError(action, error);
  return isUnauthorized(error) ? new KeyUnusableError(failure.message) : failure;
}

/** OpenAI's message if it may be logged: it may quote what was sent, and a 401 quotes the key in part. */
function publicMessageOf(error: APIError): string {
  const said = (error.error as { message?: unknown } | undefined)?.message;
  if (typeof said !== 'string') return 'no message';
  if (/[{}"]/.test(said)) return 'message withheld, it may quote the request';
  return said.replaceAll(/\bsk-\S+/g, 'sk-…').slice(0, MAX_MESSAGE_CHARS);
}

/** The code of the error, or of what caused it: `fetch` hides it one or two levels down. */
export function systemCodeOf(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as { code?: unknown };
    if (typeof code === 'string') return code;
  }
  return undefined;
}
