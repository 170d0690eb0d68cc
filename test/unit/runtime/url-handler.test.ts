import type { Context } from 'aws-lambda';
import { expect, test } from 'vitest';
import type { HandlerTelemetry } from '../../../src/runtime/logger.ts';
import { createUrlHandler, type UrlRequest } from '../../../src/runtime/url-handler.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const context = { getRemainingTimeInMillis: () => 1_000 } as Context;

function handlerOf(run: (request: UrlRequest) => Promise<number>) {
  const events: SeenEvent[] = [];
  const telemetry: HandlerTelemetry = {
    ...telemetryTo((event) => events.push(event)),
    with: () => telemetry,
    forInvocation: () => telemetry,
  };
  return { handler: createUrlHandler({ run, telemetry }), events };
}

test.each([
  ['as it is', { body: '{"ä":1}', isBase64Encoded: false }],
  ['from base64', { body: Buffer.from('{"ä":1}').toString('base64'), isBase64Encoded: true }],
])('gives the body %s, with method and headers', async (_how, sent) => {
  let seen: UrlRequest | undefined;
  const { handler } = handlerOf(async (request) => {
    seen = request;
    return 202;
  });
  const event = { ...sent, headers: { 'webhook-id': 'wh_1' }, requestContext: { http: { method: 'POST' } } };
  expect(await handler(event, context)).toEqual({ statusCode: 202 });
  expect(seen).toEqual({ method: 'POST', headers: { 'webhook-id': 'wh_1' }, body: '{"ä":1}' });
});

test('takes a request without headers and body', async () => {
  const { handler } = handlerOf(async ({ headers, body }) => (body === '' && !headers.a ? 401 : 500));
  expect(await handler({ requestContext: { http: { method: 'GET' } } }, context)).toEqual({
    statusCode: 401,
  });
});

test('answers 500 without a body when something failed, so that OpenAI sends it again', async () => {
  const { handler, events } = handlerOf(async () => {
    throw new Error('the queue cannot be reached');
  });
  const event = { body: 'secret content', requestContext: { http: { method: 'POST' } } };
  expect(await handler(event, context)).toEqual({ statusCode: 500 });
  expect(events.map(({ name }) => name)).toEqual(['webhook.failed']);
  expect(JSON.stringify(events)).not.toContain('secret content');
});
