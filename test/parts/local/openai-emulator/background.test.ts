import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type FaultRule, startEmulator, virtualClock } from '../../../../local/openai-emulator/emulator.ts';
import { type BackgroundParams, createInBackground as create, HOUR_MS } from './background-support.ts';
import { clientFor, linesOf, refusalOf, runBatch, startForTest, temporaryFolder } from './support.ts';

describe('a background response', () => {
  test('is answered at once as queued, runs, and ends with its answer, its usage and its metadata', async () => {
    const { client, emulator } = await startForTest();
    const queued = await create(client, { metadata: { nonce: 'n-1' } });
    expect(queued).toMatchObject({
      object: 'response',
      status: 'queued',
      background: true,
      completed_at: null,
      output: [],
      usage: null,
      metadata: { nonce: 'n-1' },
    });
    expect(queued.id).toMatch(/^resp_[0-9a-f]{48}$/);
    emulator.clock.advance(300_000);
    expect(await client.responses.retrieve(queued.id)).toMatchObject({ status: 'in_progress', usage: null });
    emulator.clock.advance(300_000);
    const done = await client.responses.retrieve(queued.id);
    expect(done).toMatchObject({
      id: queued.id,
      status: 'completed',
      background: true,
      created_at: queued.created_at,
      completed_at: queued.created_at + 576,
      service_tier: 'default',
      metadata: { nonce: 'n-1' },
    });
    expect(done.output_text).toMatch(/^\[emulated\] /);
    expect(done.usage!.total_tokens).toBeGreaterThan(0);
  });

  test('is in the ledger at the rate of its window, under the hash of its content', async () => {
    const { client, emulator } = await startForTest();
    for (const window of ['8h', '2h', 'soonest']) {
      await create(client, {
        background_options: { completion_window: window },
        metadata: { nonce: window },
      });
    }
    await client.responses.create({ model: 'gpt-6.2-sol', input: 'What is an otter?' });
    expect((await emulator.ledger.all()).length).toBe(1);
    emulator.clock.advance(HOUR_MS);
    const all = await emulator.ledger.all();
    expect(all.map(({ tier, rate }) => [tier, rate])).toEqual([
      ['background-8h', 0.6],
      ['background-2h', 0.7],
      ['default', 1],
      ['default', 1],
    ]);
    expect(new Set(all.map(({ request_hash }) => request_hash)).size).toBe(1);
    expect((await emulator.ledger.boughtTwice()).map((times) => times.length)).toEqual([3]);
  });

  test('is not found under another project, after its deletion, or when it never was', async () => {
    const { client, emulator } = await startForTest({
      apiKeys: { 'sk-test': 'proj_a', 'sk-other': 'proj_b' },
    });
    const { id } = await create(client);
    for (const other of [
      clientFor(emulator, 'sk-other').responses.retrieve(id),
      client.responses.retrieve('x'),
    ])
      expect((await refusalOf(other)).status).toBe(404);
    emulator.clock.advance(HOUR_MS);
    await client.responses.delete(id);
    const refused = await refusalOf(client.responses.retrieve(id));
    expect([refused.status, refused.message]).toEqual([404, `404 Response with id '${id}' not found.`]);
    expect((await refusalOf(client.responses.delete(id))).status).toBe(404);
    expect((await emulator.ledger.all()).length).toBe(1);
  });

  test('that is cancelled while queued never runs and costs nothing', async () => {
    const { client, emulator } = await startForTest();
    const { id } = await create(client);
    const cancelled = await client.responses.cancel(id);
    expect(cancelled).toMatchObject({ id, status: 'cancelled', output: [], usage: null });
    emulator.clock.advance(9 * HOUR_MS);
    expect(await client.responses.cancel(id)).toEqual(cancelled);
    expect(await client.responses.retrieve(id)).toMatchObject(cancelled);
    expect(await emulator.ledger.all()).toEqual([]);
  });

  test.each(['billed', 'unbilled'] as const)('that is cancelled while in_progress is %s', async (as) => {
    const { client, emulator } = await startForTest({ background: { cancelledInProgress: as } });
    const { id } = await create(client);
    emulator.clock.advance(300_000);
    expect((await client.responses.cancel(id)).status).toBe('cancelled');
    emulator.clock.advance(9 * HOUR_MS);
    const [execution, ...others] = await emulator.ledger.all();
    expect(others).toEqual([]);
    expect(execution).toMatchObject({ response_id: id, outcome: 'cancelled', status: 499 });
    expect(execution!.billed_tokens > 0).toBe(as === 'billed');
  });

  test('that is completed is returned by a cancel as it is', async () => {
    const { client, emulator } = await startForTest();
    const { id } = await create(client);
    emulator.clock.advance(HOUR_MS);
    expect((await client.responses.cancel(id)).status).toBe('completed');
  });

  test('that is cut by max_output_tokens is incomplete, with usage', async () => {
    const { client, emulator } = await startForTest();
    const { id } = await create(client, { max_output_tokens: 2 });
    emulator.clock.advance(HOUR_MS);
    const ended = await client.responses.retrieve(id);
    expect(ended).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      usage: { output_tokens: 2 },
    });
    expect(await emulator.ledger.all()).toMatchObject([{ outcome: 'incomplete', status: 200 }]);
  });
});

test.each<[string, BackgroundParams, string]>([
  ['without background', { background: false }, 'background_options'],
  [
    'with another window',
    { background_options: { completion_window: '4h' } },
    'background_options.completion_window',
  ],
  ['with flex', { service_tier: 'flex' }, 'service_tier'],
  ['with priority', { service_tier: 'priority' }, 'service_tier'],
  ['with stream', { stream: true }, 'stream'],
  ['of a model without windows', { model: 'gpt-6.1-sol' }, 'background_options.completion_window'],
])('a window %s is refused with 400 and runs nothing', async (_, params, param) => {
  const { client, emulator } = await startForTest();
  const refused = await refusalOf(create(client, params));
  expect([refused.status, refused.param, refused.type]).toEqual([400, param, 'invalid_request_error']);
  emulator.clock.advance(9 * HOUR_MS);
  expect(await emulator.ledger.all()).toEqual([]);
});

test('background_options without background are refused in a batch as well, and background: false alone is answered', async () => {
  const { client, emulator } = await startForTest();
  const body = { model: 'gpt-6.2-sol', input: 'What is an otter?', background: false };
  const line = (custom_id: string, changes: object) => ({
    custom_id,
    method: 'POST',
    url: '/v1/responses',
    body: { ...body, ...changes },
  });
  const lines = [line('bad', { background_options: { completion_window: '8h' } }), line('good', {})];
  const batch = await runBatch({ emulator, client }, lines, { endpoint: '/v1/responses' });
  const failed = await linesOf(client, batch.error_file_id);
  expect(failed.map(({ custom_id, response }) => [custom_id, response!.status_code])).toEqual([['bad', 400]]);
  const answered = await client.responses.create(body);
  expect(answered).toMatchObject({ status: 'completed', background: false });
});

describe('retention', () => {
  const keptFor = async (params: BackgroundParams, retention?: 'mam' | 'zdr') => {
    const { client, emulator } = await startForTest({
      background: retention === undefined ? {} : { retention: { proj_emulated: retention } },
    });
    const { id } = await create(client, params);
    emulator.clock.advance(576_000);
    await client.responses.retrieve(id);
    const isFound = async () => (await client.responses.retrieve(id).catch(() => undefined)) !== undefined;
    emulator.clock.advance(599_000);
    expect(await isFound()).toBe(true);
    emulator.clock.advance(1_000);
    if (!(await isFound())) return '10 minutes';
    emulator.clock.advance(30 * 24 * HOUR_MS - 600_000);
    expect(await isFound()).toBe(false);
    return '30 days';
  };

  test.each<[string, BackgroundParams, 'mam' | 'zdr' | undefined, string]>([
    ['a response', {}, undefined, '30 days'],
    ['a response with store: false', { store: false }, undefined, '10 minutes'],
    ['a response of a ZDR project, even with store: true,', { store: true }, 'zdr', '10 minutes'],
    ['a response of a MAM project', {}, 'mam', '10 minutes'],
    ['a response of a MAM project with store: true', { store: true }, 'mam', '30 days'],
  ])('%s is kept as long after its end as documented', async (_, params, retention, kept) => {
    expect(await keptFor(params, retention)).toBe(kept);
  });
});

test('of a pool with one place, the others stay queued, and the oldest goes first', async () => {
  const { client, emulator } = await startForTest({ background: { capacity: 1 } });
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) ids.push((await create(client)).id);
  const statuses = async () =>
    (await Promise.all(ids.map((id) => client.responses.retrieve(id)))).map(({ status }) => status);
  emulator.clock.advance(288_000);
  expect(await statuses()).toEqual(['in_progress', 'queued', 'queued']);
  emulator.clock.advance(288_000);
  expect(await statuses()).toEqual(['completed', 'in_progress', 'queued']);
  emulator.clock.advance(8 * HOUR_MS);
  const ends = await Promise.all(ids.map((id) => client.responses.retrieve(id)));
  expect(ends.map((ended) => ended.completed_at! - ended.created_at)).toEqual([576, 864, 1152]);
});

test('a response continues after a restart, and is executed once', async () => {
  const dir = temporaryFolder();
  const clock = virtualClock();
  const faults: FaultRule[] = [
    { match: { response: 2 }, effect: { kind: 'response.stuck', state: 'in_progress' } },
  ];
  const before = await startEmulator({ dir, clock, faults });
  const done = await create(clientFor(before), {}, 'done');
  const stuck = await create(clientFor(before), {}, 'stuck');
  clock.advance(300_000);
  const half = await clientFor(before).responses.retrieve(done.id);
  expect(half.status).toBe('in_progress');
  await before.close();
  // What a kill left half written.
  appendFileSync(join(dir, 'journal.jsonl'), '[{"type":"response_changed","id');

  const { client, emulator } = await startForTest({ dir, clock });
  expect(await client.responses.retrieve(done.id)).toEqual(half);
  clock.advance(24 * HOUR_MS);
  expect((await client.responses.retrieve(done.id)).status).toBe('completed');
  expect((await client.responses.retrieve(stuck.id)).status).toBe('in_progress');
  expect((await emulator.ledger.all()).map(({ custom_id }) => custom_id)).toEqual(['done']);
});
