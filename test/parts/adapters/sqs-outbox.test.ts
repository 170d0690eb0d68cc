import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteMessageCommand, ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { expect, test } from 'vitest';
import { startSqs } from '../../../local/services/sqs/sqs.ts';
import { SqsOutbox } from '../../../src/adapters/sqs-outbox.ts';
import { createSqsClient } from '../../../src/runtime/clients.ts';
import { describeOutbox } from '../../support/contracts/outbox.suite.ts';
import { MemoryOutbox } from '../../support/memory/outbox.ts';

describeOutbox('memory', async () => {
  const outbox = new MemoryOutbox();
  return {
    outbox,
    take: async (queue) => {
      const index = outbox.messages.findIndex((queued) => queued.queue === queue);
      return outbox.messages.splice(index, 1)[0]!.message;
    },
    held: async (queue) =>
      outbox.messages.filter((queued) => queued.queue === queue && queued.delayMs !== undefined).length,
    close: async () => {},
  };
});

describeOutbox('SQS', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-sqs-'));
  const sqs = await startSqs({ dir });
  const client = createSqsClient({
    endpoint: sqs.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' },
  });
  const urlOf = (queue: string) => {
    sqs.ensureQueue(queue, {});
    // Another host than the endpoint: the client must not follow it.
    return sqs.queueUrl(queue).replace('127.0.0.1', 'sqs.us-east-1.amazonaws.com');
  };
  const urls = {
    ingest: urlOf('ingest'),
    submit: urlOf('submit'),
    call: urlOf('call'),
    collect: urlOf('collect'),
    finalize: urlOf('finalize'),
    observe: urlOf('observe'),
  };
  return {
    outbox: new SqsOutbox(client, urls),
    take: async (queue) => {
      const { Messages } = await client.send(new ReceiveMessageCommand({ QueueUrl: urls[queue] }));
      const message = Messages![0]!;
      await client.send(
        new DeleteMessageCommand({ QueueUrl: urls[queue], ReceiptHandle: message.ReceiptHandle }),
      );
      return JSON.parse(message.Body!);
    },
    held: async (queue) => sqs.depth(queue).delayed,
    close: async () => {
      client.destroy();
      await sqs.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
});

test('fails, naming the queue, where the function was not given its URL', async () => {
  const outbox = new SqsOutbox(createSqsClient({ region: 'us-east-1' }), {});
  await expect(outbox.submit({ v: 1, jobId: 'j', batchId: 'b' })).rejects.toThrow(
    'the URL of the submit queue',
  );
});
