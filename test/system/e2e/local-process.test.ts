/**
 * The main job as a person runs it: the command line, the synthesized stack in processes of its own, the emulator.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, test, vi } from 'vitest';
import { startLocalPipeline } from '../../../local/stack/pipeline.ts';
import { ensureSynth } from '../../../local/stack/synth.ts';
import { type Receipt, receiptSchema } from '../../../src/contract/receipt.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { BAD_LINES } from '../../support/bad-lines.ts';
import { chatLine as lineOf } from '../../support/pipeline.ts';
import { moviesFile, processFiles, writeInput } from '../../support/process-files.ts';
import { runScript } from '../../support/run-script.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

/** A line for a model that is served: the emulator's clock begins with the machine's here. */
const chatLine = (id: string, options: Parameters<typeof lineOf>[1] = {}): string =>
  lineOf(id, { model: 'gpt-6-luna', ...options });

const ROOT = resolve(import.meta.dirname, '../../..');
const LONG = { timeout: 180_000 };

/** What must not depend on how often things are delivered. */
function settled({ timings: _, batches, jobId: __, stackId: ___, input, ...receipt }: Receipt) {
  return {
    ...receipt,
    bytes: input.bytes,
    batches: batches.map(({ openaiBatchId: _id, submittedAt: _from, endedAt: _to, ...batch }) => batch),
  };
}

test(
  'every event and every message delivered twice leaves the same files and the same receipt',
  LONG,
  async () => {
    const input = await moviesFile(400);
    const [once, twice] = [await processFiles([input]), await processFiles([input], ['--deliver-twice'])];
    expect(twice.receipts.map(settled)).toEqual(once.receipts.map(settled));
    const ids = async ({ lines }: typeof once) =>
      (await lines('output/movies.jsonl')).map((line) => line.custom_id);
    expect(await ids(twice)).toEqual(await ids(once));
  },
);

test('120,001 requests over two models become four batches and one output in input order', LONG, async () => {
  const ids = Array.from({ length: 120_001 }, (_, index) => `request-${index + 1}`);
  const text = ids.map((id, index) =>
    chatLine(id, { model: index % 2 ? 'gpt-6-sol' : 'gpt-6-luna', content: 'hi' }),
  );
  const { status, receipts, lines } = await processFiles([await writeInput('large.jsonl', text.join('\n'))]);
  expect(status).toBe(0);
  expect(receipts[0]!.counts).toEqual({ requests: 120_001, succeeded: 120_001, failed: 0, invalid: 0 });
  expect(receipts[0]!.batches.map(({ model, requests }) => `${model} ${requests}`).sort()).toEqual([
    'gpt-6-luna 10001',
    'gpt-6-luna 50000',
    'gpt-6-sol 10000',
    'gpt-6-sol 50000',
  ]);
  // One comparison: a diff of 120,001 lines helps nobody.
  expect((await lines('output/large.jsonl')).map((line) => line.custom_id).join() === ids.join()).toBe(true);
});

test(
  'a file with every kind of bad line gets each reported with number, byte and code, and the good ones answered',
  LONG,
  async () => {
    const good = BAD_LINES.map((_, index) => `good-${index}`);
    const rows: { text: Uint8Array; code?: string }[] = [
      { text: Buffer.from('') },
      ...BAD_LINES.flatMap(([, text, code], index) => [
        { text: Buffer.from(chatLine(good[index]!)) },
        { text: Buffer.from(text as string), code },
      ]),
      { text: Buffer.from(chatLine(good[0]!)), code: 'duplicate_custom_id' },
      { text: Buffer.alloc(32 * 1024 * 1024 + 1, 'x'), code: 'line_too_long' },
    ];
    const expected: string[] = [];
    let offset = 0;
    for (const [index, { text, code }] of rows.entries()) {
      if (code !== undefined) expected.push(`line ${index + 1} at byte ${offset}: ${code}`);
      offset += text.length + 2;
    }
    const file = Buffer.concat(rows.flatMap(({ text }) => [text, Buffer.from('\r\n')]));
    const { status, receipts, lines, bytes } = await processFiles([await writeInput('mixed.jsonl', file)]);
    expect(status).toBe(3);
    expect((await lines('output/mixed.jsonl')).map((line) => line.custom_id)).toEqual(good);
    const errors = await lines('errors/mixed.jsonl');
    expect(errors.map((line) => `line ${line.line} at byte ${line.byte}: ${line.error.code}`)).toEqual(
      expected,
    );
    const bad = rows
      .filter(({ code }) => code !== undefined)
      .flatMap(({ text }) => [text, Buffer.from('\n')]);
    expect((await bytes('retry/mixed.jsonl')).equals(Buffer.concat(bad))).toBe(true);
    const counts = { requests: rows.length - 1, succeeded: good.length, failed: 0, invalid: expected.length };
    expect(receipts[0]!.counts).toEqual(counts);
  },
);

test('a model that OpenAI does not know fails only its own requests', LONG, async () => {
  const text = [chatLine('a'), chatLine('b', { model: 'no-such-model' }), chatLine('c')].join('\n');
  const { status, receipts, lines } = await processFiles([await writeInput('models.jsonl', text)]);
  expect(status).toBe(3);
  expect((await lines('output/models.jsonl')).map((line) => line.custom_id)).toEqual(['a', 'c']);
  const errors = await lines('errors/models.jsonl');
  expect(errors.map((line) => [line.custom_id, line.line, line.error.code])).toEqual([
    ['b', 2, 'model_not_found'],
  ]);
  expect(receipts[0]!.counts).toEqual({ requests: 3, succeeded: 2, failed: 1, invalid: 0 });
});

test(
  'settings from a file take short lines by the route of their prefix; a job under way goes on when they change',
  LONG,
  async () => {
    const folder = temporaryFolder();
    const at = (name: string) => join(folder, name);
    const input = '{"custom_id":"a","body":{"messages":[{"role":"user","content":"Hi"}]}}';
    const file = await writeInput('short.jsonl', input);
    const settingsOf = (budget: unknown, output: string) => {
      const body = { model: 'gpt-6-luna', max_completion_tokens: 100 };
      const defaults = { method: 'POST', url: '/v1/chat/completions', body };
      const route = { name: 'nightly', prefix: 'input/nightly/', tiers: ['batch'], budget, defaults };
      return { layout: { output }, routes: [route] };
    };
    const process = (...parameters: string[]) =>
      runScript('cli/main.ts', [
        ...['local', 'process', file, '--state', at('state'), '--out', at('results')],
        ...['--settings', at('settings.json'), '--json', ...parameters],
      ]);
    const small = settingsOf({ perJobUsd: '0.000001' }, 'output/');
    await writeFile(at('settings.json'), JSON.stringify(small));
    const nowhere = await process();
    expect([nowhere.status, nowhere.stderr]).toEqual([
      2,
      expect.stringContaining('no route of the settings takes the key input/short.jsonl. Of the routes'),
    ]);
    expect((await process('--prefix', 'input/nightly')).stderr).toContain('such as input/nightly/');

    // The budget holds nothing, so the job waits; then the settings change.
    const pipeline = await startLocalPipeline({
      stateDir: at('state'),
      settings: settingsSchema.parse(small),
    });
    const { jobId } = await pipeline.drop(file, 'input/nightly/short.jsonl');
    const isHeld = async () =>
      expect((await pipeline.look(jobId)).batches).toMatchObject([{ hold: { reason: 'budget_exhausted' } }]);
    await vi.waitFor(isHeld, { timeout: 60_000, interval: 100 });
    // A worker that is killed while it admits batches keeps its lease for two minutes.
    await pipeline.stack.idle();
    await pipeline.stop();
    await writeFile(at('settings.json'), JSON.stringify(settingsOf({ perJobUsd: '1' }, 'answers/')));
    const finished = await process('--prefix', 'input/nightly/');
    expect([finished.status, finished.stderr]).toEqual([0, expect.stringContaining('is under way already')]);
    const [receipt] = receiptSchema.array().parse(JSON.parse(finished.stdout));
    expect(receipt).toMatchObject({
      jobId,
      result: 'succeeded',
      route: 'nightly',
      files: { output: 'answers/nightly/short.jsonl', receipt: 'receipts/nightly/short.json' },
    });
  },
);

test('the functions that run locally are the very folders that cdk deploy uploads', LONG, async () => {
  const cdkOut = await ensureSynth({ root: ROOT });
  const pipeline = await startLocalPipeline({ stateDir: temporaryFolder() });
  const ran = pipeline.stack.resources.functions;
  await pipeline.stop();
  const assets = JSON.parse(await readFile(join(cdkOut, 'batchdrop.assets.json'), 'utf8')) as {
    files: Record<string, { source: { path: string } }>;
  };
  const uploaded = Object.values(assets.files).map(({ source }) => join(cdkOut, source.path));
  expect(Object.keys(ran).sort()).toEqual([
    'call',
    'collect',
    'finalize',
    'ingest',
    'operate',
    'poll',
    'submit',
  ]);
  for (const { taskRoot } of Object.values(ran)) expect(uploaded).toContain(taskRoot);
});

test.each([
  { parameters: ['local', 'process', 'no-such-file.jsonl'], status: 2, message: 'there is no such file' },
  {
    parameters: ['local', 'process', 'package.json', './package.json'],
    status: 2,
    message: 'would both be dropped as input/package.json',
  },
  { parameters: ['local', 'process'], status: 2, message: "missing required argument 'file'" },
  { parameters: ['local', 'proces', 'a'], status: 2, message: 'unknown command' },
  { parameters: ['local', 'process', '.gitignore'], status: 2, message: 'rename it' },
  {
    parameters: ['local', 'process', 'README.md', '--out', 'package.json'],
    status: 2,
    message: 'a folder that can be written',
  },
  { parameters: ['local', 'process', 'package.json', '--live'], status: 2, message: 'OPENAI_API_KEY' },
])('$parameters exits with $status and says: $message', async ({ parameters, status, message }) => {
  const finished = await runScript('cli/main.ts', parameters);
  expect(finished.status).toBe(status);
  expect(finished.stderr).toContain(message);
  expect(finished.stdout).toBe('');
});

test.each([
  { url: 'http://127.0.0.1:9/v1', status: 1, message: 'cannot reach http://127.0.0.1:9/v1' },
  { url: 'ftp://127.0.0.1/v1', status: 2, message: 'which is not an http URL' },
])(
  'a service at $url that cannot answer exits with $status before anything is dropped',
  async ({ url, status, message }) => {
    const finished = await runScript(
      'cli/main.ts',
      ['local', 'process', 'package.json', '--out', temporaryFolder()],
      { OPENAI_BASE_URL: url },
    );
    expect(finished.status).toBe(status);
    expect(finished.stderr).toContain(message);
  },
);

test(
  'the same command after an interruption continues what was under way and buys nothing twice',
  LONG,
  async () => {
    const stateDir = temporaryFolder();
    const ids = Array.from({ length: 2_000 }, (_, index) => `request-${index + 1}`);
    const input = await writeInput('again.jsonl', ids.map((id) => chatLine(id)).join('\n'));
    const first = await startLocalPipeline({ stateDir });
    const dropped = await first.drop(input, 'input/again.jsonl');
    await first.stop();
    const second = await startLocalPipeline({ stateDir });
    try {
      expect(await second.drop(input, 'input/again.jsonl')).toEqual({
        jobId: dropped.jobId,
        isResumed: true,
      });
      await expect
        .poll(async () => (await second.look(dropped.jobId)).job?.receiptKey, { timeout: 90_000 })
        .toBe('receipts/again.json');
      // Once it has ended, the same file is asked for anew.
      expect((await second.drop(input, 'input/again.jsonl')).isResumed).toBe(false);
    } finally {
      await second.stop();
    }
  },
);

test(
  'content X, Y, X, X under one name: the third is run, and the fourth is answered by the third and says so',
  LONG,
  async () => {
    const state = temporaryFolder();
    const [x, y] = [await writeInput('a.jsonl', chatLine('x')), await writeInput('a.jsonl', chatLine('y'))];
    const ids: string[] = [];
    const local = await startLocalPipeline({ stateDir: state });
    try {
      for (const file of [x, y, x]) {
        const { jobId } = await local.drop(file, 'input/a.jsonl');
        await expect
          .poll(async () => (await local.look(jobId)).job?.result, { timeout: 60_000 })
          .toBe('succeeded');
        ids.push(jobId);
      }
    } finally {
      await local.stop();
    }
    expect(new Set(ids).size).toBe(3);
    const again = await processFiles([x], ['--state', state]);
    expect(again.status).toBe(0);
    expect(again.stderr).toContain(`not run: the same content as job ${ids[2]}`);
    expect(again.receipts).toMatchObject([
      { result: 'duplicate', duplicateOf: { jobId: ids[2], result: 'succeeded' }, cost: { usd: '0' } },
    ]);
    expect((await again.lines('output/a.jsonl'))[0].custom_id).toBe('x');
  },
);

test('the real OpenAI is refused as a base URL without --live', async () => {
  const finished = await runScript('cli/main.ts', ['local', 'process', 'package.json'], {
    OPENAI_BASE_URL: 'https://api.openai.com/v1',
  });
  expect(finished.status).toBe(2);
  expect(finished.stderr).toContain('--live');
});
