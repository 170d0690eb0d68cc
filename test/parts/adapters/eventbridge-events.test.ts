import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { EventBridgeEvents } from '../../../src/adapters/eventbridge-events.ts';
import type { DropIgnored, JobCompleted } from '../../../src/contract/messages.ts';
import { createEventBridgeClient } from '../../../src/runtime/clients.ts';
import { MemoryEvents } from '../../support/memory/outbox.ts';

const DETAIL: JobCompleted = {
  v: 1,
  stackId: 's',
  jobId: 'job',
  bucket: 'b',
  key: 'input/a.jsonl',
  result: 'succeeded',
  counts: { requests: 1, succeeded: 1, failed: 0, invalid: 0 },
  files: { output: 'output/a.jsonl', receipt: 'receipts/a.json' },
};

const IGNORED: DropIgnored = {
  v: 1,
  stackId: 's',
  bucket: 'b',
  key: 'input/a.csv',
  why: 'no_route',
  message: 'ignored',
};

/** An event bus that answers with this body. */
async function busAnswering(body: object) {
  const sent: unknown[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    sent.push(JSON.parse(Buffer.concat(chunks).toString()));
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = createEventBridgeClient({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' },
  });
  onTestFinished(() => {
    client.destroy();
    server.close();
  });
  return { events: new EventBridgeEvents(client, { eventBus: 'bus' }), sent };
}

test('puts one JobCompleted event of batchdrop on the bus', async () => {
  const { events, sent } = await busAnswering({ FailedEntryCount: 0, Entries: [{ EventId: '1' }] });
  await events.completed(DETAIL);
  expect(sent).toEqual([
    {
      Entries: [
        {
          EventBusName: 'bus',
          Source: 'batchdrop',
          DetailType: 'JobCompleted',
          Detail: JSON.stringify(DETAIL),
        },
      ],
    },
  ]);
});

test('puts one DropIgnored event of batchdrop on the bus', async () => {
  const { events, sent } = await busAnswering({ FailedEntryCount: 0, Entries: [{ EventId: '1' }] });
  await events.ignored(IGNORED);
  expect(sent).toEqual([
    {
      Entries: [
        {
          EventBusName: 'bus',
          Source: 'batchdrop',
          DetailType: 'DropIgnored',
          Detail: JSON.stringify(IGNORED),
        },
      ],
    },
  ]);
});

test('fails when the bus answers 200 but did not take the event', async () => {
  const { events } = await busAnswering({
    FailedEntryCount: 1,
    Entries: [{ ErrorCode: 'ThrottlingException', ErrorMessage: 'slow down' }],
  });
  await expect(events.completed(DETAIL)).rejects.toThrow('of job job: ThrottlingException slow down');
  await expect(events.ignored(IGNORED)).rejects.toThrow('DropIgnored of input/a.csv: ThrottlingException');
});

test('keeps what was sent, in memory', async () => {
  const events = new MemoryEvents();
  await events.completed(DETAIL);
  expect(events.sent).toEqual([DETAIL]);
  await events.ignored(IGNORED);
  expect(events.ignoredDrops).toEqual([IGNORED]);
});
