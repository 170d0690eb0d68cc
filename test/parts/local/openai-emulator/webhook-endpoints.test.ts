import { describe, expect, test } from 'vitest';
import { startEmulator, virtualClock } from '../../../../local/openai-emulator/emulator.ts';
import {
  chatLine,
  chatLines,
  clientFor,
  createBatch,
  refusalOf,
  startForTest,
  temporaryFolder,
} from './support.ts';
import { SECRET, startReceiver } from './webhook-receiver.ts';

const DAY_MS = 86_400_000;
const KEYS = { 'sk-test': 'proj_a', 'sk-other': 'proj_b' };

async function startWith(options: Parameters<typeof startForTest>[0] = {}) {
  const parts = await startForTest({ apiKeys: KEYS, ...options });
  const receiver = await startReceiver();
  const params = {
    name: 'a stack',
    url: receiver.url,
    event_types: ['batch.completed', 'response.completed'] as ('batch.completed' | 'response.completed')[],
  };
  const pass = async (ms: number) => {
    parts.emulator.clock.advance(ms);
    await parts.emulator.deliverWebhooks();
  };
  return { ...parts, receiver, params, pass };
}

describe('a webhook endpoint', () => {
  test('is made with a secret that is shown once, and is read, listed, changed and deleted', async () => {
    const { client, emulator, params } = await startWith();
    const { signing_secret, ...made } = await client.webhooks.create(params);
    expect(signing_secret).toMatch(/^whsec_[A-Za-z0-9+/]{32}$/);
    expect(made).toMatchObject({ object: 'webhook_endpoint', ...params, updated_at: made.created_at });
    expect(await client.webhooks.retrieve(made.id)).toEqual(made);

    emulator.clock.advance(1_000);
    expect((await client.webhooks.update(made.id, { name: 'a stack' })).updated_at).toBe(made.created_at);
    const changed = await client.webhooks.update(made.id, { event_types: ['response.failed'] });
    expect(changed).toEqual({
      ...made,
      event_types: ['response.failed'],
      updated_at: made.created_at + 1,
    });

    const second = await client.webhooks.create(params);
    const listed = await Array.fromAsync(client.webhooks.list({ limit: 1 }));
    expect(listed.map(({ id }) => id)).toEqual([second.id, made.id]);

    expect(await client.webhooks.delete(made.id)).toEqual({
      id: made.id,
      object: 'webhook_endpoint.deleted',
      deleted: true,
    });
    expect((await refusalOf(client.webhooks.retrieve(made.id))).status).toBe(404);
  });

  test('gets the events of its own project that it asks for, and no others', async () => {
    const { client, emulator, params, receiver, pass } = await startWith();
    const other = clientFor(emulator, 'sk-other');
    const { signing_secret } = await client.webhooks.create(params);
    receiver.takes.secret = signing_secret;
    const ours = await createBatch(client, chatLines(1));
    await createBatch(client, [chatLine('a'), chatLine('a')]);
    await createBatch(other, chatLines(1));
    await pass(DAY_MS);
    expect(receiver.received).toMatchObject([{ about: ours.id, type: 'batch.completed' }]);
    expect(receiver.refused).toEqual([]);
  });

  test('is unknown to another project', async () => {
    const { client, emulator, params } = await startWith();
    const other = clientFor(emulator, 'sk-other').webhooks;
    const { id } = await client.webhooks.create(params);
    expect((await other.list()).data).toEqual([]);
    for (const call of ['retrieve', 'update', 'rotateSecret', 'delete'] as const)
      expect((await refusalOf(other[call](id) as PromiseLike<unknown>)).status).toBe(404);
  });

  test('signs with both secrets for 24 hours after a rotation that keeps the old one', async () => {
    const { client, params, receiver, pass } = await startWith();
    const made = await client.webhooks.create(params);
    receiver.takes.secret = made.signing_secret;
    const rotated = await client.webhooks.rotateSecret(made.id, {
      keep_old_secret_active_for_24_hours: true,
    });
    expect(rotated.signing_secret).not.toBe(made.signing_secret);
    await createBatch(client, chatLines(1));
    await pass(DAY_MS / 2);
    receiver.takes.secret = rotated.signing_secret;
    await createBatch(client, chatLines(1));
    await pass(DAY_MS / 2 - 1);
    expect(receiver.signatures.map((signature) => signature.split(' ').length)).toEqual([2, 2]);
    await createBatch(client, chatLines(1));
    await pass(DAY_MS);
    expect(receiver.signatures.at(-1)!.split(' ').length).toBe(1);
    expect([receiver.received.length, receiver.refused]).toEqual([3, []]);
  });

  test('no longer signs with the old secret after any other rotation', async () => {
    const { client, params, receiver } = await startWith();
    const made = await client.webhooks.create(params);
    receiver.takes.secret = made.signing_secret;
    await client.webhooks.rotateSecret(made.id);
    await client.webhooks.test(made.id, { event_type: 'response.completed' });
    expect(receiver.received).toEqual([]);
    expect(receiver.refused[0]).toMatch(/signature/);
  });

  test('is tested by a signed event about an id that nobody made', async () => {
    const { client, params, receiver } = await startWith();
    const made = await client.webhooks.create(params);
    receiver.takes.secret = made.signing_secret;
    expect(await client.webhooks.test(made.id, { event_type: 'response.incomplete' })).toEqual({
      event_type: 'response.incomplete',
      object: 'webhook_endpoint.test',
      status_code: 200,
      success: true,
      webhook_endpoint_id: made.id,
    });
    expect(receiver.received).toMatchObject([{ type: 'response.incomplete' }]);
    expect((await refusalOf(client.responses.retrieve(receiver.received[0]!.about))).status).toBe(404);
    await client.webhooks.update(made.id, { url: 'http://127.0.0.1:9/nobody' });
    const refused = await refusalOf(client.webhooks.test(made.id, { event_type: 'response.completed' }));
    expect(refused.status).toBe(400);
  });

  test('is there after a restart, with its secret, and so are the events that are due to it', async () => {
    const dir = temporaryFolder();
    const options = { dir, clock: virtualClock(), apiKeys: KEYS };
    const before = await startEmulator(options);
    const receiver = await startReceiver();
    const { params } = await startWith();
    const made = await clientFor(before).webhooks.create({ ...params, url: receiver.url });
    receiver.takes.secret = made.signing_secret;
    const batch = await createBatch(clientFor(before), chatLines(1));
    await before.close();
    const { emulator } = await startForTest(options);
    emulator.clock.advance(DAY_MS);
    await emulator.deliverWebhooks();
    expect(receiver.received.map(({ about }) => about)).toEqual([batch.id]);
  });
});

test.each<[string, object, string]>([
  ['without a name', { name: undefined }, 'name'],
  ['with an event type that there is none', { event_types: ['batch.done'] }, 'event_types'],
  ['without event types', { event_types: [] }, 'event_types'],
  ['with a URL that is not HTTPS', { url: 'http://example.com/hook' }, 'url'],
  ['with a URL that is none', { url: 'hook' }, 'url'],
])('a webhook endpoint %s is refused with 400', async (_, changes, param) => {
  const { client, params } = await startWith();
  const refused = await refusalOf(client.webhooks.create({ ...params, ...changes } as never));
  expect([refused.status, refused.param]).toEqual([400, param]);
  expect((await client.webhooks.list()).data).toEqual([]);
});

test('the event types of batches and background responses are listed among others', async () => {
  const { client } = await startWith();
  const { data } = await client.webhooks.eventTypes.list();
  expect(data).toEqual(expect.arrayContaining(['batch.expired', 'response.cancelled']));
});

test('an endpoint of a script and one that a call made both get an event, each under its own secret', async () => {
  const scripted = await startReceiver();
  const { client, params, receiver, pass } = await startWith({
    webhooks: [{ url: scripted.url, secret: SECRET, project: 'proj_a' }],
  });
  receiver.takes.secret = (await client.webhooks.create(params)).signing_secret;
  const batch = await createBatch(client, chatLines(1));
  await pass(DAY_MS);
  for (const { received, refused } of [receiver, scripted])
    expect([received.map(({ about }) => about), refused]).toEqual([[batch.id], []]);
});
