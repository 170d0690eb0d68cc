/** {@link CallApi} on the official `openai` client. */
import type OpenAI from 'openai';
import { APIConnectionError, APIError, OpenAIError } from 'openai';
import { BatchdropError, CallUnansweredError } from '../../core/base/errors.ts';
import type { CallAnswer, CallApi } from '../../core/ports/provider.ts';
import { NOT_CONNECTED, patientFetch } from './patient-fetch.ts';
import { systemCodeOf } from './request-error.ts';

/** What a system says that could not even connect: nothing was sent. */
const NEVER_CONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  NOT_CONNECTED,
]);

export class OpenAICalls implements CallApi {
  readonly #client: OpenAI;

  constructor(client: OpenAI) {
    this.#client = client.withOptions({ fetch: patientFetch });
  }

  /** @throws {ApiKeyMissingError} if there is no key to call with. */
  async call({
    endpoint,
    body,
    timeoutMs,
  }: {
    endpoint: string;
    body: string;
    timeoutMs: number;
  }): Promise<CallAnswer> {
    // The client's own timeout ends with the headers; this one holds for the body, too.
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      const response = await this.#client
        .post<unknown>(endpoint.replace(/^\/v1/, ''), {
          body,
          headers: { 'content-type': 'application/json' },
          maxRetries: 0,
          timeout: timeoutMs,
          signal,
        })
        .asResponse();
      return { status: response.status, ...fromHeaders(response.headers), body: await response.text() };
    } catch (error) {
      if (error instanceof BatchdropError) throw error;
      if (error instanceof OpenAIError && error.cause instanceof BatchdropError) throw error.cause;
      if (error instanceof APIError && error.status !== undefined) {
        // The client has parsed the body and keeps the value of `error`.
        const stated = error.error ?? { message: 'An answer that is no JSON.', code: null };
        return {
          status: error.status,
          ...fromHeaders(error.headers ?? new Headers()),
          body: JSON.stringify({ error: stated }),
        };
      }
      const code = error instanceof APIConnectionError ? systemCodeOf(error) : undefined;
      throw new CallUnansweredError(
        `POST ${endpoint} got no answer (${code ?? (error as Error).name})`,
        code === undefined || !NEVER_CONNECTED.has(code),
      );
    }
  }
}

/** Source of the names: OpenAI guide "Rate limits", "Rate limits in headers". */
function fromHeaders(headers: Headers): Omit<CallAnswer, 'status' | 'body'> {
  return {
    requestId: headers.get('x-request-id') ?? undefined,
    requestsPerMinute: numberIn(headers, 'x-ratelimit-limit-requests'),
    tokensPerMinute: numberIn(headers, 'x-ratelimit-limit-tokens'),
    retryAfterMs: retryAfterOf(headers),
  };
}

/** `retry-after-ms`, which OpenAI sends too, is finer than `retry-after` in seconds. A date is left aside. */
function retryAfterOf(headers: Headers): number | undefined {
  const ms = numberIn(headers, 'retry-after-ms');
  if (ms !== undefined) return ms;
  const seconds = numberIn(headers, 'retry-after');
  return seconds === undefined ? undefined : seconds * 1_000;
}

function numberIn(headers: Headers, name: string): number | undefined {
  const text = headers.get(name);
  const value = Number(text);
  return text === null || text === '' || !Number.isFinite(value) || value <= 0 ? undefined : value;
}
