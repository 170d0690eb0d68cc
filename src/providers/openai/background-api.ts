/**
 * {@link BackgroundApi} on the official `openai` client. Source: guide "Background mode" and openai 7.59.0
 * `resources/responses/responses.ts` (2026-11). Not tried against the real service.
 */
import type OpenAI from 'openai';
import * as z from 'zod';
import type { ApiKeys } from '../../adapters/api-key.ts';
import { CallUnansweredError } from '../../core/base/errors.ts';
import { asObject, type JsonObject } from '../../core/base/json-value.ts';
import { type Begun, RESPONSE_STATUSES, type ResponseStatus } from '../../core/model/response-status.ts';
import type { BackgroundApi, BackgroundResponse, CreateAnswer } from '../../core/ports/provider.ts';
import { OpenAICalls } from './call-api.ts';
import { KeyedClient } from './keyed-client.ts';
import { isNotFound, OpenAIRequestError, toReadError, toRequestError } from './request-error.ts';
import { usageOf } from './usage.ts';

/** How long one look at a response may take, repeats by the client included. */
const LOOK_MS = 60_000;

/** What is needed of a response; everything else stays in its text. */
const responseSchema = z.looseObject({
  id: z.string().min(1),
  status: z.string(),
  output: z.array(z.unknown()).nullish(),
  metadata: z.unknown().optional(),
});

const KNOWN: ReadonlySet<string> = new Set(RESPONSE_STATUSES);

/** Answers other than these leave open whether something was made: see request-error.ts. */
function isRefused(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 409;
}

export class OpenAIBackground implements BackgroundApi {
  readonly #client: KeyedClient;

  /** @param keys default: the client's own key, the only one there is. */
  constructor(client: OpenAI, keys?: ApiKeys) {
    this.#client = new KeyedClient(client, keys);
  }

  async create(request: { endpoint: string; body: string; timeoutMs: number }): Promise<CreateAnswer> {
    const { client, keyVersion } = await this.#client.current();
    const answer = await new OpenAICalls(client).call(request);
    const { status, body, requestId } = answer;
    if (isRefused(status)) return answer;
    const response = status >= 200 && status < 300 ? readResponse(body, requestId) : undefined;
    if (response === undefined)
      throw new CallUnansweredError(
        `POST ${request.endpoint} was answered ${status} without a response that can be read`,
        true,
      );
    return { ...answer, response: { ...response, keyVersion } };
  }

  get(id: string, keyVersion?: string): Promise<BackgroundResponse | undefined> {
    return this.#read(`GET /responses/${id}`, keyVersion, (client, options) =>
      client.responses.retrieve(id, {}, options).asResponse(),
    );
  }

  cancel(id: string, keyVersion?: string): Promise<BackgroundResponse | undefined> {
    return this.#read(`POST /responses/${id}/cancel`, keyVersion, (client, options) =>
      client.responses.cancel(id, options).asResponse(),
    );
  }

  async remove(id: string, keyVersion?: string): Promise<void> {
    try {
      await this.#client.callFirst(keyVersion, (client) => client.responses.delete(id, looking()));
    } catch (error) {
      if (!isNotFound(error)) throw toRequestError(`DELETE /responses/${id}`, error);
    }
  }

  async #read(
    action: string,
    keyVersion: string | undefined,
    ask: (client: OpenAI, options: OpenAI.RequestOptions) => Promise<Response>,
  ): Promise<BackgroundResponse | undefined> {
    try {
      const { text, requestId, usedVersion } = await this.#client.callFirst(
        keyVersion,
        async (client, usedVersion) => {
          const answer = await ask(client, looking());
          const requestId = answer.headers.get('x-request-id') ?? undefined;
          return { text: await answer.text(), requestId, usedVersion };
        },
      );
      const response = readResponse(text, requestId);
      if (response !== undefined) return { ...response, keyVersion: usedVersion };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw toReadError(action, error);
    }
    throw new OpenAIRequestError(`${action} was answered with something that is no response`);
  }
}

function looking(): OpenAI.RequestOptions {
  return { signal: AbortSignal.timeout(LOOK_MS) };
}

/** `undefined` if it is none. */
function readResponse(body: string, requestId: string | undefined): BackgroundResponse | undefined {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return undefined;
  }
  const parsed = responseSchema.safeParse(json);
  if (!parsed.success) return undefined;
  const { id, status: raw, output, metadata } = parsed.data;
  const isStatusKnown = KNOWN.has(raw);
  const status = isStatusKnown ? (raw as ResponseStatus) : 'in_progress';
  const begun = begunOf(status, json as JsonObject, (output ?? []).length > 0);
  return { id, status, isStatusKnown, begun, requestId, body, metadata };
}

/**
 * One that was cancelled has not begun if its usage says in numbers that nothing was used. Whether OpenAI says so is not
 * established; before there is any, `usage` is null.
 */
function begunOf(status: ResponseStatus, response: JsonObject, hasOutput: boolean): Begun {
  if (status !== 'cancelled') return status === 'queued' ? 'no' : 'yes';
  const { inputTokens, outputTokens } = usageOf(response);
  if (hasOutput || inputTokens + outputTokens > 0) return 'yes';
  const usage = asObject(response.usage);
  return usage?.input_tokens === 0 && usage.output_tokens === 0 ? 'no' : 'unsaid';
}
