import { errorObject } from './api-error.ts';
import type { Answer } from './exchange.ts';

/** Where real answers come from: any server with OpenAI's synchronous endpoints. */
export type UpstreamOptions = {
  /** Its base URL, such as `http://127.0.0.1:11434/v1`. */
  baseURL: string;
  /** Its key; default none. */
  apiKey?: string;
  /** Requests at a time; default 4. */
  concurrency?: number;
};

/** Requests at a time when the caller does not say. */
export const DEFAULT_CONCURRENCY = 4;

/**
 * Sends one request upstream. What cannot be reached or understood becomes a 503 answer, as a line of a real batch
 * would show it.
 * @param endpoint such as `/v1/chat/completions`
 * @param signal stops the request
 */
export async function askUpstream(
  upstream: UpstreamOptions,
  endpoint: string,
  body: Record<string, unknown>,
  signal: AbortSignal,
): Promise<Answer> {
  try {
    const response = await fetch(`${upstream.baseURL.replace(/\/$/, '')}${endpoint.replace(/^\/v1/, '')}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(upstream.apiKey === undefined ? {} : { authorization: `Bearer ${upstream.apiKey}` }),
      },
      body: JSON.stringify(body),
      signal,
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  } catch (error) {
    signal.throwIfAborted();
    const message = `The emulator's upstream ${upstream.baseURL} did not answer: ${(error as Error).message}`;
    return {
      status: 503,
      body: { error: errorObject(message, { type: 'server_error', code: 'server_error' }) },
    };
  }
}
