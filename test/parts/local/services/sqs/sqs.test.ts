import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListMessageMoveTasksCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { expect, onTestFinished, test } from 'vitest';
import type { ApiCall } from '../../../../../local/services/iam/policy.ts';
import { queueArn, type Sqs, startSqs } from '../../../../../local/services/sqs/sqs.ts';
import { temporaryFolder } from '../../../../support/temporary-folder.ts';

const DEAD_LETTERS = 'letters';

async function start(options: Omit<Parameters<typeof startSqs>[0], 'dir'> & { dir?: string } = {}) {
  const sqs = await startSqs({ dir: temporaryFolder(), ...options });
  const client = new SQSClient({
    endpoint: sqs.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'x', secretAccessKey: 'y' },
    maxAttempts: 1,
  });
  let isOpen = true;
  const close = async () => {
    if (!isOpen) return;
    isOpen = false;
    client.destroy();
    await sqs.close();
  };
  onTestFinished(close);
  return { sqs, client, close };
}

function createQueues(sqs: Sqs, attributes: Record<string, string> = {}): string {
  sqs.ensureQueue(DEAD_LETTERS, {});
  return sqs.ensureQueue('work', {
    VisibilityTimeout: '600',
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: queueArn(DEAD_LETTERS), maxReceiveCount: 2 }),
    ...attributes,
  });
}

async function receive(client: SQSClient, QueueUrl: string, WaitTimeSeconds = 0) {
  const { Messages = [] } = await client.send(
    new ReceiveMessageCommand({
      QueueUrl,
      WaitTimeSeconds,
      MaxNumberOfMessages: 10,
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
    }),
  );
  return Messages;
}

const makeVisible = (client: SQSClient, QueueUrl: string, ReceiptHandle: string | undefined) =>
  client.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 0 }));

test('a queue URL is an address on 127.0.0.1, so that the SDK sends to it as it is', async () => {
  const { sqs, client } = await start();
  const url = createQueues(sqs);
  expect(url).toBe(`http://127.0.0.1:${sqs.port}/000000000000/work`);
  expect((await client.send(new GetQueueUrlCommand({ QueueName: 'work' }))).QueueUrl).toBe(url);
});

test('a message is received with its attributes, hidden while in flight, and gone when deleted', async () => {
  const { sqs, client } = await start();
  const QueueUrl = createQueues(sqs);
  await client.send(
    new SendMessageCommand({
      QueueUrl,
      MessageBody: 'hello',
      MessageAttributes: { kind: { DataType: 'String', StringValue: 'greeting' } },
    }),
  );
  expect(sqs.depth('work')).toEqual({ ready: 1, delayed: 0, inFlight: 0 });

  const [message] = await receive(client, QueueUrl);
  expect(message?.Body).toBe('hello');
  expect(message?.MessageAttributes?.kind?.StringValue).toBe('greeting');
  expect(message?.Attributes?.ApproximateReceiveCount).toBe('1');
  expect(await receive(client, QueueUrl)).toEqual([]);
  expect(sqs.depth('work')).toEqual({ ready: 0, delayed: 0, inFlight: 1 });

  await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message?.ReceiptHandle }));
  expect(sqs.depth('work')).toEqual({ ready: 0, delayed: 0, inFlight: 0 });
});

test('a receive that waits gets a message as soon as it is sent', async () => {
  const { sqs, client } = await start();
  const QueueUrl = createQueues(sqs);
  const waiting = receive(client, QueueUrl, 20);
  await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'at last' }));
  expect((await waiting).map(({ Body }) => Body)).toEqual(['at last']);
});

test('a message that is made visible again comes again with its count, and is a dead letter after two receives', async () => {
  const { sqs, client } = await start();
  const QueueUrl = createQueues(sqs);
  sqs.send('work', 'poison');
  for (const count of ['1', '2']) {
    const [message] = await receive(client, QueueUrl);
    expect(message?.Attributes?.ApproximateReceiveCount).toBe(count);
    await makeVisible(client, QueueUrl, message?.ReceiptHandle);
  }
  expect(await receive(client, QueueUrl)).toEqual([]);
  expect(sqs.depth('work')).toEqual({ ready: 0, delayed: 0, inFlight: 0 });
  expect((await receive(client, sqs.queueUrl(DEAD_LETTERS))).map(({ Body }) => Body)).toEqual(['poison']);
});

test('a message is visible again when its visibility timeout has passed', async () => {
  const { sqs, client } = await start();
  const QueueUrl = createQueues(sqs, { VisibilityTimeout: '0' });
  sqs.send('work', 'slow');
  await receive(client, QueueUrl);
  expect((await receive(client, QueueUrl, 20)).map(({ Body }) => Body)).toEqual(['slow']);
});

test('a delayed message counts as delayed and is not received before its time', async () => {
  const { sqs, client } = await start();
  const QueueUrl = createQueues(sqs);
  await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'later', DelaySeconds: 900 }));
  expect(await receive(client, QueueUrl)).toEqual([]);
  expect(sqs.depth('work')).toEqual({ ready: 0, delayed: 1, inFlight: 0 });
});

test('messages, their counts, their delays and their dead letters survive a restart; what was in flight is visible again', async () => {
  const dir = temporaryFolder();
  const first = await start({ dir });
  const url = createQueues(first.sqs);
  await first.client.send(
    new SendMessageBatchCommand({
      QueueUrl: url,
      Entries: [
        { Id: '1', MessageBody: 'in flight' },
        { Id: '2', MessageBody: 'delayed', DelaySeconds: 900 },
      ],
    }),
  );
  expect(await receive(first.client, url)).toHaveLength(1);
  first.sqs.send('work', 'ready');
  first.sqs.send(DEAD_LETTERS, 'dead');
  await first.close();

  const second = await start({ dir });
  expect(second.sqs.port).not.toBe(first.sqs.port);
  const QueueUrl = createQueues(second.sqs);
  expect(second.sqs.depth('work')).toEqual({ ready: 2, delayed: 1, inFlight: 0 });
  expect(second.sqs.depth(DEAD_LETTERS).ready).toBe(1);
  const messages = await receive(second.client, QueueUrl);
  const counts = Object.fromEntries(
    messages.map(({ Body, Attributes }) => [Body, Attributes?.ApproximateReceiveCount]),
  );
  expect(counts).toEqual({ 'in flight': '2', ready: '1' });
});

test('a message has the trace header that it was sent with, over a restart and as a dead letter', async () => {
  const dir = temporaryFolder();
  const first = await start({ dir });
  const url = createQueues(first.sqs);
  const traced = 'Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a87bd80c:3';
  first.client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { headers: Record<string, string> };
      if ('MessageBody' in args.input || 'Entries' in args.input) request.headers['x-amzn-trace-id'] = traced;
      return next(args);
    },
    { step: 'build' },
  );
  const waiting = receive(first.client, url, 20);
  await first.client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'a' }));
  expect((await waiting)[0]?.Attributes?.AWSTraceHeader).toBe(traced);
  await first.client.send(
    new SendMessageBatchCommand({ QueueUrl: url, Entries: [{ Id: '1', MessageBody: 'b' }] }),
  );
  first.sqs.send('work', 'untraced');
  await first.close();

  const second = await start({ dir });
  const QueueUrl = createQueues(second.sqs);
  const headersOf = async (from: string) => {
    const messages = await receive(second.client, from);
    for (const { ReceiptHandle } of messages) await makeVisible(second.client, from, ReceiptHandle);
    return Object.fromEntries(messages.map(({ Body, Attributes }) => [Body, Attributes?.AWSTraceHeader]));
  };
  expect(await headersOf(QueueUrl)).toEqual({ a: traced, b: traced, untraced: undefined });
  await headersOf(QueueUrl);
  expect(await receive(second.client, QueueUrl)).toEqual([]);
  expect(await headersOf(second.sqs.queueUrl(DEAD_LETTERS))).toEqual({
    a: traced,
    b: traced,
    untraced: undefined,
  });
});

test('a deleted message stays deleted over a restart', async () => {
  const dir = temporaryFolder();
  const first = await start({ dir });
  const QueueUrl = createQueues(first.sqs);
  first.sqs.send('work', 'done');
  const [message] = await receive(first.client, QueueUrl);
  await first.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message?.ReceiptHandle }));
  await first.close();

  const second = await start({ dir });
  createQueues(second.sqs);
  expect(second.sqs.depth('work')).toEqual({ ready: 0, delayed: 0, inFlight: 0 });
});

test('a queue that is there gets the attributes of the template and keeps its messages', async () => {
  const { sqs, client } = await start();
  createQueues(sqs, { VisibilityTimeout: '60' });
  sqs.send('work', 'kept');
  const QueueUrl = createQueues(sqs, { VisibilityTimeout: '90' });
  const { Attributes } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['VisibilityTimeout'] }),
  );
  expect(Attributes).toEqual({ VisibilityTimeout: '90' });
  expect(sqs.depth('work').ready).toBe(1);
});

test('a call that the caller may not make is refused; a batch call needs the right of the single one', async () => {
  const calls: (ApiCall & { accessKeyId: string })[] = [];
  const { sqs, client } = await start({
    authorize(accessKeyId, call) {
      calls.push({ accessKeyId, ...call });
      return 'not allowed here';
    },
  });
  const QueueUrl = createQueues(sqs);
  const command = new SendMessageBatchCommand({ QueueUrl, Entries: [{ Id: '1', MessageBody: 'x' }] });
  await expect(client.send(command)).rejects.toThrow('not allowed here');
  expect(calls).toMatchObject([{ accessKeyId: 'x', action: 'sqs:SendMessage', resource: queueArn('work') }]);
  expect(sqs.depth('work').ready).toBe(0);
});

test('dead letters are moved back with a fresh count, on disk too, and the task says how many', async () => {
  const dir = temporaryFolder();
  const { sqs, client, close } = await start({ dir });
  createQueues(sqs);
  sqs.send(DEAD_LETTERS, 'one');
  sqs.send(DEAD_LETTERS, 'two');
  const SourceArn = queueArn(DEAD_LETTERS);
  await client.send(new StartMessageMoveTaskCommand({ SourceArn, DestinationArn: queueArn('work') }));
  const { Results } = await client.send(new ListMessageMoveTasksCommand({ SourceArn }));
  expect(Results).toMatchObject([{ Status: 'COMPLETED', ApproximateNumberOfMessagesMoved: 2 }]);
  expect([sqs.depth(DEAD_LETTERS).ready, sqs.depth('work').ready]).toEqual([0, 2]);
  await close();
  const again = await start({ dir });
  expect([again.sqs.depth(DEAD_LETTERS).ready, again.sqs.depth('work').ready]).toEqual([0, 2]);
});

test('a queue that is none of dead letters is not moved, nor for somebody who may not send to where it goes', async () => {
  const asked: ApiCall[] = [];
  const { sqs, client } = await start({
    authorize: (_caller, call) => {
      asked.push(call);
      return call.action === 'sqs:SendMessage' ? 'no right to send' : undefined;
    },
  });
  createQueues(sqs);
  await expect(client.send(new StartMessageMoveTaskCommand({ SourceArn: queueArn('work') }))).rejects.toThrow(
    'must be configured as a Dead Letter Queue',
  );
  const move = { SourceArn: queueArn(DEAD_LETTERS), DestinationArn: queueArn('work') };
  await expect(client.send(new StartMessageMoveTaskCommand(move))).rejects.toThrow('no right to send');
  expect(asked).toContainEqual(
    expect.objectContaining({ action: 'sqs:StartMessageMoveTask', resource: queueArn(DEAD_LETTERS) }),
  );
});
