import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { Context, SQSEvent } from 'aws-lambda';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sqs, startSqs } from '../../../local/services/sqs/sqs.ts';
import { writeFields } from '../../../src/contract/event-fields.ts';
import { EVENTS } from '../../../src/contract/events.ts';
import { batchMessageSchema } from '../../../src/contract/messages.ts';
import { createSqsClient } from '../../../src/runtime/clients.ts';
import type { HandlerTelemetry } from '../../../src/runtime/logger.ts';
import { backoffSeconds, createQueueHandler } from '../../../src/runtime/queue-handler.ts';
import { createScheduledHandler } from '../../../src/runtime/scheduled-handler.ts';
import { expectListedEvents, noteRecorded } from '../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const context = { awsRequestId: 'r', getRemainingTimeInMillis: () => 60_000 } as Context;

/** Telemetry that keeps its events, with the fields that they carry. */
function recordingTelemetry() {
  const lines: Record<string, unknown>[] = [];
  const telemetryWith = (bound: Record<string, unknown>): HandlerTelemetry => ({
    record: (event, values) => {
      const { level, fields: kinds } = EVENTS[event];
      const { fields, problems } = writeFields(kinds, values);
      expect(problems).toEqual([]);
      noteRecorded(event);
      lines.push({ level, event, ...bound, ...fields });
    },
    with: (fields) => telemetryWith({ ...bound, ...fields }),
    forInvocation: () => telemetryWith(bound),
  });
  return { telemetry: telemetryWith({}), lines };
}

describe('the queue handler', () => {
  let dir: string;
  let sqs: Sqs;
  let client: SQSClient;
  const name = 'work';

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'batchdrop-handler-'));
    sqs = await startSqs({ dir });
    sqs.ensureQueue(name, { VisibilityTimeout: '5400' });
    client = createSqsClient({
      endpoint: sqs.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' },
    });
  });
  afterAll(async () => {
    client?.destroy();
    await sqs?.close();
    await rm(dir, { recursive: true, force: true });
  });

  /** The messages that are in the queue now, as Lambda would get them. */
  async function receive(...bodies: string[]): Promise<SQSEvent> {
    for (const body of bodies) sqs.send(name, body);
    const { Messages = [] } = await client.send(
      new ReceiveMessageCommand({
        QueueUrl: sqs.queueUrl(name),
        MaxNumberOfMessages: 10,
        MessageSystemAttributeNames: ['ApproximateReceiveCount'],
      }),
    );
    const Records = Messages.map((message) => ({
      messageId: message.MessageId!,
      receiptHandle: message.ReceiptHandle!,
      body: message.Body!,
      attributes: message.Attributes,
      messageAttributes: {},
      md5OfBody: '',
      eventSource: 'aws:sqs',
      eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:work',
      awsRegion: 'us-east-1',
    }));
    return { Records } as unknown as SQSEvent;
  }

  const bodyOf = (batchId: string) => JSON.stringify({ v: 1, jobId: 'job', batchId });

  /** A handler over the queue whose visibility changes are told, not only made. */
  function handlerOf(run: Parameters<typeof createQueueHandler<typeof batchMessageSchema>>[0]['run']) {
    const { telemetry, lines } = recordingTelemetry();
    const delays: number[] = [];
    const own = createSqsClient({
      endpoint: sqs.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' },
    });
    own.middlewareStack.add(
      (next) => async (args) => {
        delays.push((args.input as { VisibilityTimeout: number }).VisibilityTimeout);
        return next(args);
      },
      { step: 'initialize' },
    );
    const handler = createQueueHandler({
      schema: batchMessageSchema,
      queueUrl: sqs.queueUrl(name),
      run,
      sqs: own,
      telemetry,
    });
    return { handler, lines, delays };
  }

  test('runs every message, one after the other, and reports none', async () => {
    const seen: string[] = [];
    let running = 0;
    const { handler, lines } = handlerOf(async (message, { deadline }) => {
      running += 1;
      expect(running).toBe(1);
      await Promise.resolve();
      expect(deadline.remainingMs()).toBe(60_000);
      seen.push(message.batchId);
      running -= 1;
    });
    expect(await handler(await receive(bodyOf('a'), bodyOf('b')), context)).toEqual({
      batchItemFailures: [],
    });
    expect(seen.sort()).toEqual(['a', 'b']);
    expect(lines).toEqual([]);
  });

  test('reports only the message that failed, and logs its error once, with what it was about', async () => {
    const { handler, lines, delays } = handlerOf(async ({ batchId }) => {
      if (batchId === 'bad') throw new TypeError('no such thing', { cause: new Error('deep down') });
    });
    const event = await receive(bodyOf('good'), bodyOf('bad'));
    const bad = event.Records.find(({ body }) => body.includes('bad'))!;
    expect(await handler(event, context)).toEqual({
      batchItemFailures: [{ itemIdentifier: bad.messageId }],
    });
    expect(delays).toEqual([30]);
    expect(lines).toMatchObject([
      {
        level: 'error',
        event: 'step.failed',
        waitMs: 30_000,
        jobId: 'job',
        batchId: 'bad',
        messageId: bad.messageId,
        error: { name: 'TypeError', message: 'no such thing', cause: { message: 'deep down' } },
      },
    ]);
  });

  test('fails the whole batch one by one, without throwing', async () => {
    const { handler } = handlerOf(async () => {
      throw new Error('no');
    });
    const result = await handler(await receive(bodyOf('x'), bodyOf('y')), context);
    expect(result.batchItemFailures).toHaveLength(2);
  });

  test.each(['not json: a secret', '{"v":7,"jobId":"a secret"}', '"a secret"'])(
    'fails a message that it does not understand, at once and without logging what is in it: %s',
    async (body) => {
      const { handler, lines, delays } = handlerOf(async () => expect.unreachable());
      const result = await handler(await receive(body), context);
      expect(result.batchItemFailures).toHaveLength(1);
      expect(delays).toEqual([0]);
      expect(lines).toMatchObject([{ level: 'error', error: { name: 'UnreadableMessageError' } }]);
      expect(JSON.stringify(lines)).not.toContain('secret');
      // It is visible again: take it away from the tests that follow.
      await receive();
    },
  );

  test('does not log what JSON.parse quotes', async () => {
    const { handler, lines } = handlerOf(async () => JSON.parse('a prompt'));
    await handler(await receive(bodyOf('json')), context);
    expect(lines).toMatchObject([{ error: { name: 'SyntaxError' } }]);
    expect(JSON.stringify(lines)).not.toContain('a prompt');
  });

  test('fails a message also when its visibility cannot be changed', async () => {
    const { handler, lines } = handlerOf(async () => {
      throw new Error('no');
    });
    const event = await receive(bodyOf('gone'));
    event.Records[0]!.receiptHandle = 'unknown';
    expect((await handler(event, context)).batchItemFailures).toHaveLength(1);
    expect(lines.map(({ level }) => level)).toEqual(['error', 'warn']);
  });

  test('backs off twice as long after each receive, up to a quarter of an hour', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 50].map(backoffSeconds)).toEqual([30, 60, 120, 240, 480, 900, 900, 900]);
  });
});

describe('the scheduled handler', () => {
  test('runs with the time that is left', async () => {
    const { telemetry } = recordingTelemetry();
    const times: number[] = [];
    const handler = createScheduledHandler({
      run: async ({ deadline }) => times.push(deadline.remainingMs()),
      telemetry,
    });
    await handler({}, context);
    expect(times).toEqual([60_000]);
  });

  test('fails the invocation with what was thrown, logged once', async () => {
    const { telemetry, lines } = recordingTelemetry();
    const cause = new Error('no');
    const handler = createScheduledHandler({
      run: async () => {
        throw cause;
      },
      telemetry,
    });
    await expect(handler({ secret: 1 }, context)).rejects.toBe(cause);
    expect(lines).toMatchObject([{ level: 'error', error: { name: 'Error', message: 'no' } }]);
  });
});
