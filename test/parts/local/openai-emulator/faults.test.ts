import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import { type FaultRule, startEmulator } from '../../../../local/openai-emulator/emulator.ts';
import * as fixtures from './fixtures.ts';
import {
  chatLine,
  chatLines,
  clientFor,
  contentOf,
  createBatch,
  linesOf,
  refusalOf,
  runBatch,
  startForTest,
  temporaryFolder,
  toJsonl,
  upload,
} from './support.ts';

const startWith = (...faults: FaultRule[]) => startForTest({ faults });

describe('line faults', () => {
  test.each([400, 404, 429, 500, 503, 504])(
    'put a line of status %i into the error file, unbilled',
    async (status) => {
      const parts = await startWith({
        match: { custom_id: '^request-2$' },
        effect: { kind: 'line.status', status },
      });
      const batch = await runBatch(parts, chatLines(3));
      expect(batch.request_counts).toEqual({ total: 3, completed: 2, failed: 1 });
      const [line] = await linesOf(parts.client, batch.error_file_id);
      expect(line).toMatchObject({ custom_id: 'request-2', response: { status_code: status }, error: null });
      const error = line!.response!.body.error as { message: string };
      expect(Object.keys(error)).toEqual(fixtures.LINE_ERROR_KEYS);
      expect(error.message).toContain(fixtures.LINE_STATUS_MESSAGES[status] ?? '');
      const refused = (await parts.emulator.ledger.all()).find((entry) => entry.custom_id === 'request-2');
      expect(refused).toMatchObject({ status, billed_tokens: 0 });
    },
  );

  test('make a zombie line: status 0 in the error file, counted as completed', async () => {
    const parts = await startWith({
      match: { custom_id: '^request-1$' },
      effect: { kind: 'line.status', status: 0 },
    });
    const batch = await runBatch(parts, chatLines(2));
    expect(batch.request_counts).toEqual({ total: 2, completed: 2, failed: 0 });
    const [line] = await linesOf(parts.client, batch.error_file_id);
    expect(line).toMatchObject({ response: fixtures.ZOMBIE_RESPONSE, error: null });
    expect(line!.response).toEqual(fixtures.ZOMBIE_RESPONSE);
  });

  test('leave a line out, write one twice, and write one under a foreign custom_id', async () => {
    const parts = await startWith(
      { match: { custom_id: '^request-1$' }, effect: { kind: 'line.missing' } },
      { match: { custom_id: '^request-2$' }, effect: { kind: 'line.duplicate' } },
      { match: { custom_id: '^request-3$' }, effect: { kind: 'line.foreign_id', custom_id: 'nobody' } },
    );
    const batch = await runBatch(parts, chatLines(3));
    const ids = (await linesOf(parts.client, batch.output_file_id)).map((line) => line.custom_id);
    expect(ids.sort()).toEqual(['nobody', 'request-2', 'request-2']);
    expect(batch.request_counts?.completed).toBe(3);
    const executed = (await parts.emulator.ledger.all()).map((entry) => entry.custom_id);
    expect(executed.sort()).toEqual(['request-1', 'request-2', 'request-3']);
  });

  test('cut an answer short: finish_reason length in chat, status incomplete in responses', async () => {
    const parts = await startWith({ effect: { kind: 'line.length' } });
    const chat = await parts.client.chat.completions.create(chatLine('a').body as never);
    expect(chat.choices[0]).toMatchObject({ finish_reason: 'length', message: { content: '' } });
    const response = await parts.client.responses.create({ model: 'gpt-6-luna', input: 'hello' });
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output_text: '',
    });
  });

  test('put U+2028, U+2029 and U+0085 raw into an answer', async () => {
    const parts = await startWith({ effect: { kind: 'line.text' } });
    const batch = await runBatch(parts, chatLines(2));
    const content = await contentOf(parts.client, batch.output_file_id);
    for (const separator of ['\u2028', '\u2029', '\u0085']) expect(content).toContain(separator);
    expect(
      content
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)).length,
    ).toBe(2);
  });

  test('give a line an error instead of a response', async () => {
    const parts = await startWith({ effect: { kind: 'line.error', code: 'request_timeout' } });
    const batch = await runBatch(parts, chatLines(1));
    const [line] = await linesOf(parts.client, batch.error_file_id);
    expect(line).toMatchObject({ response: null, error: { code: 'request_timeout' } });
    expect(await parts.emulator.ledger.all()).toEqual([]);
  });

  test('report cached tokens', async () => {
    const parts = await startWith({ effect: { kind: 'line.cached', tokens: 1 } });
    expect((await runBatch(parts, chatLines(2))).usage?.input_tokens_details.cached_tokens).toBe(2);
  });

  test('fire as often as times says, per custom_id, after skip', async () => {
    const parts = await startWith(
      { times: 1, per: 'custom_id', effect: { kind: 'line.status', status: 500 } },
      { match: { batch: 3 }, skip: 1, times: 1, effect: { kind: 'line.status', status: 503 } },
    );
    expect((await runBatch(parts, chatLines(3))).request_counts?.failed).toBe(3);
    expect((await runBatch(parts, chatLines(4))).request_counts?.failed).toBe(1);
    const third = await runBatch(parts, chatLines(4));
    expect((await linesOf(parts.client, third.error_file_id)).map((line) => line.custom_id)).toEqual([
      'request-2',
    ]);
  });

  test('hit only the share, model and metadata that the rule names', async () => {
    const parts = await startWith(
      { share: 0.3, match: { metadata: { kind: 'share' } }, effect: { kind: 'line.status', status: 500 } },
      { match: { model: '^gpt-4o$' }, effect: { kind: 'line.status', status: 404 } },
    );
    const shared = await runBatch(parts, chatLines(100), { metadata: { kind: 'share' } });
    expect(shared.request_counts!.failed).toBeGreaterThan(10);
    expect(shared.request_counts!.failed).toBeLessThan(50);
    expect((await runBatch(parts, chatLines(2))).request_counts?.failed).toBe(0);
    expect((await runBatch(parts, chatLines(2, { model: 'gpt-4o' }))).request_counts?.failed).toBe(2);
  });
});

describe('file faults', () => {
  test.each(['newline', 'line', 'character'] as const)('cut the output file at its last %s', async (at) => {
    const parts = await startWith(
      { effect: { kind: 'file.cut', at } },
      { effect: { kind: 'line.text', text: 'ü'.repeat(50) } },
    );
    const batch = await runBatch(parts, chatLines(3));
    const response = await parts.client.files.content(batch.output_file_id!);
    const bytes = Buffer.from(await response.arrayBuffer());
    expect((await parts.client.files.retrieve(batch.output_file_id!)).bytes).toBe(bytes.length);
    expect(bytes.at(-1)).not.toBe(0x0a);
    const last = bytes.subarray(bytes.lastIndexOf(0x0a) + 1).toString('utf8');
    if (at === 'newline') expect(() => JSON.parse(last)).not.toThrow();
    else expect(() => JSON.parse(last)).toThrow();
    if (at === 'character') expect(last).toContain('\ufffd');
  });
});

test('a file fault counts only for the file that it names', async () => {
  const parts = await startWith(
    { match: { custom_id: '^request-1$' }, effect: { kind: 'line.status', status: 500 } },
    { times: 1, effect: { kind: 'file.cut', file: 'error', at: 'newline' } },
  );
  const batch = await runBatch(parts, chatLines(2));
  expect(await contentOf(parts.client, batch.output_file_id)).toMatch(/\n$/);
  expect(await contentOf(parts.client, batch.error_file_id)).not.toMatch(/\n$/);
});

describe('HTTP faults', () => {
  test('refuse a create as the billing limit does', async () => {
    const error = {
      message: 'x',
      type: 'invalid_request_error',
      param: null,
      code: 'billing_hard_limit_reached',
    };
    const { client } = await startWith({
      match: { route: 'POST /v1/batches' },
      effect: { kind: 'http.status', status: 400, body: { error } },
    });
    const refusal = await refusalOf(createBatch(client, chatLines(1)));
    expect(refusal).toMatchObject({ status: 400, code: 'billing_hard_limit_reached' });
  });

  test('hit a share of calls that look alike', async () => {
    const { client } = await startWith({ share: 0.5, effect: { kind: 'http.status', status: 500 } });
    let refused = 0;
    for (let i = 0; i < 60; i++) await client.batches.list().catch(() => refused++);
    expect(refused).toBeGreaterThan(10);
    expect(refused).toBeLessThan(50);
  });

  test('answer with a status, headers and body, and the client retries as it does in life', async () => {
    const { emulator } = await startWith({
      match: { route: 'GET /v1/batches' },
      times: 2,
      effect: { kind: 'http.status', status: 503, headers: { 'retry-after-ms': '1' } },
    });
    const client = new OpenAI({ baseURL: emulator.endpoint, apiKey: 'sk-test', maxRetries: 2 });
    expect((await client.batches.list()).data).toEqual([]);
  });

  test('answer flex calls with the 429 of missing capacity', async () => {
    const parts = await startWith({
      match: { route: 'POST /v1/responses' },
      effect: { kind: 'http.status', status: 429, body: { error: fixtures.RESOURCE_UNAVAILABLE_ERROR } },
    });
    const refusal = await refusalOf(
      parts.client.responses.create({ model: 'gpt-6-luna', input: 'x', service_tier: 'flex' }),
    );
    expect(refusal).toBeInstanceOf(OpenAI.RateLimitError);
    expect(refusal.error).toEqual(fixtures.RESOURCE_UNAVAILABLE_ERROR);
    expect(await parts.emulator.ledger.all()).toEqual([]);
  });

  test('answer before the upload was read', async () => {
    const { client } = await startWith({
      match: { route: 'POST /v1/files' },
      effect: { kind: 'http.status', status: 413, early: true },
    });
    await expect(upload(client, 'x'.repeat(5_000_000))).rejects.toBeInstanceOf(OpenAI.APIError);
    expect((await client.files.list()).data).toEqual([]);
  });

  test('reset the connection before or after the effect', async () => {
    const { client } = await startWith(
      {
        match: { route: 'POST /v1/batches' },
        times: 1,
        effect: { kind: 'http.reset', when: 'before' },
      },
      { match: { route: 'POST /v1/batches' }, times: 1, effect: { kind: 'http.reset', when: 'after' } },
    );
    await expect(createBatch(client, chatLines(1))).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
    expect((await client.batches.list()).data.length).toBe(0);
    await expect(createBatch(client, chatLines(1))).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
    expect((await client.batches.list()).data.length).toBe(1);
    await expect(createBatch(client, chatLines(1))).resolves.toBeDefined();
  });

  test('break a download off though the full length was announced', async () => {
    const { client } = await startWith({
      match: { route: 'GET /v1/files/*/content' },
      times: 1,
      effect: { kind: 'http.truncate', keep_bytes: 100 },
    });
    const content = toJsonl(chatLines(1000));
    const file = await upload(client, content);
    const response = await client.files.content(file.id);
    expect(response.headers.get('content-length')).toBe(String(content.length));
    await expect(response.text()).rejects.toThrow();
    expect(await contentOf(client, file.id)).toBe(content);
  });

  test('never answer', async () => {
    const { emulator } = await startWith({ effect: { kind: 'http.hang' } });
    const client = new OpenAI({ baseURL: emulator.endpoint, apiKey: 'sk-test', maxRetries: 0, timeout: 50 });
    await expect(client.batches.list()).rejects.toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
  });
});

describe('batch faults', () => {
  test.each(['validating', 'in_progress', 'finalizing'] as const)(
    'hold a batch in %s until it expires',
    async (state) => {
      const { client, emulator } = await startWith({ effect: { kind: 'batch.stuck', state } });
      const batch = await createBatch(client, chatLines(3));
      emulator.clock.advance(80_000_000);
      expect((await client.batches.retrieve(batch.id)).status).toBe(state);
      emulator.clock.advance(6_400_000);
      const expired = await client.batches.retrieve(batch.id);
      expect(expired.status).toBe('expired');
      const lines = [
        ...(await linesOf(client, expired.output_file_id)),
        ...(await linesOf(client, expired.error_file_id)),
      ];
      expect(lines.length).toBe(state === 'validating' ? 0 : 3);
    },
  );

  test('hold a cancel for ever', async () => {
    const { client, emulator } = await startWith({ effect: { kind: 'batch.stuck', state: 'cancelling' } });
    const batch = await createBatch(client, chatLines(3));
    await client.batches.cancel(batch.id);
    emulator.clock.advance(800_000_000);
    expect((await client.batches.retrieve(batch.id)).status).toBe('cancelling');
  });

  test('fail a batch with the errors of the rule', async () => {
    const errors = [{ code: 'token_limit_exceeded', message: 'on a tiny batch', param: null, line: null }];
    const parts = await startWith({ match: { batch: 1 }, effect: { kind: 'batch.fail', errors } });
    expect((await runBatch(parts, chatLines(1))).errors?.data).toEqual(errors);
    expect((await runBatch(parts, chatLines(1))).status).toBe('completed');
  });

  test('expire a batch with just so many lines done, early if asked', async () => {
    const parts = await startWith({ effect: { kind: 'batch.expire', done: 2, after_seconds: 600 } });
    const batch = await runBatch(parts, chatLines(5));
    expect(batch).toMatchObject({ status: 'expired', expired_at: batch.created_at + 600 });
    expect((await linesOf(parts.client, batch.output_file_id)).length).toBe(2);
    expect((await linesOf(parts.client, batch.error_file_id)).length).toBe(3);
    expect((await parts.emulator.ledger.all()).length).toBe(2);
  });

  test('make a batch vanish after some reads', async () => {
    const { client } = await startWith({ effect: { kind: 'batch.vanish', after_reads: 2 } });
    const batch = await createBatch(client, chatLines(1));
    await client.batches.retrieve(batch.id);
    await client.batches.retrieve(batch.id);
    expect((await refusalOf(client.batches.retrieve(batch.id))).status).toBe(404);
    expect((await client.batches.list()).data).toEqual([]);
  });

  test('leave a new batch out of the list for a while', async () => {
    const { client, emulator } = await startWith({ effect: { kind: 'batch.unlisted', seconds: 30 } });
    const batch = await createBatch(client, chatLines(1));
    expect((await client.batches.list()).data).toEqual([]);
    expect((await client.batches.retrieve(batch.id)).id).toBe(batch.id);
    emulator.clock.advance(30_000);
    expect((await client.batches.list()).data.length).toBe(1);
  });

  test('show other counts, take longer, and keep tokens enqueued', async () => {
    const parts = await startForTest({
      limits: { enqueuedTokens: 10 },
      faults: [
        { match: { batch: 1 }, effect: { kind: 'batch.counts', total: 99 } },
        { match: { batch: 1 }, effect: { kind: 'batch.duration', seconds: 20_000 } },
        { match: { batch: 1 }, effect: { kind: 'batch.leak_tokens' } },
      ],
    });
    const first = await runBatch(parts, chatLines(1));
    expect(first.request_counts).toEqual({ total: 99, completed: 1, failed: 0 });
    expect(first.completed_at! - first.created_at).toBe(20_005);
    const second = await runBatch(parts, chatLines(1));
    expect(second.errors?.data?.[0]?.code).toBe('token_limit_exceeded');
  });

  test('lose finished lines of a cancelled batch, and its counters go back', async () => {
    const { client, emulator } = await startWith({ effect: { kind: 'batch.lose_finished' } });
    const batch = await createBatch(client, chatLines(5));
    emulator.clock.advance(40_000);
    const cancelling = await client.batches.cancel(batch.id);
    expect(cancelling.request_counts!.completed).toBeGreaterThan(0);
    emulator.clock.advance(60_000);
    const cancelled = await client.batches.retrieve(batch.id);
    expect(cancelled).toMatchObject({
      output_file_id: null,
      request_counts: { total: 5, completed: 0, failed: 0 },
    });
    const lost = cancelling.request_counts!.completed;
    expect((await linesOf(client, cancelled.error_file_id)).length).toBe(5 - lost);
  });
});

describe('fault rules', () => {
  test('come from a file, and can be replaced over HTTP', async () => {
    const dir = temporaryFolder();
    const path = join(dir, 'faults.json');
    const rules = [{ effect: { kind: 'http.status', status: 500 } }];
    writeFileSync(path, JSON.stringify({ rules }));
    const { emulator, client } = await startForTest({ faults: path });
    expect((await refusalOf(client.batches.list())).status).toBe(500);
    const server = new URL('/emulator/faults', emulator.endpoint);
    await fetch(server, { method: 'POST', body: JSON.stringify({ rules: [] }) });
    expect((await client.batches.list()).data).toEqual([]);
    const wrong = await fetch(server, { method: 'POST', body: JSON.stringify({ rules: [{ effect: {} }] }) });
    expect(wrong.status).toBe(400);
  });

  test('fails to start on a rule that is not understood, naming it', async () => {
    const faults = [{ effect: { kind: 'line.explode' } }] as unknown as FaultRule[];
    await expect(startEmulator({ dir: temporaryFolder(), faults })).rejects.toThrow('kind');
  });

  test('keep their counts over a restart', async () => {
    const dir = temporaryFolder();
    const faults: FaultRule[] = [
      { match: { route: 'GET /v1/batches' }, times: 1, effect: { kind: 'http.status', status: 500 } },
    ];
    const before = await startEmulator({ dir, faults });
    expect((await refusalOf(clientFor(before).batches.list())).status).toBe(500);
    await before.close();
    const { client } = await startForTest({ dir, faults });
    expect((await client.batches.list()).data).toEqual([]);
  });
});
