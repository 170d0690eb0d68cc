import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { FaultRule } from '../../../../local/openai-emulator/emulator.ts';
import { createInBackground as create, HOUR_MS } from './background-support.ts';
import { refusalOf, startForTest } from './support.ts';
import { startReceiver } from './webhook-receiver.ts';

type Effect = FaultRule['effect'];

/** An emulator in which this goes wrong with the first response, and a second response is as it should be. */
const startWith = (effect: Effect, match: FaultRule['match'] = { response: 1 }) =>
  startForTest({ faults: [{ match, effect }] });

describe('faults of a create', () => {
  test('let it run though its answer is lost', async () => {
    const { client, emulator } = await startWith({ kind: 'response.lose_create' });
    await expect(create(client, {}, 'lost')).rejects.toThrow(OpenAI.APIConnectionError);
    emulator.clock.advance(9 * HOUR_MS);
    await create(client, {}, 'kept');
    expect((await emulator.ledger.all()).map(({ custom_id }) => custom_id)).toEqual(['lost']);
  });

  test('let it run and never answer', async () => {
    const { client, emulator } = await startWith({ kind: 'response.lose_create', as: 'hang' });
    await expect(create(client.withOptions({ timeout: 300 }))).rejects.toThrow(
      OpenAI.APIConnectionTimeoutError,
    );
    emulator.clock.advance(9 * HOUR_MS);
    expect((await emulator.ledger.all()).length).toBe(1);
  });

  test.each([429, 500])('refuse it with %i, and make nothing', async (status) => {
    const effect: Effect = { kind: 'response.refuse', status, headers: { 'retry-after': '7' } };
    const { client, emulator } = await startForTest({
      faults: [{ match: { custom_id: '^a$' }, times: 1, effect }],
    });
    const refused = await refusalOf(create(client));
    expect([refused.status, refused.headers?.get('retry-after')]).toEqual([status, '7']);
    expect((await create(client)).status).toBe('queued');
    emulator.clock.advance(9 * HOUR_MS);
    expect((await emulator.ledger.all()).length).toBe(1);
  });

  test('of HTTP reach creates, looks and cancels of one response by its name', async () => {
    const rule = (route: string, status: number): FaultRule => ({
      match: { route, custom_id: '^bad$' },
      effect: { kind: 'http.status', status },
    });
    const { client } = await startForTest({
      faults: [rule('GET /v1/responses/*', 500), rule('POST /v1/responses/*/cancel', 429)],
    });
    const bad = await create(client, {}, 'bad');
    const good = await create(client, {}, 'good');
    expect((await refusalOf(client.responses.retrieve(bad.id))).status).toBe(500);
    expect((await refusalOf(client.responses.cancel(bad.id))).status).toBe(429);
    expect((await client.responses.retrieve(good.id)).status).toBe('queued');
    expect((await client.responses.cancel(good.id)).status).toBe('cancelled');
  });
});

describe('faults of the way of a response', () => {
  const statusAfter = async (effect: Effect, ms: number) => {
    const { client, emulator } = await startWith(effect);
    const [bad, good] = [await create(client, {}, 'bad'), await create(client, {}, 'good')];
    emulator.clock.advance(ms);
    expect((await client.responses.retrieve(good.id)).status).toBe('completed');
    const ended = await client.responses.retrieve(bad.id);
    return { ended, rows: (await emulator.ledger.all()).filter(({ custom_id }) => custom_id === 'bad') };
  };

  test.each<[string, Effect, string]>([
    ['stuck in queued', { kind: 'response.stuck', state: 'queued' }, 'queued'],
    ['stuck in in_progress', { kind: 'response.stuck', state: 'in_progress' }, 'in_progress'],
    [
      'slower than the clock',
      { kind: 'response.duration', queued_seconds: 1, in_progress_seconds: 99_999 },
      'in_progress',
    ],
  ])('leave it %s', async (_, effect, status) => {
    const { ended, rows } = await statusAfter(effect, 20 * HOUR_MS);
    expect([ended.status, rows]).toEqual([status, []]);
  });

  test('let it end so long after its window, at the standard rate', async () => {
    const { ended, rows } = await statusAfter({ kind: 'response.miss_window', seconds: 60 }, 9 * HOUR_MS);
    expect(ended).toMatchObject({ status: 'completed', completed_at: ended.created_at + 8 * 3600 + 60 });
    expect(rows).toMatchObject([{ tier: 'background-8h', rate: 1 }]);
  });

  test('let it miss its window at the discount, where that is how it is billed', async () => {
    const { client, emulator } = await startForTest({
      background: { missedWindow: 'discount' },
      faults: [{ match: { window: '2h' }, effect: { kind: 'response.miss_window' } }],
    });
    await create(client, { background_options: { completion_window: '2h' } });
    emulator.clock.advance(3 * HOUR_MS);
    expect(await emulator.ledger.all()).toMatchObject([{ tier: 'background-2h', rate: 0.7 }]);
  });

  test.each([false, true])('let it fail with an error, billed: %s', async (billed) => {
    const effect: Effect = {
      kind: 'response.fail',
      code: 'rate_limit_exceeded',
      message: 'Slow down.',
      billed,
    };
    const { ended, rows } = await statusAfter(effect, HOUR_MS);
    const error = { code: 'rate_limit_exceeded', message: 'Slow down.' };
    expect(ended).toMatchObject({ status: 'failed', error, output: [] });
    expect([ended.usage !== null, rows[0]!.billed_tokens > 0, rows[0]!.outcome]).toEqual([
      billed,
      billed,
      'failed',
    ]);
  });

  test('of its line hold as well: cut short, another model, a status, a patch', async () => {
    const of = (custom_id: string, effect: Effect): FaultRule => ({
      match: { via: 'background', custom_id },
      effect,
    });
    const { client, emulator } = await startForTest({
      faults: [
        of('cut', { kind: 'line.incomplete' }),
        of('other', { kind: 'line.model', model: 'gpt-6.2-astra-2026-11-17' }),
        of('status', { kind: 'line.status', status: 503 }),
        of('patched', {
          kind: 'line.patch',
          operations: [{ op: 'remove', path: '/response/body/usage' }],
        }),
      ],
    });
    const ids = [];
    for (const name of ['cut', 'other', 'status', 'patched']) ids.push((await create(client, {}, name)).id);
    emulator.clock.advance(HOUR_MS);
    const [cut, other, status, patched] = await Promise.all(ids.map((id) => client.responses.retrieve(id)));
    expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
    expect(cut!.usage!.output_tokens).toBeGreaterThan(0);
    expect(other).toMatchObject({ status: 'completed', model: 'gpt-6.2-astra-2026-11-17' });
    expect(status).toMatchObject({ status: 'failed', error: { code: 'server_error' }, usage: null });
    expect(patched!.status).toBe('completed');
    expect(patched!.usage).toBeUndefined();
    expect((await emulator.ledger.all()).map(({ status, model }) => [status, model])).toEqual([
      [200, 'gpt-6.2-sol-2026-11-17'],
      [200, 'gpt-6.2-astra-2026-11-17'],
      [503, 'gpt-6.2-sol'],
      [200, 'gpt-6.2-sol-2026-11-17'],
    ]);
  });

  test('change the object in the states that they name', async () => {
    const { client, emulator } = await startWith({
      kind: 'response.patch',
      while: ['queued'],
      operations: [{ op: 'replace', path: '/status', value: 'waiting' }],
    });
    const { id, status } = await create(client);
    expect(status).toBe('waiting');
    emulator.clock.advance(HOUR_MS);
    expect((await client.responses.retrieve(id)).status).toBe('completed');
  });
});

describe('faults of being found', () => {
  test('answer 404 for a while after the create', async () => {
    const { client, emulator } = await startWith({ kind: 'response.late', seconds: 30 });
    const { id } = await create(client);
    expect((await refusalOf(client.responses.retrieve(id))).status).toBe(404);
    expect((await refusalOf(client.responses.cancel(id))).status).toBe(404);
    emulator.clock.advance(30_000);
    expect((await client.responses.retrieve(id)).status).toBe('queued');
  });

  test.each(['end', 'create'] as const)(
    'let it be gone early, counted from its %s, though it ran',
    async (since) => {
      const { client, emulator } = await startWith({ kind: 'response.vanish', since, after_seconds: 60 });
      const { id } = await create(client);
      emulator.clock.advance(since === 'end' ? 576_000 : 0);
      const { status } = await client.responses.retrieve(id);
      expect(status).toBe(since === 'end' ? 'completed' : 'queued');
      emulator.clock.advance(60_000);
      expect((await refusalOf(client.responses.retrieve(id))).status).toBe(404);
      emulator.clock.advance(HOUR_MS);
      expect((await emulator.ledger.all()).length).toBe(1);
    },
  );
});

describe('faults of a cancel', () => {
  test('let it find the response completed, billed once', async () => {
    const { client, emulator } = await startWith({ kind: 'response.cancel_race' });
    const { id } = await create(client);
    emulator.clock.advance(300_000);
    const reply = await client.responses.cancel(id);
    expect(reply.status).toBe('completed');
    expect(reply.usage!.total_tokens).toBeGreaterThan(0);
    expect(await emulator.ledger.all()).toMatchObject([{ outcome: 'completed', rate: 0.6 }]);
  });

  test('say cancelled, and show the response completed later', async () => {
    const { client, emulator } = await startWith({ kind: 'response.cancel_race', seconds: 60 });
    const { id } = await create(client);
    emulator.clock.advance(300_000);
    expect((await client.responses.cancel(id)).status).toBe('cancelled');
    expect(await emulator.ledger.all()).toEqual([]);
    emulator.clock.advance(60_000);
    expect((await client.responses.retrieve(id)).status).toBe('completed');
    expect(await emulator.ledger.all()).toMatchObject([{ outcome: 'completed' }]);
  });

  test('leave one unbilled that others are billed for', async () => {
    const { client, emulator } = await startWith({ kind: 'response.cancel_billing', as: 'unbilled' });
    const ids = [(await create(client, {}, 'free')).id, (await create(client, {}, 'dear')).id];
    emulator.clock.advance(300_000);
    for (const id of ids) await client.responses.cancel(id);
    const billed = (await emulator.ledger.all()).filter(({ billed_tokens }) => billed_tokens > 0);
    expect(billed.map(({ custom_id }) => custom_id)).toEqual(['dear']);
  });
});

describe('events of background responses', () => {
  async function startWithHook(faults: FaultRule[] = []) {
    const hook = await startReceiver();
    const parts = await startForTest({ faults, webhooks: [hook.endpoint] });
    const pass = async (ms: number) => {
      parts.emulator.clock.advance(ms);
      await parts.emulator.deliverWebhooks();
    };
    return { ...parts, ...hook, pass };
  }

  test('tell of each end once, signed as the official client checks it', async () => {
    const { client, received, refused, pass } = await startWithHook([
      { match: { response: 2 }, effect: { kind: 'response.fail' } },
      { match: { response: 3 }, effect: { kind: 'line.incomplete' } },
    ]);
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push((await create(client)).id);
    await client.responses.cancel(ids[3]!);
    await pass(0);
    expect(received.map(({ type }) => type)).toEqual(['response.cancelled']);
    await pass(HOUR_MS);
    await pass(HOUR_MS);
    expect(Object.fromEntries(received.map(({ about, type }) => [about, type]))).toEqual({
      [ids[0]!]: 'response.completed',
      [ids[1]!]: 'response.failed',
      [ids[2]!]: 'response.incomplete',
      [ids[3]!]: 'response.cancelled',
    });
    expect([received.length, refused]).toEqual([4, []]);
  });

  test('come twice, late, not at all, forged, and with one about an id of nobody', async () => {
    const { client, received, refused, pass } = await startWithHook([
      {
        match: { response: 1, event: 'completed$' },
        effect: { kind: 'webhook.duplicate', after_seconds: 60 },
      },
      { match: { response: 2 }, effect: { kind: 'webhook.delay', seconds: 600 } },
      { match: { response: 3 }, effect: { kind: 'webhook.lose' } },
      { match: { response: 4 }, effect: { kind: 'webhook.bad_signature' } },
      { match: { response: 5 }, effect: { kind: 'webhook.foreign' } },
    ]);
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push((await create(client, {}, `r${i + 1}`)).id);
    await pass(576_000);
    const about = received.map((event) => event.about);
    const foreign = about.filter((id) => !ids.includes(id));
    expect(foreign.length).toBe(1);
    expect((await refusalOf(client.responses.retrieve(foreign[0]!))).status).toBe(404);
    expect(about.filter((id) => ids.includes(id)).sort()).toEqual([ids[0], ids[4]].sort());
    expect(refused.length).toBe(1);
    await pass(60_000);
    const [first, ...copies] = received.filter((event) => event.about === ids[0]);
    expect(copies).toEqual([first]);
    await pass(540_000);
    expect(received.map((event) => event.about)).toContain(ids[1]);
    expect(received.map((event) => event.about)).not.toContain(ids[2]);
  });

  test('tell of a response that was cancelled and then completed both times', async () => {
    const { client, received, pass } = await startWithHook([
      { effect: { kind: 'response.cancel_race', seconds: 60 } },
    ]);
    const { id } = await create(client);
    await client.responses.cancel(id);
    await pass(0);
    await pass(60_000);
    expect(received.map(({ about, type }) => [about, type])).toEqual([
      [id, 'response.cancelled'],
      [id, 'response.completed'],
    ]);
    expect(new Set(received.map((event) => event.id)).size).toBe(2);
  });

  test('tell nothing of a response that was deleted before its end', async () => {
    const { client, emulator, received, pass } = await startWithHook();
    const { id } = await create(client);
    await client.responses.delete(id);
    await pass(9 * HOUR_MS);
    expect([received, await emulator.ledger.all()]).toEqual([[], []]);
  });
});

test('looks are counted by route, also those that are refused', async () => {
  const { client, emulator } = await startForTest();
  const { id } = await create(client);
  for (let i = 0; i < 3; i++) await client.responses.retrieve(id);
  await client.responses.retrieve('resp_of_nobody').catch(() => {});
  expect(emulator.calls()).toEqual({ 'POST /v1/responses': 1, 'GET /v1/responses/*': 4 });
});

test('with an upstream, a response is asked for once, and ends with its answer', async () => {
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    request.resume();
    const usage = { input_tokens: 5, output_tokens: 7 };
    const body = { object: 'response', status: 'completed', model: 'm', output: [], usage };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { client, emulator } = await startForTest({
    upstream: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
  });
  const { id } = await create(client);
  emulator.clock.advance(HOUR_MS);
  await expect.poll(async () => (await client.responses.retrieve(id)).status).toBe('completed');
  expect(await client.responses.retrieve(id)).toMatchObject({ id, model: 'm', usage: { output_tokens: 7 } });
  expect([asked, (await emulator.ledger.all()).map(({ billed_tokens }) => billed_tokens)]).toEqual([1, [12]]);
});
