import { gzipSync } from 'node:zlib';
import { afterEach, expect, test } from 'vitest';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { chatLine, type Pipeline, type PipelineOptions, startPipeline } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';

const running: Pipeline[] = [];
async function pipeline(options: PipelineOptions = {}): Promise<Pipeline> {
  const started = await startPipeline(options);
  running.push(started);
  return started;
}
afterEach(async () => {
  for (const started of running.splice(0)) await started.stop();
});

const ids = (lines: { custom_id: string }[]): string[] => lines.map((line) => line.custom_id);
const numbered = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `request-${index + 1}`);

test('a dropped file becomes an output file in input order and a receipt that agrees with it', async () => {
  const p = await pipeline();
  const wanted = numbered(25);
  await p.drop('input/nightly/a.jsonl', `${wanted.map((id) => chatLine(id)).join('\n')}\n`);
  await p.run();

  const output = await p.output('input/nightly/a.jsonl');
  expect(ids(output)).toEqual(wanted);
  expect(output.every((line) => line.response.status_code === 200)).toBe(true);
  const receipt = await p.receipt('input/nightly/a.jsonl');
  expect(receipt.result).toBe('succeeded');
  expect(receipt.counts).toEqual({ requests: 25, succeeded: 25, failed: 0, invalid: 0 });
  expect(receipt.files).toEqual({ output: 'output/nightly/a.jsonl', receipt: 'receipts/nightly/a.json' });
  const tokens = output.reduce((sum, line) => sum + line.response.body.usage.prompt_tokens, 0);
  expect(receipt.usage.inputTokens).toBe(tokens);
  expect(p.deps.events.sent.map((event) => event.result)).toEqual(['succeeded']);
  expect(p.failures).toEqual([]);
});

test('several models and endpoints in one file become separate batches and one merged output', async () => {
  const p = await pipeline({ limits: { requests: 7 } });
  const lines = numbered(40).map((id, index) =>
    index % 3 === 0
      ? chatLine(id, { model: 'gpt-5.4-mini', url: '/v1/responses' })
      : index % 3 === 1
        ? chatLine(id, { model: 'text-embedding-3-small', url: '/v1/embeddings' })
        : chatLine(id),
  );
  await p.drop('input/mixed.jsonl', lines.join('\n'));
  await p.run();

  expect(ids(await p.output('input/mixed.jsonl'))).toEqual(numbered(40));
  const receipt = await p.receipt('input/mixed.jsonl');
  expect(receipt.batches.map((batch) => [batch.model, batch.endpoint, batch.requests]).sort()).toEqual([
    ['gpt-5.4-mini', '/v1/responses', 7],
    ['gpt-5.4-mini', '/v1/responses', 7],
    ['gpt-6-luna', '/v1/chat/completions', 6],
    ['gpt-6-luna', '/v1/chat/completions', 7],
    ['text-embedding-3-small', '/v1/embeddings', 6],
    ['text-embedding-3-small', '/v1/embeddings', 7],
  ]);
});

test('bad lines are reported with line, byte and code, good ones are answered, and retry/ holds the bad ones', async () => {
  const p = await pipeline();
  const bad = ['{"custom_id":"x"', '[1]', chatLine('request-1'), chatLine('odd', { url: '/v1/nope' })];
  const text = [chatLine('request-1'), bad[0], '', bad[1], chatLine('request-2'), bad[2], bad[3]].join(
    '\r\n',
  );
  await p.drop('input/bad.jsonl', text);
  await p.run();

  expect(ids(await p.output('input/bad.jsonl'))).toEqual(['request-1', 'request-2']);
  const errors = await p.errors('input/bad.jsonl');
  expect(errors.map((line) => [line.line, line.byte, line.error.code, line.custom_id])).toEqual([
    [2, text.indexOf(bad[0]!), 'invalid_json_line', null],
    [4, text.indexOf(bad[1]!), 'invalid_json_line', null],
    [6, text.lastIndexOf(bad[2]!), 'duplicate_custom_id', 'request-1'],
    [7, text.indexOf(bad[3]!), 'invalid_url', 'odd'],
  ]);
  expect(await p.retry('input/bad.jsonl')).toBe(`${bad.join('\n')}\n`);
  const receipt = await p.receipt('input/bad.jsonl');
  expect(receipt.counts).toEqual({ requests: 6, succeeded: 2, failed: 0, invalid: 4 });
  expect(receipt.result).toBe('partial');
});

test('a gzip file is answered like the same file unpacked', async () => {
  const p = await pipeline();
  const text = [...numbered(12).map((id) => chatLine(id)), 'broken'].join('\n');
  await p.drop('input/packed.jsonl.gz', gzipSync(text));
  await p.run();

  expect(ids(await p.output('input/packed.jsonl.gz'))).toEqual(numbered(12));
  expect((await p.errors('input/packed.jsonl.gz')).map((line) => line.line)).toEqual([13]);
  expect(await p.retry('input/packed.jsonl.gz')).toBe('broken\n');
});

test('every message and event delivered twice makes the same files and pays for nothing twice', async () => {
  const text = [...numbered(30).map((id) => chatLine(id)), 'broken'].join('\n');
  const once = await pipeline({ limits: { requests: 8 } });
  const twice = await pipeline({ limits: { requests: 8 }, twice: true });
  for (const p of [once, twice]) {
    await p.drop('input/a.jsonl', text);
    await p.run();
  }
  const comparable = async (p: Pipeline) => {
    const { timings: _, batches, ...receipt } = await p.receipt('input/a.jsonl');
    return {
      ...receipt,
      batches: batches.map(({ batchId, status, requests, succeeded }) => ({
        batchId,
        status,
        requests,
        succeeded,
      })),
    };
  };
  expect(await comparable(twice)).toEqual({
    ...(await comparable(once)),
    input: expect.anything(),
    jobId: expect.anything(),
  });
  expect(ids(await twice.output('input/a.jsonl'))).toEqual(numbered(30));
  const executions = await Array.fromAsync(twice.emulator.ledger.executions());
  expect(new Set(executions.map((execution) => execution.custom_id)).size).toBe(executions.length);
});

test('a file that cannot be run is rejected with a recorded reason and a receipt', async () => {
  const p = await pipeline();
  await p.drop('input/empty.jsonl', '\n \r\n');
  await p.drop('input/photo.jsonl', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0a, 0xff, 0xfe, 0x0a]));
  await p.drop('input/cut.gz', gzipSync(chatLine('a').repeat(100)).subarray(0, 60));
  await p.run();

  expect((await p.receipt('input/empty.jsonl')).rejection?.code).toBe('empty_file');
  const photo = await p.receipt('input/photo.jsonl');
  expect(photo.rejection?.code).toBe('not_json_lines');
  // As much as the errors file says of them, where it is seen first.
  const [first] = await p.errors('input/photo.jsonl');
  const { message } = first!.error!;
  expect(photo.rejection?.message).toContain(`one request a line is expected. Line 1: ${message}`);
  expect(photo.firstInvalid.invalid_json_line).toMatchObject([{ line: 1, byte: 0, message }, { line: 2 }]);
  expect(photo.counts).toEqual({ requests: 2, succeeded: 0, failed: 0, invalid: 2 });
  expect((await p.errors('input/photo.jsonl')).length).toBe(2);
  expect((await p.receipt('input/cut.gz')).rejection?.code).toBe('gzip_corrupt');
  expect(p.deps.events.sent.map((event) => event.result)).toEqual(['rejected', 'rejected', 'rejected']);
});

test('a route that rejects files with invalid lines runs none of them', async () => {
  const settings = settingsSchema.parse({
    layout: {},
    routes: [{ ...BATCH_ONLY, name: 'strict', prefix: 'input/', onInvalid: 'reject' }],
  });
  const p = await pipeline({ settings });
  await p.drop('input/a.jsonl', `${chatLine('good')}\nbroken`);
  await p.run();

  const receipt = await p.receipt('input/a.jsonl');
  expect(receipt.rejection?.code).toBe('invalid_lines');
  expect(receipt.counts).toEqual({ requests: 2, succeeded: 0, failed: 0, invalid: 2 });
  expect(receipt.errorsByCode).toEqual({ invalid_json_line: 1, file_rejected: 1 });
  expect(await Array.fromAsync(p.emulator.ledger.executions())).toEqual([]);
});

test('an input replaced in a bucket without versioning is run as it was when it was claimed', async () => {
  const p = await pipeline({ isVersioned: false });
  await p.drop('input/a.jsonl', chatLine('first'));
  await p.deps.objects.put('input/a.jsonl', Buffer.from(chatLine('second')));
  await p.run();
  expect(ids(await p.output('input/a.jsonl'))).toEqual(['first']);
});

test('a newer version of a key keeps the plain names when the older one ends later', async () => {
  const p = await pipeline();
  await p.drop('input/a.jsonl', chatLine('old'));
  p.emulator.clock.advance(5_000);
  const late = p.deps.outbox.messages.splice(0);
  await p.drop('input/a.jsonl', chatLine('new'));
  await p.run(1);
  p.deps.outbox.messages.push(...late);
  await p.run();

  expect(ids(await p.output('input/a.jsonl'))).toEqual(['new']);
  const older = p.deps.events.sent[1]!;
  expect(older.files.output).toBe(`output/a.${older.jobId}.jsonl`);
  expect(Buffer.from((await p.deps.objects.get(older.files.output!))!).toString()).toContain('"old"');
});
