/** Calls over a real connection: what an answer is, and what none means. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import { afterEach, describe, expect, test } from 'vitest';
import type { CallAnswer } from '../../../../src/core/ports/provider.ts';
import { OpenAICalls } from '../../../../src/providers/openai/call-api.ts';

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

async function call(listener: RequestListener, timeoutMs = 60_000): Promise<CallAnswer> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return callAt((server.address() as AddressInfo).port, timeoutMs);
}

function callAt(port: number, timeoutMs = 60_000): Promise<CallAnswer> {
  const client = new OpenAI({
    apiKey: async () => 'sk-test',
    baseURL: `http://127.0.0.1:${port}/v1`,
    logLevel: 'off',
    // Gives up after five minutes, whatever it is told.
    fetch: () => Promise.reject(new Error("Node's own fetch")),
  });
  return new OpenAICalls(client).call({ endpoint: '/v1/responses', body: '{"n":1.0}', timeoutMs });
}

test('a request goes out as it is, with its key, and not by a fetch that would not wait for its answer', async () => {
  const seen: unknown[] = [];
  const answer = await call((request, response) => {
    request.setEncoding('utf8').on('data', (text: string) => {
      seen.push(request.method, request.url, request.headers.authorization, text);
      response.setHeader('x-request-id', 'req_1').end('{"seed":9007199254740993}');
    });
  });
  expect(seen).toEqual(['POST', '/v1/responses', 'Bearer sk-test', '{"n":1.0}']);
  expect(answer).toEqual({ status: 200, requestId: 'req_1', body: '{"seed":9007199254740993}' });
});

describe('an answer', () => {
  test('that is an error reports its status, what it states, and when to come again', async () => {
    const stated = { message: 'No room.', code: 'resource_unavailable' };
    const answer = await call((_, response) =>
      response.writeHead(429, { 'retry-after': '7' }).end(JSON.stringify({ error: stated })),
    );
    expect(answer).toEqual({ status: 429, retryAfterMs: 7_000, body: JSON.stringify({ error: stated }) });
  });

  test('may be empty', async () => {
    expect(await call((_, response) => response.writeHead(204).end())).toEqual({ status: 204, body: '' });
  });

  test('that points elsewhere is not followed', async () => {
    const answer = await call((_, response) => response.writeHead(307, { location: '/v1/other' }).end());
    expect(answer.status).toBe(307);
  });

  test.each<[string, RequestListener]>([
    [
      'is cut short',
      (_, response) =>
        void response.writeHead(200, { 'content-length': '9' }).write('{', () => response.destroy()),
    ],
    [
      'is cut short in chunks',
      (_, response) => void response.writeHead(200).write('{', () => response.destroy()),
    ],
    ['does not begin', (request) => void request.socket.destroy()],
  ])('that %s is none, and may be charged', async (_, listener) => {
    await expect(call(listener)).rejects.toMatchObject({ mayBeCharged: true });
  });

  test('that takes longer than the time it is given is none, and may be charged', async () => {
    await expect(call(() => {}, 50)).rejects.toMatchObject({ mayBeCharged: true });
    server.closeAllConnections();
    await expect(call((_, response) => void response.write('{'), 50)).rejects.toMatchObject({
      mayBeCharged: true,
    });
  });

  test('from nobody cannot be charged', async () => {
    await call((_, response) => response.end('{}'));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    await expect(callAt(port)).rejects.toMatchObject({ mayBeCharged: false });
  });
});
