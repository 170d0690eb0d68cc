import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
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

describe('a URL that takes signed requests only', () => {
  const FUNCTION = 'arn:aws:lambda:us-east-1:000000000000:function:operate';
  const CREDENTIALS = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' };
  const ARN = 'arn:aws:sts::000000000000:assumed-role/Operator/someone';

  async function start(allowed: readonly string[]) {
    const events: { requestContext: { accountId: string; authorizer?: { iam: { userArn: string } } } }[] = [];
    const target = {
      signedFor: FUNCTION,
      function: {
        invoke: async (event: unknown) => {
          events.push(event as (typeof events)[number]);
          return { requestId: 'r', durationMs: 1, ...ACCEPT, ok: true } as Invocation;
        },
      },
    };
    const asked: string[] = [];
    const urls = await startFunctionUrls({
      targets: Promise.resolve(new Map([['operate', target]])),
      access: {
        secretOf: (id) => (id === CREDENTIALS.accessKeyId ? CREDENTIALS.secretAccessKey : undefined),
        arnOf: () => ARN,
        authorize: (_id, { action, resource }) => {
          asked.push(`${action} ${resource}`);
          return allowed.includes(action) ? undefined : `not authorized to perform: ${action}`;
        },
        now: Date.now,
      },
    });
    onTestFinished(urls.close);
    const call = async (credentials = CREDENTIALS, sent = '{"a":1}') => {
      const url = new URL(urls.urlOf('operate'));
      const signer = new SignatureV4({ service: 'lambda', region: 'us-east-1', credentials, sha256: Sha256 });
      const { headers } = await signer.sign({
        method: 'POST',
        protocol: url.protocol,
        hostname: url.hostname,
        path: url.pathname,
        query: {},
        headers: { host: url.host, 'content-type': 'application/json' },
        body: '{"a":1}',
      });
      const response = await fetch(url, { method: 'POST', headers, body: sent });
      return { status: response.status, text: await response.text() };
    };
    return { url: urls.urlOf('operate'), call, events, asked };
  }
  const BOTH = ['lambda:InvokeFunctionUrl', 'lambda:InvokeFunction'];

  test('tells the function who called', async () => {
    const { call, events, asked } = await start(BOTH);
    expect((await call()).status).toBe(202);
    expect(events[0]!.requestContext).toMatchObject({
      accountId: '000000000000',
      authorizer: { iam: { userArn: ARN, accessKey: 'AKIDTEST' } },
    });
    expect(asked).toEqual(BOTH.map((action) => `${action} ${FUNCTION}`));
  });

  test('answers 403 without a signature, and believes no header on who calls', async () => {
    const { url, events } = await start(BOTH);
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'x-amzn-iam-user-arn': ARN },
      body: '{}',
    });
    expect([response.status, await response.json()]).toEqual([403, { Message: 'Forbidden' }]);
    expect(events).toEqual([]);
  });

  test('answers 403 to another secret, an unknown key and a body that was changed', async () => {
    const { call, events } = await start(BOTH);
    expect((await call({ ...CREDENTIALS, secretAccessKey: 'other' })).status).toBe(403);
    expect((await call({ ...CREDENTIALS, accessKeyId: 'AKIDOTHER' })).status).toBe(403);
    expect((await call(CREDENTIALS, '{"a":2}')).status).toBe(403);
    expect(events).toEqual([]);
  });

  test.each(BOTH)('answers 403 to a caller who may not %s', async (action) => {
    const { call, events } = await start(BOTH.filter((each) => each !== action));
    expect(await call()).toEqual({
      status: 403,
      text: JSON.stringify({ Message: `not authorized to perform: ${action}` }),
    });
    expect(events).toEqual([]);
  });
});
