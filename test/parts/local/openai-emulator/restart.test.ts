import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import OpenAI from 'openai';
import { describe, expect, onTestFinished, test } from 'vitest';
import { scaledClock } from '../../../../local/openai-emulator/clock.ts';
import { startEmulator, virtualClock } from '../../../../local/openai-emulator/emulator.ts';
import {
  chatLine,
  chatLines,
  clientFor,
  createBatch,
  linesOf,
  runBatch,
  startForTest,
  temporaryFolder,
  upload,
} from './support.ts';

describe('after a restart on the same folder', () => {
  test('a batch continues where it was, and no line is executed again', async () => {
    const dir = temporaryFolder();
    const clock = virtualClock();
    const before = await startEmulator({ dir, clock });
    const batch = await createBatch(clientFor(before), chatLines(40));
    clock.advance(80_000);
    const half = await clientFor(before).batches.retrieve(batch.id);
    expect(half.request_counts!.completed).toBeGreaterThan(0);
    const executed = await before.ledger.all();
    await before.close();

    const { client, emulator } = await startForTest({ dir, clock });
    expect(await client.batches.retrieve(batch.id)).toEqual(half);
    expect(await emulator.ledger.all()).toEqual(executed);
    clock.advance(600_000);
    const done = await client.batches.retrieve(batch.id);
    expect(done.request_counts).toEqual({ total: 40, completed: 40, failed: 0 });
    const lines = await linesOf(client, done.output_file_id);
    expect(new Set(lines.map((line) => line.custom_id)).size).toBe(40);
    expect((await emulator.ledger.all()).slice(0, executed.length)).toEqual(executed);
    expect(await emulator.ledger.boughtTwice()).toEqual([]);
  });

  test('what a kill left half written is cut off, and the batch still ends whole', async () => {
    const dir = temporaryFolder();
    const clock = virtualClock();
    const before = await startEmulator({ dir, clock });
    const batch = await createBatch(clientFor(before), chatLines(40));
    clock.advance(80_000);
    await before.ledger.all();
    await before.close();
    appendFileSync(join(dir, 'batches', batch.id, 'answers.jsonl'), '{"id":"batch_req_torn');
    appendFileSync(join(dir, 'batches', batch.id, 'executions.jsonl'), '{"line":39,"cust');
    appendFileSync(join(dir, 'journal.jsonl'), '[{"type":"batch","rec');

    const { client, emulator } = await startForTest({ dir, clock });
    clock.advance(600_000);
    const done = await client.batches.retrieve(batch.id);
    expect((await linesOf(client, done.output_file_id)).length).toBe(40);
    expect((await emulator.ledger.all()).length).toBe(40);
  });

  test('new ids are new, and terminal batches and files are as they were', async () => {
    const dir = temporaryFolder();
    const clock = virtualClock();
    const before = await startEmulator({ dir, clock });
    const done = await runBatch({ emulator: before, client: clientFor(before) }, chatLines(3));
    const output = await linesOf(clientFor(before), done.output_file_id);
    await before.close();
    const { client } = await startForTest({ dir, clock });
    expect(await client.batches.retrieve(done.id)).toEqual(done);
    expect(await linesOf(client, done.output_file_id)).toEqual(output);
    const file = await upload(client, '{}\n');
    expect([done.input_file_id, done.output_file_id]).not.toContain(file.id);
  });

  test('fails to open a damaged journal and says which line', async () => {
    const dir = temporaryFolder();
    await (await startEmulator({ dir })).close();
    appendFileSync(join(dir, 'journal.jsonl'), 'damaged\n');
    await expect(startEmulator({ dir })).rejects.toThrow(/journal\.jsonl:4/);
  });
});

describe('clocks', () => {
  test('a scaled clock runs so many times as fast as real time and can be advanced', () => {
    let real = 1000;
    const clock = scaledClock(60, 5000, () => real);
    real += 1000;
    expect(clock.now()).toBe(65_000);
    clock.advance(500);
    expect(clock.now()).toBe(65_500);
  });

  test('refuses to go back', () => {
    expect(() => virtualClock().advance(-1)).toThrow(RangeError);
    expect(() => scaledClock(0)).toThrow(RangeError);
  });
});

describe('an emulator with an upstream', () => {
  test('sends each request up once and records the real answers', async () => {
    const upstream = await startForTest();
    const { client, emulator } = await startForTest({
      upstream: { baseURL: upstream.emulator.endpoint, apiKey: 'sk-up', concurrency: 3 },
    });
    const lines = [
      ...chatLines(20, { model: 'gpt-4.1' }),
      chatLine('bad', { model: 'gpt-4.1', temperature: 9 }),
    ];
    const batch = await createBatch(client, lines);
    emulator.clock.advance(3000);
    await expect
      .poll(async () => (await client.batches.retrieve(batch.id)).request_counts?.total, { interval: 5 })
      .toBe(21);
    await expect.poll(async () => (await upstream.emulator.ledger.all()).length, { interval: 5 }).toBe(21);
    await expect
      .poll(async () => {
        emulator.clock.advance(2000);
        return (await client.batches.retrieve(batch.id)).status;
      })
      .toBe('completed');
    const done = await client.batches.retrieve(batch.id);
    expect(done.request_counts).toEqual({ total: 21, completed: 20, failed: 1 });
    expect((await linesOf(client, done.output_file_id)).length).toBe(20);
    expect((await upstream.emulator.ledger.all()).length).toBe(21);
    expect((await emulator.ledger.all()).map((execution) => execution.billed_tokens)).toContain(0);
    const alone = await client.chat.completions.create(chatLine('x').body as never);
    expect(alone.choices[0]!.message.content).toContain('[emulated]');
    expect((await upstream.emulator.ledger.all()).length).toBe(22);
  });

  test('gives 503 lines when the upstream cannot be reached', async () => {
    const gone = await startEmulator({ dir: temporaryFolder() });
    await gone.close();
    const { client, emulator } = await startForTest({ upstream: gone.endpoint });
    const batch = await createBatch(client, [chatLine('a', { model: 'any-model-name' })]);
    await expect
      .poll(async () => {
        emulator.clock.advance(2000);
        return (await client.batches.retrieve(batch.id)).status;
      })
      .toBe('completed');
    const done = await client.batches.retrieve(batch.id);
    const [line] = await linesOf(client, done.error_file_id);
    expect(line?.response?.status_code).toBe(503);
  });
});

describe('main.ts', () => {
  const start = async (dir: string): Promise<{ child: ChildProcess; endpoint: string }> => {
    const main = resolve(import.meta.dirname, '../../../../local/openai-emulator/main.ts');
    const child = spawn(process.execPath, [main, '--port', '0', '--dir', dir, '--scale', '0.001']);
    onTestFinished(() => void child.kill('SIGKILL'));
    for await (const line of createInterface({ input: child.stdout! })) {
      const endpoint = /^export OPENAI_BASE_URL=(.+)$/.exec(line)?.[1];
      if (endpoint !== undefined) return { child, endpoint };
    }
    throw new Error('main.ts ended without an endpoint');
  };
  const advance = (endpoint: string, ms: number) =>
    fetch(new URL('/emulator/advance', endpoint), { method: 'POST', body: JSON.stringify({ ms }) });
  const get = async (endpoint: string, path: string) => (await fetch(new URL(path, endpoint))).text();

  test('runs alone, is controlled over HTTP, and continues after SIGKILL', async () => {
    const dir = temporaryFolder();
    const first = await start(dir);
    const client = new OpenAI({ baseURL: first.endpoint, apiKey: 'sk-test', maxRetries: 0 });
    const batch = await createBatch(client, chatLines(40));
    await advance(first.endpoint, 80_000);
    const before = await get(first.endpoint, '/emulator/ledger');
    expect(before.trimEnd().split('\n').length).toBeGreaterThan(1);
    first.child.kill('SIGKILL');
    await once(first.child, 'exit');

    const second = await start(dir);
    const again = new OpenAI({ baseURL: second.endpoint, apiKey: 'sk-test', maxRetries: 0 });
    await advance(second.endpoint, 600_000);
    expect((await again.batches.retrieve(batch.id)).status).toBe('completed');
    const ledger = await get(second.endpoint, '/emulator/ledger');
    expect(ledger.startsWith(before)).toBe(true);
    expect(ledger.trimEnd().split('\n').length).toBe(40);
    const state = JSON.parse(await get(second.endpoint, '/emulator/state'));
    expect(state).toMatchObject({ batches: [{ id: batch.id, status: 'completed' }] });
    second.child.kill('SIGTERM');
    expect((await once(second.child, 'exit'))[0]).toBe(0);
  });
});
