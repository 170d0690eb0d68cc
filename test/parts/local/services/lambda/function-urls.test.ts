import { describe, expect, onTestFinished, test } from 'vitest';
import { startFunctionUrls } from '../../../../../local/services/lambda/function-urls.ts';
import type { Invocation } from '../../../../../local/services/lambda/sandbox.ts';

const MIB = 1024 * 1024;

interface UrlEvent {
  version: string;
  rawPath: string;
  rawQueryString: string;
  headers: Record<string, string>;
  requestContext: { http: { method: string; path: string } };
  body?: string;
  isBase64Encoded: boolean;
}

/** A URL whose function gives this; `events` are what it got. */
async function urlOf(
  result:
    | Partial<Extract<Invocation, { ok: true }>>
    | Extract<Invocation, { ok: false }>
    | { payload: unknown },
  routeKey?: string,
) {
  const events: UrlEvent[] = [];
  const target = {
    routeKey,
    function: {
      invoke: async (event: unknown) => {
        events.push(event as UrlEvent);
        return { requestId: 'r', durationMs: 1, ok: true, payload: null, ...result } as Invocation;
      },
    },
  };
  const urls = await startFunctionUrls({ targets: Promise.resolve(new Map([['hook', target]])) });
  onTestFinished(urls.close);
  return { url: `${urls.urlOf('hook')}/`, endpoint: urls.endpoint, events };
}

const ACCEPT = { payload: { statusCode: 202 } };

describe('what a function gets of a request', () => {
  test('is method, path, query, headers in lower case and a text body as it was sent', async () => {
    const { url, events } = await urlOf(ACCEPT);
    const response = await fetch(`${url}a/b?c=1&d=%20`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Webhook-Id': 'wh_1' },
      body: '{"a": "ä" }',
    });
    expect(response.status).toBe(202);
    expect(await response.text()).toBe('');
    expect(events[0]).toMatchObject({
      version: '2.0',
      rawPath: '/a/b',
      rawQueryString: 'c=1&d=%20',
      headers: { 'content-type': 'application/json', 'webhook-id': 'wh_1' },
      requestContext: { http: { method: 'POST', path: '/a/b' } },
      body: '{"a": "ä" }',
      isBase64Encoded: false,
    });
  });

  test('is a body of another type as base64', async () => {
    const { url, events } = await urlOf(ACCEPT);
    await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: Buffer.from([0, 255, 1]),
    });
    expect(events[0]).toMatchObject({ body: 'AP8B', isBase64Encoded: true });
  });

  test('has no body where none was sent', async () => {
    const { url, events } = await urlOf(ACCEPT);
    await fetch(url);
    expect(events[0]).not.toHaveProperty('body');
    expect(events[0]).toMatchObject({ rawPath: '/', isBase64Encoded: false });
  });
});

describe('an answer', () => {
  test('is what the function gives as body where it names no status', async () => {
    const { url } = await urlOf({ payload: { hello: 1 } });
    const response = await fetch(url);
    expect([response.status, await response.json()]).toEqual([200, { hello: 1 }]);
  });

  test('has the status, the headers and the body that the function names', async () => {
    const payload = { statusCode: 401, headers: { 'x-a': 'b' }, body: 'bm8=', isBase64Encoded: true };
    const { url } = await urlOf({ payload });
    const response = await fetch(url);
    expect([response.status, response.headers.get('x-a'), await response.text()]).toEqual([401, 'b', 'no']);
  });

  test.each([
    ['502 when the function failed', {}, 502],
    ['429 when there was no concurrency left', { isThrottled: true }, 429],
  ])('is %s', async (_what, throttled, status) => {
    const error = { errorType: 'Error', errorMessage: 'secret' };
    const { url } = await urlOf({ ok: false, error, ...throttled } as never);
    const response = await fetch(url);
    expect(response.status).toBe(status);
    expect(await response.text()).not.toContain('secret');
  });
});

test('more than 6 MB are refused before the function runs, base64 counted as it is', async () => {
  const { url, events } = await urlOf(ACCEPT);
  const send = (bytes: number, type: string) =>
    fetch(url, { method: 'POST', headers: { 'content-type': type }, body: Buffer.alloc(bytes, 97) });
  expect((await send(5.9 * MIB, 'text/plain')).status).toBe(202);
  expect((await send(6 * MIB, 'text/plain')).status).toBe(413);
  expect((await send(4 * MIB, 'image/png')).status).toBe(202);
  expect((await send(4.6 * MIB, 'image/png')).status).toBe(413);
  expect(events).toHaveLength(2);
});

test('a name that is none, and a request that an HTTP API has no route for, are answered 404', async () => {
  const { url, endpoint, events } = await urlOf(ACCEPT, 'POST /');
  expect((await fetch(`${endpoint}/other/`, { method: 'POST' })).status).toBe(404);
  expect((await fetch(url)).status).toBe(404);
  expect((await fetch(`${url}x`, { method: 'POST' })).status).toBe(404);
  expect((await fetch(url, { method: 'POST' })).status).toBe(202);
  expect(events).toHaveLength(1);
});
