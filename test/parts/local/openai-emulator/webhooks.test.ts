import { expect, test } from 'vitest';
import { type FaultRule, startEmulator, virtualClock } from '../../../../local/openai-emulator/emulator.ts';
import { chatLine, chatLines, clientFor, createBatch, startForTest, temporaryFolder } from './support.ts';
import { startReceiver } from './webhook-receiver.ts';

async function startWith(faults: FaultRule[], statuses: number[] = []) {
  const hook = await startReceiver(statuses);
  const parts = await startForTest({ faults, webhooks: [hook.endpoint] });
  const pass = async (ms: number) => {
    parts.emulator.clock.advance(ms);
    await parts.emulator.deliverWebhooks();
  };
  return { ...parts, ...hook, pass };
}

test('each end of a batch is reported once, signed as the official client checks it', async () => {
  const { client, received, refused, pass } = await startWith([
    { match: { batch: 3 }, effect: { kind: 'batch.expire', done: 1 } },
  ]);
  const completed = await createBatch(client, chatLines(1));
  const failed = await createBatch(client, [chatLine('a'), chatLine('a')]);
  const expired = await createBatch(client, chatLines(2));
  const cancelled = await createBatch(client, chatLines(1));
  await client.batches.cancel(cancelled.id);
  await pass(0);
  expect(received).toEqual([]);
  await pass(90_000_000);
  await pass(90_000_000);
  const told = Object.fromEntries(received.map(({ about, type }) => [about, type]));
  expect(told).toEqual({
    [completed.id]: 'batch.completed',
    [failed.id]: 'batch.failed',
    [expired.id]: 'batch.expired',
    [cancelled.id]: 'batch.cancelled',
  });
  expect(received.length).toBe(4);
  expect(refused).toEqual([]);
});

test('an event that is not answered by 2xx comes again, under the same webhook-id', async () => {
  const { client, received, pass } = await startWith([], [500, 302]);
  await createBatch(client, chatLines(1));
  await pass(90_000);
  await pass(4_999);
  expect(received.length).toBe(1);
  await pass(5_000);
  await pass(10_000);
  await pass(3_600_000);
  expect(received.map(({ id }) => id)).toEqual([received[0]!.id, received[0]!.id, received[0]!.id]);
});

test('events are sent again and again for 72 hours, and then no more', async () => {
  const { client, received, pass } = await startWith([], Array(1000).fill(500));
  await createBatch(client, chatLines(1));
  for (let hours = 0; hours < 80; hours++) await pass(3_600_000);
  const times = received.length;
  expect(times).toBeGreaterThan(60);
  for (let hours = 0; hours < 5; hours++) await pass(3_600_000);
  expect(received.length).toBe(times);
});

test('events come twice, late and out of order, and not at all, as rules say', async () => {
  const { client, received, pass } = await startWith([
    { match: { batch: 1 }, effect: { kind: 'webhook.delay', seconds: 600 } },
    { match: { batch: 2, event: 'completed$' }, effect: { kind: 'webhook.duplicate', after_seconds: 60 } },
    { match: { batch: 3 }, effect: { kind: 'webhook.lose' } },
  ]);
  const [first, second] = [await createBatch(client, chatLines(1)), await createBatch(client, chatLines(1))];
  await createBatch(client, chatLines(1));
  await pass(100_000);
  await pass(100_000);
  await pass(600_000);
  expect(received.map(({ about }) => about)).toEqual([second.id, second.id, first.id]);
  expect(received[0]!.id).toBe(received[1]!.id);
});

test('a wrong signature and an old timestamp are refused by the official client', async () => {
  const { client, received, refused, pass } = await startWith([
    { match: { batch: 1 }, effect: { kind: 'webhook.bad_signature' } },
    { match: { batch: 2 }, effect: { kind: 'webhook.old_timestamp', seconds: 301 } },
  ]);
  await createBatch(client, chatLines(1));
  await createBatch(client, chatLines(1));
  await pass(100_000);
  expect(received).toEqual([]);
  expect(refused).toEqual(
    expect.arrayContaining([expect.stringMatching(/signature/i), expect.stringMatching(/too old/)]),
  );
});

test('an event that was due when the emulator stopped is sent after it starts again', async () => {
  const { received, endpoint } = await startReceiver();
  const dir = temporaryFolder();
  const options = { dir, clock: virtualClock(), webhooks: [endpoint] };
  const faults: FaultRule[] = [{ effect: { kind: 'webhook.delay', seconds: 100 } }];
  const before = await startEmulator({ ...options, faults });
  const batch = await createBatch(clientFor(before), chatLines(1));
  before.clock.advance(80_000);
  await before.deliverWebhooks();
  await before.close();
  const { emulator } = await startForTest(options);
  emulator.clock.advance(100_000);
  await emulator.deliverWebhooks();
  expect(received.map(({ about }) => about)).toEqual([batch.id]);
});
