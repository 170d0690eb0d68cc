/** Responses in the background over a real connection and the official client: what each answer means. */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import type { ApiKeys } from '../../../../src/adapters/api-key.ts';
import { CallUnansweredError, KeyUnusableError } from '../../../../src/core/base/errors.ts';
import { OpenAIBackground } from '../../../../src/providers/openai/background-api.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

const REQUEST = { endpoint: '/v1/responses', body: '{"n":1.0}', timeoutMs: 60_000 };

async function apiOn(listener: RequestListener, keys?: ApiKeys): Promise<OpenAIBackground> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const baseURL = `http://127.0.0.1:${port}/v1`;
  const client = new OpenAI({ apiKey: 'sk-test', baseURL, logLevel: 'off', maxRetries: 1 });
  return new OpenAIBackground(client, keys);
}

/** Answers every request with one status and body. */
const answering = (status: number, body: unknown): Promise<OpenAIBackground> =>
  apiOn((request, response) => {
    request.resume();
    response.writeHead(status, { 'x-request-id': 'req_1', 'content-type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });

const responseOf = (members: object = {}) => ({
  id: 'resp_1',
  object: 'response',
  status: 'queued',
  ...members,
});

describe('a create', () => {
  it('gives the response that was made, and its body as it came', async () => {
    const body = '{"id":"resp_1","status":"queued","metadata":{"a":"b"},"seed":9007199254740993}';
    const { status, response } = await (await answering(200, body)).create(REQUEST);
    expect(status).toBe(200);
    expect(response).toEqual({
      id: 'resp_1',
      status: 'queued',
      isStatusKnown: true,
      begun: 'no',
      requestId: 'req_1',
      body,
      metadata: { a: 'b' },
    });
  });

  it('that is refused gives the refusal and no response', async () => {
    const error = { message: 'no', code: 'invalid_value' };
    const answer = await (await answering(400, { error })).create(REQUEST);
    expect(answer).toMatchObject({ status: 400, body: JSON.stringify({ error }) });
    expect(answer.response).toBeUndefined();
  });

  it.each([
    [500, { error: { message: 'oops' } }],
    [503, { error: { message: 'busy' } }],
    [408, {}],
    [409, {}],
    [307, ''],
    [200, 'no JSON'],
    [200, { status: 'queued' }],
  ])(
    'answered %i with %j leaves open whether a response was made, and is sent once',
    async (status, body) => {
      let requests = 0;
      const api = await apiOn((request, response) => {
        requests++;
        request.resume();
        response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
      });
      await expect(api.create(REQUEST)).rejects.toMatchObject({ mayBeCharged: true });
      expect(requests).toBe(1);
    },
  );

  it('that could not even connect made nothing', async () => {
    const api = await answering(200, {});
    server!.close();
    const error = await api.create(REQUEST).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(CallUnansweredError);
    expect(error).toMatchObject({ mayBeCharged: false });
  });
});

describe('a look', () => {
  it.each([
    ['queued', {}, 'queued', 'no'],
    ['in_progress', {}, 'in_progress', 'yes'],
    ['completed', {}, 'completed', 'yes'],
    ['incomplete', {}, 'incomplete', 'yes'],
    ['failed', {}, 'failed', 'yes'],
    ['cancelled', {}, 'cancelled', 'unsaid'],
    ['cancelled', { usage: null }, 'cancelled', 'unsaid'],
    ['cancelled', { usage: {} }, 'cancelled', 'unsaid'],
    ['cancelled', { usage: { input_tokens: 0, output_tokens: 0 } }, 'cancelled', 'no'],
    ['cancelled', { output: [{ type: 'message' }] }, 'cancelled', 'yes'],
    ['cancelled', { usage: { input_tokens: 3, output_tokens: 0 } }, 'cancelled', 'yes'],
  ])('at one that is %s with %j says %s, begun: %s', async (raw, members, status, begun) => {
    const api = await answering(200, responseOf({ status: raw, ...members }));
    expect(await api.get('resp_1')).toMatchObject({ id: 'resp_1', status, isStatusKnown: true, begun });
  });

  it('at one whose status is a word that nobody knows says that, and that it has not ended', async () => {
    const api = await answering(200, responseOf({ status: 'a new word' }));
    expect(await api.get('resp_1')).toMatchObject({
      status: 'in_progress',
      isStatusKnown: false,
      begun: 'yes',
    });
  });

  it('at one that is not known gives none, and so does its cancel; its deletion is done', async () => {
    const api = await answering(404, { error: { message: 'not found' } });
    expect(await api.get('resp_1')).toBeUndefined();
    expect(await api.cancel('resp_1')).toBeUndefined();
    await api.remove('resp_1');
  });

  it('with a key that is refused says so: the response waits for another one', async () => {
    const api = await answering(401, { error: { message: 'no', code: 'invalid_api_key' } });
    await expect(api.get('resp_1')).rejects.toThrow(KeyUnusableError);
  });

  it('that is answered with something else fails, and says what was asked', async () => {
    const api = await answering(200, 'hello');
    await expect(api.get('resp_1')).rejects.toThrow('GET /responses/resp_1');
  });
});

it('looks, cancels and deletes where OpenAI has these, and may do so again', async () => {
  const seen: string[] = [];
  const api = await apiOn((request: IncomingMessage, response) => {
    seen.push(`${request.method} ${request.url}`);
    request.resume();
    // The first answer of each is lost.
    const isFirst = seen.filter((one) => one === seen.at(-1)).length === 1;
    response.writeHead(isFirst ? 503 : 200, { 'retry-after-ms': '1' }).end(JSON.stringify(responseOf()));
  });
  await api.get('resp_1');
  await api.cancel('resp_1');
  await api.remove('resp_1');
  expect([...new Set(seen)]).toEqual([
    'GET /v1/responses/resp_1',
    'POST /v1/responses/resp_1/cancel',
    'DELETE /v1/responses/resp_1',
  ]);
  expect(seen).toHaveLength(6);
});

describe('the version of the key', () => {
  const value = (versionId: string) => ({ key: `sk-${versionId}`, versionId });
  const keys: ApiKeys = {
    read: async () => value('now'),
    readAgain: async () => value('now'),
    readVersion: async (versionId) => value(versionId),
  };
  /** Only one key is of the project that knows the response. */
  const knownTo = (versionId: string): Promise<OpenAIBackground> =>
    apiOn((request, response) => {
      const isKnown = request.headers.authorization === `Bearer sk-${versionId}`;
      request.resume();
      const body = isKnown ? responseOf() : { error: { message: 'No response found.' } };
      response
        .writeHead(isKnown ? 200 : 404, { 'content-type': 'application/json' })
        .end(JSON.stringify(body));
    }, keys);

  it('that could read a response comes with it, so that the same one deletes it later', async () => {
    expect(await (await knownTo('now')).get('resp_1')).toMatchObject({ keyVersion: 'now' });
  });

  it('is the current one where that of the create does not know the response', async () => {
    expect(await (await knownTo('now')).get('resp_1', 'old')).toMatchObject({ keyVersion: 'now' });
  });

  it('is that of the create where it knows the response', async () => {
    expect(await (await knownTo('old')).get('resp_1', 'old')).toMatchObject({ keyVersion: 'old' });
  });
});
