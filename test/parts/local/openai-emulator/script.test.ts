import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import { type FaultRule, startEmulator } from '../../../../local/openai-emulator/emulator.ts';
import {
  chatLines,
  createBatch,
  runBatch,
  startForTest,
  temporaryFolder,
  toJsonl,
  upload,
} from './support.ts';

function fileOf(text: string): string {
  const path = join(temporaryFolder(), 'faults.json');
  writeFileSync(path, text);
  return path;
}

describe('a faults file', () => {
  test('scripts limits, timings and shapes beside rules, and options beside it win', async () => {
    const faults = fileOf(
      JSON.stringify({
        about: 'everything at once',
        rules: [{ about: 'why', match: { batch: 2 }, effect: { kind: 'batch.no_expiry' } }],
        limits: { requestsPerBatch: 2 },
        timings: { validatingMs: 1000, finalizingMs: 1000 },
        shapes: { statuses: 'upper' },
      }),
    );
    const parts = await startForTest({ faults, timings: { finalizingMs: 5000 } });
    const batch = await runBatch(parts, chatLines(2));
    expect(batch.status).toBe('COMPLETED');
    expect(batch.in_progress_at! - batch.created_at).toBe(1);
    expect(batch.completed_at! - batch.finalizing_at!).toBe(5);
    expect((await runBatch(parts, chatLines(3))).status).toBe('FAILED');
  });

  test.each([
    ['{"rules": [\n  {"effect": oops}\n]}', /faults\.json:2:14: /],
    ['{"rules": [', /faults\.json:1:12: /],
    ['[]', /expected object, received array/],
    ['{"rule": []}', /Unrecognized key: "rule"/],
    [
      '{"rules": [{"effect": {"kind": "line.explode"}}]}',
      /Expected 'line\.status' [\s\S]*at rules\[0\]\.effect\.kind/,
    ],
    ['{"rules": [{"effect": {"kind": "http.status", "status": 9}}]}', /at rules\[0\]\.effect\.status/],
    ['{"rules": [{"match": {"custom_id": "("}, "effect": {"kind": "line.missing"}}]}', /regular expression/],
    ['{"rules": [{"match": {"route": "/v1/files"}, "effect": {"kind": "http.hang"}}]}', /method and a path/],
    [
      '{"rules": [{"match": {"custom_id": "a"}, "effect": {"kind": "batch.no_expiry"}}]}',
      /not known when a batch effect is decided[\s\S]*at rules\[0\]\.match\.custom_id/,
    ],
    ['{"shapes": {"statuses": "LOUD"}}', /at shapes\.statuses/],
  ])('fails to be used when it is %j, and says what and where', async (text, expected) => {
    const start = startEmulator({ dir: temporaryFolder(), faults: fileOf(text) });
    await expect(start).rejects.toThrow(expected);
    await expect(start).rejects.toThrow('faults.json');
  });

  test('fails to be used when it is not there', async () => {
    const start = startEmulator({ dir: temporaryFolder(), faults: '/nowhere/faults.json' });
    await expect(start).rejects.toThrow('faults file /nowhere/faults.json: cannot be read: ENOENT');
  });
});

describe('HTTP faults', () => {
  const startWith = (...faults: FaultRule[]) => startForTest({ faults });
  const content = toJsonl(chatLines(200));
  const download = { route: 'GET /v1/files/*/content' };

  test('send a body slowly, and the client waits for the whole of it', async () => {
    const { client } = await startWith({
      match: download,
      effect: { kind: 'http.slow', chunk_bytes: 10_000, pause_ms: 1 },
    });
    const file = await upload(client, content);
    expect(await (await client.files.content(file.id)).text()).toBe(content);
  });

  test('send a body packed, with and without a length, and break it off', async () => {
    const { client } = await startWith(
      { match: download, times: 1, effect: { kind: 'http.gzip' } },
      { match: download, times: 1, effect: { kind: 'http.gzip', content_length: true } },
      { match: download, times: 1, effect: { kind: 'http.gzip', keep_bytes: 100 } },
    );
    const file = await upload(client, content);
    const first = await client.files.content(file.id);
    expect(first.headers.get('content-encoding')).toBe('gzip');
    expect(first.headers.get('content-length')).toBeNull();
    expect(await first.text()).toBe(content);
    const second = await client.files.content(file.id);
    expect(Number(second.headers.get('content-length'))).toBeLessThan(content.length);
    expect(await second.text()).toBe(content);
    await expect(client.files.content(file.id).then((third) => third.text())).rejects.toThrow();
  });

  test('have the effect and never answer', async () => {
    const { emulator } = await startWith({
      match: { route: 'POST /v1/batches' },
      times: 1,
      effect: { kind: 'http.hang', when: 'after' },
    });
    const client = new OpenAI({ baseURL: emulator.endpoint, apiKey: 'sk-test', maxRetries: 0, timeout: 500 });
    await expect(createBatch(client, chatLines(1))).rejects.toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
    expect((await client.batches.list()).data.length).toBe(1);
  });

  test('hit only the files of one batch, of one kind', async () => {
    const parts = await startWith(
      { match: { batch: 2, file: 'output' }, effect: { kind: 'http.status', status: 502 } },
      { match: { custom_id: '-1$' }, effect: { kind: 'line.status', status: 500 } },
    );
    const [first, second] = [await runBatch(parts, chatLines(2)), await runBatch(parts, chatLines(2))];
    const status = async (id: string | undefined) =>
      (await parts.client.files.content(id!).catch((error) => error)).status;
    expect(await status(first.output_file_id)).toBe(200);
    expect(await status(second.output_file_id)).toBe(502);
    expect(await status(second.error_file_id)).toBe(200);
  });

  test.each([408, 409, 429, 500, 502, 503])('answer %i once, and the client tries again', async (status) => {
    const { emulator } = await startWith({
      times: 1,
      effect: { kind: 'http.status', status, headers: { 'retry-after': '0' } },
    });
    const client = new OpenAI({ baseURL: emulator.endpoint, apiKey: 'sk-test', maxRetries: 1 });
    expect((await client.batches.list()).data).toEqual([]);
  });
});
