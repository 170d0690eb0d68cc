import type { Context } from 'aws-lambda';
import { expect, test } from 'vitest';
import type { OperateAnswer } from '../../../src/contract/operate.ts';
import type { HandlerTelemetry } from '../../../src/runtime/logger.ts';
import {
  createSignedUrlHandler,
  type SignedRequest,
  type SignedUrlEvent,
} from '../../../src/runtime/signed-url-handler.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const BY = 'arn:aws:sts::123456789012:assumed-role/Operator/someone';
const context = { getRemainingTimeInMillis: () => 1_000 } as Context;
const ended: OperateAnswer = { v: 1, ok: true, action: 'cancel', state: 'ended', duplicates: [] };

function start(run: (request: SignedRequest) => Promise<void> = async () => {}) {
  const events: SeenEvent[] = [];
  const seen: SignedRequest[] = [];
  const telemetry: HandlerTelemetry = {
    ...telemetryTo((event) => events.push(event)),
    with: () => telemetry,
    forInvocation: () => telemetry,
  };
  const handler = createSignedUrlHandler({
    telemetry,
    run: async (request) => {
      seen.push(request);
      await run(request);
      return { status: 200, answer: ended };
    },
  });
  return { handler, events, seen };
}

test('who called is what AWS says in the context of the request, and never a header', async () => {
  const { handler, seen } = start();
  const event = {
    body: Buffer.from('{"ä":1}').toString('base64'),
    isBase64Encoded: true,
    headers: { 'x-amzn-iam-user-arn': 'arn:aws:iam::1:root' },
    requestContext: { authorizer: { iam: { userArn: BY } } },
  } as SignedUrlEvent;
  const { statusCode, headers, body } = await handler(event, context);
  expect({ statusCode, headers }).toEqual({
    statusCode: 200,
    headers: { 'content-type': 'application/json' },
  });
  expect(JSON.parse(body)).toEqual(ended);
  await handler({ requestContext: {} }, context);
  expect(seen).toEqual([
    { body: '{"ä":1}', by: BY },
    { body: '', by: undefined },
  ]);
});

test('what fails is answered 500 without its text, and logged', async () => {
  const { handler, events } = start(async () => {
    throw new Error('input/secret-name.jsonl cannot be read');
  });
  const { statusCode, body } = await handler({ body: '{}', requestContext: {} }, context);
  expect(statusCode).toBe(500);
  expect(JSON.parse(body)).toMatchObject({ v: 1, ok: false, code: 'failed' });
  expect(body).not.toContain('secret-name');
  expect(events.map(({ name }) => name)).toEqual(['act.failed']);
});
