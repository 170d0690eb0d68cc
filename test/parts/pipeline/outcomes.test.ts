/**
 * Every way in which OpenAI ends a batch, and everything that its files have been seen to lack or to hold too much of
 * (as seen in practice): each request ends with exactly one outcome.
 */

import { expect, test } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/emulator.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { toLost } from '../../../src/core/lifecycle/batch-transitions.ts';
import type { BatchLevelError, BatchRecord } from '../../../src/core/model/batch.ts';
import { chatLine, type Pipeline, type PipelineOptions } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

const KEY = 'input/a.jsonl';
const IDS = ['a', 'b', 'c', 'd', 'e', 'f'];

/** Runs six requests to the end. */
async function run(faults: FaultRule[], options: PipelineOptions = {}) {
  const { emulator, ...rest } = options;
  const p = await startTestPipeline({ ...rest, emulator: { faults, ...emulator } });
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.run(80);
  const receipt = await p.receipt(KEY);
  const { requests, succeeded, failed, invalid } = receipt.counts;
  expect(succeeded + failed + invalid).toBe(requests);
  const output = (await p.output(KEY)).map((line) => line.custom_id);
  const errors = await p.errors(KEY);
  expect([...output, ...errors.map((line) => line.custom_id)].sort()).toEqual(IDS);
  const executions = await executionsOf(p);
  return { p, receipt, output, errors, executions, bought: await p.emulator.ledger.boughtTwice() };
}

const codes = (errors: { custom_id: string; error: { code: string } | null; response: unknown }[]) =>
  errors.map((line) => [line.custom_id, line.error?.code]);

test.each(['null', 'empty_string', 'absent', 'zero_byte_file'] as const)(
  'a completed batch is read whether its missing error file is %s',
  async (noErrorFile) => {
    const { output, receipt } = await run([], { emulator: { shapes: { noErrorFile } } });
    expect(output).toEqual(IDS);
    expect(receipt.result).toBe('succeeded');
  },
);

test.each(['null', 'empty_string', 'absent', 'zero_byte_file'] as const)(
  'a batch of which every request failed is read though its output file is %s',
  async (noOutputFile) => {
    const faults: FaultRule[] = [{ effect: { kind: 'line.status', status: 400 } }];
    const { errors, receipt } = await run(faults, { emulator: { shapes: { noOutputFile } } });
    expect(receipt.result).toBe('failed');
    expect(receipt.files.output).toBeUndefined();
    expect(errors.map((line) => [line.custom_id, line.line, line.tries, line.response.status_code])).toEqual(
      IDS.map((id, index) => [id, index + 1, 1, 400]),
    );
  },
);

test('an expired batch keeps what was finished, and the rest runs in the next round', async () => {
  const { p, output, receipt, bought } = await run([{ times: 1, effect: { kind: 'batch.expire', done: 2 } }]);
  expect(output).toEqual(IDS);
  expect(
    receipt.batches.map(({ round, status, succeeded, retried }) => ({ round, status, succeeded, retried })),
  ).toEqual([
    { round: 0, status: 'expired', succeeded: 2, retried: 4 },
    { round: 1, status: 'completed', succeeded: 4, retried: 0 },
  ]);
  expect(bought).toEqual([]);
  const [whole, rest] = await p.deps.jobs.listBatches(receipt.jobId);
  expect(rest!.tokens).toBe(Math.ceil((whole!.tokens! * rest!.bytes) / whole!.bytes));
});

test('requests that expire in every round end as failed with the code of the last one', async () => {
  const { errors, receipt } = await run([{ effect: { kind: 'batch.expire', done: 0 } }]);
  expect(receipt.counts).toMatchObject({ succeeded: 0, failed: 6 });
  expect(codes(errors)).toEqual(IDS.map((id) => [id, 'batch_expired']));
  expect(errors.every((line) => line.tries === 3)).toBe(true);
});

test('a batch that somebody cancels keeps what was finished, and the rest runs in the next round', async () => {
  const p = await startTestPipeline({});
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.drain();
  p.emulator.clock.advance(65_000);
  const [batch] = (await p.client.batches.list()).data;
  await p.client.batches.cancel(batch!.id);
  await p.run(80);
  expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(IDS);
  expect((await p.receipt(KEY)).batches.map(({ status }) => status)).toEqual(['cancelled', 'completed']);
  expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
});

test.each([0, 408, 429, 500, 503, 504])(
  'a request that ends with status %i once is tried again',
  async (status) => {
    const { output, receipt, executions } = await run([
      { match: { custom_id: '^c$' }, times: 1, effect: { kind: 'line.status', status } },
    ]);
    expect(output).toEqual(IDS);
    expect(receipt.batches.map(({ round, requests }) => [round, requests])).toEqual([
      [0, 6],
      [1, 1],
    ]);
    expect(executions).toEqual({ a: 1, b: 1, c: 2, d: 1, e: 1, f: 1 });
  },
);

test('a request that no file has a line for is tried again, and is failed when none ever has', async () => {
  const { errors, output } = await run([{ match: { custom_id: '^b$' }, effect: { kind: 'line.missing' } }]);
  expect(output).toEqual(['a', 'c', 'd', 'e', 'f']);
  expect(codes(errors)).toEqual([['b', 'missing_from_results']]);
  expect(errors[0]).toMatchObject({ line: 2, byte: chatLine('a').length + 1, tries: 2 });
});

test('lines that come twice or name no request are not used, and are counted', async () => {
  const { output, receipt } = await run([
    { match: { custom_id: '^a$' }, effect: { kind: 'line.duplicate' } },
    {
      match: { custom_id: '^b$' },
      times: 1,
      effect: { kind: 'line.foreign_id', custom_id: 'somebody-else' },
    },
  ]);
  expect(output).toEqual(IDS);
  expect(receipt.strayLines).toBe(2);
});

test('an answer that was cut at the token limit is an answer, and is counted', async () => {
  const { output, receipt } = await run([{ match: { custom_id: '^a$' }, effect: { kind: 'line.length' } }]);
  expect(output).toEqual(IDS);
  expect(receipt.incomplete).toBe(1);
});

test('U+2028 and its kin in an answer do not cut its line', async () => {
  const { p, output } = await run([{ effect: { kind: 'line.text' } }]);
  expect(output).toEqual(IDS);
  expect((await p.output(KEY))[0].response.body.choices[0].message.content).toContain('\u2028');
});

test('a download that is cut short is continued at once', async () => {
  const { p, output, bought } = await run([
    {
      match: { route: 'GET /v1/files/*/content' },
      times: 2,
      effect: { kind: 'http.truncate', keep_bytes: 100 },
    },
  ]);
  expect(p.failures).toEqual([]);
  expect(output).toEqual(IDS);
  expect(bought).toEqual([]);
});

test('results that were fetched late in an invocation are sorted in the next one', async () => {
  const { p, output, bought } = await run([], { deadline: { remainingMs: () => 100_000 } });
  expect(p.failures).toEqual([]);
  expect(output).toEqual(IDS);
  expect(bought).toEqual([]);
});

test('results that no invocation has the time to sort end with a recorded error after half a day, and are not bought again', async () => {
  let hasBatch = false;
  const p = await startTestPipeline({
    deadline: { remainingMs: () => (hasBatch ? 0 : 900_000) },
    intercept: async (call, effect) => {
      if (call === 'jobs.leaseBatch') hasBatch = true;
      if (call === 'jobs.listBatches') hasBatch = false;
      return effect();
    },
    onInvocation: () => {
      hasBatch = false;
    },
  });
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.run(80);
  expect(new Set(p.failures.map(({ name }) => name))).toEqual(new Set(['OutOfTimeError']));
  const receipt = await p.receipt(KEY);
  expect(receipt.counts).toMatchObject({ requests: 6, succeeded: 0, failed: 6 });
  expect(receipt.errorsByCode).toEqual({ result_unreadable: 6 });
  expect((await p.errors(KEY)).map(({ line }) => line)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(await executionsOf(p)).toEqual(Object.fromEntries(IDS.map((id) => [id, 1])));
});

test('a batch that OpenAI has no room for waits and is sent again', async () => {
  const refusal = { code: 'token_limit_exceeded', message: 'Enqueued token limit reached for gpt-6-luna.' };
  const { output, receipt, executions } = await run([
    { times: 3, effect: { kind: 'batch.fail', errors: [refusal] } },
  ]);
  expect(output).toEqual(IDS);
  expect(receipt.batches.map(({ round, status }) => [round, status])).toEqual([[0, 'completed']]);
  expect(Object.values(executions)).toEqual([1, 1, 1, 1, 1, 1]);
});

test('a line that OpenAI refuses fails alone, and costs the others no round', async () => {
  const errors = [{ code: 'model_not_found', message: 'No.', param: 'body.model', line: 2 }];
  const settings = settingsSchema.parse({
    layout: {},
    routes: [{ ...BATCH_ONLY, name: 'once', prefix: 'input/', maxTries: 1 }],
  });
  const result = await run([{ times: 1, effect: { kind: 'batch.fail', errors } }], { settings });
  expect(result.output).toEqual(['a', 'c', 'd', 'e', 'f']);
  expect(codes(result.errors)).toEqual([['b', 'model_not_found']]);
  expect(result.errors[0]!.tries).toBe(0);
});

test.each(['invalid_request', 'a_code_that_nobody_knows'])(
  'a batch that is refused as a file (%s) fails no request: it waits, shows why, and goes again',
  async (code) => {
    const errors = [{ code, message: 'Cannot find file.', param: 'file_id' }];
    const p = await startTestPipeline({ emulator: { faults: [{ effect: { kind: 'batch.fail', errors } }] } });
    await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
    await p.run(0.3);
    const [batch] = await p.deps.jobs.listBatches((await first(liveBatches(p)))!.jobId);
    expect(batch).toMatchObject({
      state: 'planned',
      wait: { lastError: `OpenAI refused the batch: ${code}` },
    });
    p.emulator.setFaults([]);
    await p.run(4);
    const receipt = await p.receipt(KEY);
    expect(receipt.result).toBe('succeeded');
    expect(receipt.batches.map(({ round }) => round)).toEqual([0]);
    expect(Object.values(await executionsOf(p))).toEqual([1, 1, 1, 1, 1, 1]);
  },
);

/** Refuses every batch whose file has one of these requests in it, with errors that are made from the file's ids. */
function refuseFilesWith(
  p: Pipeline,
  poison: string[],
  errorsOf: (ids: string[]) => BatchLevelError[],
): void {
  const { createBatch } = p.deps.batches;
  p.deps.batches.createBatch = async (batch) => {
    const text = await (await p.client.files.content(batch.inputFileId)).text();
    const ids = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).custom_id as string);
    const isPoisoned = ids.some((id) => poison.includes(id));
    p.emulator.setFaults(isPoisoned ? [{ effect: { kind: 'batch.fail', errors: errorsOf(ids) } }] : []);
    return createBatch.call(p.deps.batches, batch);
  };
}

test('a line that sinks its batch without being named is found by halving, and fails alone', async () => {
  const p = await startTestPipeline({});
  refuseFilesWith(p, ['d'], () => [{ code: 'invalid_json_line', message: 'Not JSON.' }]);
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.run(80);
  expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(['a', 'b', 'c', 'e', 'f']);
  expect(codes(await p.errors(KEY))).toEqual([['d', 'invalid_json_line']]);
  expect((await p.errors(KEY))[0].tries).toBe(0);
  expect(await executionsOf(p)).toEqual({ a: 1, b: 1, c: 1, e: 1, f: 1 });
  expect((await p.receipt(KEY)).batches.map(({ batchId, requests }) => [batchId, requests])).toEqual([
    ['0-00000', 6],
    ['1-00000.0', 3],
    ['1-00000.1', 3],
    ['2-00000.1.0', 2],
    ['2-00000.1.1', 1],
    ['3-00000.1.0.0', 1],
    ['3-00000.1.0.1', 1],
  ]);
});

test('lines that OpenAI names one at a time are taken out three times, then the rest is halved as well', async () => {
  const p = await startTestPipeline({});
  const bad = ['a', 'b', 'c', 'd', 'e'];
  refuseFilesWith(p, bad, (ids) => [
    { code: 'invalid_url', message: 'No.', param: 'url', line: ids.findIndex((id) => bad.includes(id)) + 1 },
  ]);
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.run(80);
  expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(['f']);
  expect(codes(await p.errors(KEY))).toEqual(bad.map((id) => [id, 'invalid_url']));
  expect((await p.receipt(KEY)).batches.map(({ batchId, requests }) => [batchId, requests])).toEqual([
    ['0-00000', 6],
    ['1-00000', 5],
    ['2-00000', 4],
    ['3-00000', 3],
    ['4-00000.0', 1],
    ['4-00000.1', 1],
  ]);
});

test('requests that meet an exhausted quota use up no attempt, wait, and run once there is quota', async () => {
  const error = { message: 'You exceeded your current quota.', code: 'insufficient_quota' };
  const { output, receipt, executions } = await run([
    { match: { custom_id: '^[b-f]$' }, times: 25, effect: { kind: 'line.status', status: 429, error } },
  ]);
  expect(output).toEqual(IDS);
  expect(executions).toEqual({ a: 1, b: 6, c: 6, d: 6, e: 6, f: 6 });
  expect(receipt.batches.map(({ round, requests }) => [round, requests])).toEqual([
    [0, 6],
    [1, 5],
    [2, 5],
    [3, 5],
    [4, 5],
    [5, 5],
  ]);
  const waits = receipt.batches.slice(1).map((batch, index) => {
    const ended = Date.parse(receipt.batches[index]!.endedAt);
    return Date.parse(batch.submittedAt!) - ended;
  });
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(30 * 60_000);
  expect(receipt.possiblyBilledTwice).toEqual({});
});

test('every try that OpenAI may have charged and that was run again is in the receipt, by its cause', async () => {
  const { output, receipt, executions } = await run([
    { match: { custom_id: '^a$' }, times: 1, effect: { kind: 'line.status', status: 0 } },
    { match: { custom_id: '^b$' }, times: 1, effect: { kind: 'line.missing' } },
    { match: { custom_id: '^c$' }, times: 1, effect: { kind: 'line.error', code: 'request_timeout' } },
    { match: { custom_id: '^d$' }, times: 1, effect: { kind: 'line.status', status: 500 } },
  ]);
  expect(output).toEqual(IDS);
  expect(receipt.possiblyBilledTwice).toEqual({ status_0: 1, missing_from_results: 1, request_timeout: 1 });
  // The emulator does not execute a request that it lets time out.
  expect(executions).toEqual({ a: 2, b: 2, c: 1, d: 2, e: 1, f: 1 });
});

test('a request that is lost for the second time is not run again, and is not counted as run again', async () => {
  const { errors, receipt } = await run([
    { match: { custom_id: '^a$' }, effect: { kind: 'line.status', status: 0 } },
  ]);
  expect(errors.map((line) => [line.custom_id, line.tries])).toEqual([['a', 2]]);
  expect(receipt.errorsByCode).toEqual({ status_0: 1 });
  expect(receipt.possiblyBilledTwice).toEqual({ status_0: 1 });
});

test('a create that is answered with an error waits and is tried again, with nothing bought twice', async () => {
  const { output, executions, receipt } = await run([
    { match: { route: 'POST /v1/batches' }, times: 2, effect: { kind: 'http.status', status: 429 } },
  ]);
  expect(output).toEqual(IDS);
  expect(Object.values(executions)).toEqual([1, 1, 1, 1, 1, 1]);
  const waited = Date.parse(receipt.batches[0]!.submittedAt!) - Date.parse(receipt.timings.claimedAt);
  expect(waited).toBeGreaterThanOrEqual((0.5 + 1) * 60_000);
});

test.each(['before', 'after'] as const)(
  'a create whose connection breaks %s it took effect makes one batch',
  async (when) => {
    const { output, executions, p } = await run([
      { match: { route: 'POST /v1/batches' }, times: 1, effect: { kind: 'http.reset', when } },
    ]);
    expect(output).toEqual(IDS);
    expect(Object.values(executions)).toEqual([1, 1, 1, 1, 1, 1]);
    expect((await Array.fromAsync(p.client.batches.list())).length).toBe(1);
    expect(p.failures.map(({ name }) => name)).toEqual(['OpenAIRequestError']);
  },
);

test('a create that took effect but is not listed for a minute makes one batch', async () => {
  const { output, executions } = await run([
    { match: { route: 'POST /v1/batches' }, times: 1, effect: { kind: 'http.reset', when: 'after' } },
    { effect: { kind: 'batch.unlisted', seconds: 60 } },
  ]);
  expect(output).toEqual(IDS);
  expect(Object.values(executions)).toEqual([1, 1, 1, 1, 1, 1]);
});

test('batches of another application and of a second stack in the same project survive untouched', async () => {
  const first = await startTestPipeline({ stackId: 'stack-1' });
  const second = await startTestPipeline({ stackId: 'stack-2', openai: first.emulator });
  const file = await first.client.files.create({
    file: new File([chatLine('foreign')], 'foreign.jsonl'),
    purpose: 'batch',
  });
  const foreign = await first.client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  for (const p of [first, second]) await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await first.run();
  await second.run();
  for (const p of [first, second]) expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(IDS);
  const after = await first.client.batches.retrieve(foreign.id);
  expect(after.status).toBe('completed');
  expect((await first.client.files.retrieve(file.id)).id).toBe(file.id);
  expect((await (await first.client.files.content(after.output_file_id!)).text()).length).toBeGreaterThan(0);
});

test('nothing of ours is left at OpenAI once a job has its receipt', async () => {
  const { p } = await run([
    { match: { custom_id: '^c$' }, times: 1, effect: { kind: 'line.status', status: 500 } },
  ]);
  expect((await Array.fromAsync(p.client.files.list())).map((file) => file.filename)).toEqual([]);
});

test.each(['line', 'character'] as const)(
  'a result file that stays cut in the middle of a %s is given up after half a day: what it holds counts, the rest is not run again',
  async (at) => {
    const { output, errors, executions } = await run([{ effect: { kind: 'file.cut', at } }]);
    expect(output.length).toBe(5);
    expect(codes(errors).map(([, code]) => code)).toEqual(['result_unreadable']);
    expect(Object.values(executions)).toEqual([1, 1, 1, 1, 1, 1]);
  },
);

test('result files that OpenAI never gives out end the job with that reason, and nothing runs again', async () => {
  const { errors, executions } = await run([
    { match: { route: 'GET /v1/files/*/content' }, effect: { kind: 'http.status', status: 404 } },
  ]);
  expect(codes(errors)).toEqual(IDS.map((id) => [id, 'result_unreadable']));
  expect(Object.values(executions)).toEqual([1, 1, 1, 1, 1, 1]);
});

test.each<[string, FaultRule[]]>([
  ['completed', []],
  ['expired', [{ times: 1, effect: { kind: 'batch.expire', done: 2 } }]],
])(
  'a batch that ended as %s and whose files are named late is waited for, not bought again',
  async (_status, faults) => {
    const p = await startTestPipeline({ emulator: { faults } });
    let hidden = 3;
    const { getBatch, listBatches } = p.deps.batches;
    const hide = <Batch extends { outputFileId?: string | undefined; errorFileId?: string | undefined }>(
      batch: Batch,
    ): Batch => {
      if (batch.outputFileId === undefined || hidden-- <= 0) return batch;
      const { outputFileId: _output, errorFileId: _error, ...rest } = batch;
      return rest as Batch;
    };
    p.deps.batches.getBatch = async (id) => {
      const batch = await getBatch.call(p.deps.batches, id);
      return batch === undefined ? undefined : hide(batch);
    };
    p.deps.batches.listBatches = async (after) => {
      const page = await listBatches.call(p.deps.batches, after);
      return { ...page, batches: page.batches.map(hide) };
    };
    await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
    await p.run(80);
    expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(IDS);
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  },
);

test('a finished line that a cancelled batch loses is waited for, then run again and counted', async () => {
  const p = await startTestPipeline({
    emulator: { faults: [{ times: 1, effect: { kind: 'batch.lose_finished' } }] },
  });
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.drain();
  p.emulator.clock.advance(85_000);
  const [batch] = (await p.client.batches.list()).data;
  await p.client.batches.cancel(batch!.id);
  await p.run(80);
  expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(IDS);
  const { batches, possiblyBilledTwice } = await p.receipt(KEY);
  const bought = await p.emulator.ledger.boughtTwice();
  const runs = Object.values(await executionsOf(p));
  const again = runs.filter((times) => times === 2).length;
  expect(again).toBeGreaterThan(0);
  expect(possiblyBilledTwice).toEqual({ missing_from_results: again });
  expect(bought.length).toBe(again);
  const waited = Date.parse(batches[1]!.submittedAt!) - Date.parse(batches[0]!.endedAt);
  expect(waited).toBeGreaterThanOrEqual(60 * 60_000);
});

test.each(['expired', 'cancelled'] as const)(
  'the results of a batch that is %s are waited for when they are late, even if nobody could look for an hour',
  async (status) => {
    const p = await startTestPipeline({ emulator: { faults: [] } });
    await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
    let lookedAt = 0;
    const { getBatch, listBatches } = p.deps.batches;
    // What ended looks like it ended otherwise, and its files are named only when they are asked for much later.
    const disguise = <Batch extends { status: string; outputFileId?: string | undefined }>(
      batch: Batch,
    ): Batch => {
      if (batch.status !== 'completed') return batch;
      lookedAt ||= p.emulator.clock.now();
      const { outputFileId, ...rest } = batch;
      const isNamed = p.emulator.clock.now() > lookedAt + 30 * 60_000;
      return { ...rest, ...(isNamed ? { outputFileId } : {}), status } as Batch;
    };
    p.deps.batches.getBatch = async (id) => {
      if (lookedAt > 0 && p.emulator.clock.now() < lookedAt + 2 * 60 * 60_000) throw new Error('no answer');
      const batch = await getBatch.call(p.deps.batches, id);
      return batch === undefined ? undefined : disguise(batch);
    };
    p.deps.batches.listBatches = async (after) => {
      const page = await listBatches.call(p.deps.batches, after);
      return { ...page, batches: page.batches.map(disguise) };
    };
    await p.run();
    expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(IDS);
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  },
);

test('a result file that is empty at first is fetched again until it holds what was promised', async () => {
  const p = await startTestPipeline({});
  const { readFile } = p.deps.batches;
  let firstReadAt: number | undefined;
  p.deps.batches.readFile = async (id, options) => {
    firstReadAt ??= p.emulator.clock.now();
    if (p.emulator.clock.now() > firstReadAt + 20 * 60_000) return readFile.call(p.deps.batches, id, options);
    return { body: (async function* () {})(), bytes: 0 };
  };
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.run();
  expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(IDS);
  expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
});

test('an input that is deleted before it was sent ends with every request failed', async () => {
  const p = await startTestPipeline({});
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  p.deps.objects.destroy(KEY);
  await p.run();
  expect((await p.receipt(KEY)).counts).toEqual({ requests: 6, succeeded: 0, failed: 6, invalid: 0 });
  expect((await p.errors(KEY)).map((line) => [line.line, line.custom_id, line.error.code])).toEqual(
    IDS.map((_, index) => [index + 1, null, 'object_gone']),
  );
  expect(await p.emulator.ledger.all()).toEqual([]);
});

test('an input that is deleted after it was sent still gets its answers', async () => {
  const p = await startTestPipeline({
    emulator: { faults: [{ match: { custom_id: '^b$' }, effect: { kind: 'line.status', status: 400 } }] },
  });
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.drain();
  p.deps.objects.destroy(KEY);
  await p.run();
  expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(['a', 'c', 'd', 'e', 'f']);
  expect((await p.errors(KEY)).map((line) => line.custom_id)).toEqual(['b']);
  expect((await p.receipt(KEY)).files.retry).toBeUndefined();
});

test('two inputs whose results would have the same names both keep them', async () => {
  const p = await startTestPipeline({});
  await p.drop('input/a', chatLine('from-a'));
  await p.run();
  await p.drop('input/a.jsonl', chatLine('from-a.jsonl'));
  await p.run();
  const outputs = p.deps.events.sent.map(({ files }) => files.output!);
  expect(outputs).toEqual(['output/a.jsonl', `output/a.${p.deps.events.sent[1]!.jobId}.jsonl`]);
  const texts = await Promise.all(
    outputs.map(async (key) => Buffer.from((await p.deps.objects.get(key))!).toString()),
  );
  expect(texts.map((text) => JSON.parse(text).custom_id)).toEqual(['from-a', 'from-a.jsonl']);
});

test('an error code may be called anything', async () => {
  const error = { message: 'No.', code: 'constructor' };
  const { receipt } = await run([
    { match: { custom_id: '^a$' }, effect: { kind: 'line.status', status: 400, error } },
  ]);
  expect(receipt.errorsByCode).toEqual({ constructor: 1 });
});

test('a service that makes up a code for each request fills no record: a hundred are counted by name, all are in the errors file', async () => {
  const ids = Array.from({ length: 130 }, (_, index) => `r${index}`);
  const codeOf = (id: string): string => `${id}-${'x'.repeat(200)}`;
  const faults = ids.map(
    (id): FaultRule => ({
      match: { custom_id: `^${id}$` },
      effect: { kind: 'line.status', status: 400, error: { message: 'No.', code: codeOf(id) } },
    }),
  );
  const p = await startTestPipeline({ emulator: { faults } });
  await p.drop(KEY, ids.map((id) => chatLine(id)).join('\n'));
  await p.run(80);
  const { errorsByCode, counts } = await p.receipt(KEY);
  expect(counts).toMatchObject({ failed: 130 });
  expect(Object.keys(errorsByCode)).toHaveLength(101);
  expect(errorsByCode).toMatchObject({ [codeOf('r0').slice(0, 100)]: 1, other: 30 });
  const lines = (await p.errors(KEY)) as unknown as { response: { body: { error: { code: string } } } }[];
  expect(lines.map((line) => line.response.body.error.code)).toEqual(ids.map(codeOf));
});

test('one batch that cannot be asked for keeps neither the others nor lost messages from being moved', async () => {
  const p = await startTestPipeline({
    limits: { requests: 3 },
    emulator: {
      faults: [
        { match: { batch: 1 }, effect: { kind: 'batch.unlisted', seconds: 1e9 } },
        { match: { route: 'GET /v1/batches/*' }, times: 40, effect: { kind: 'http.status', status: 500 } },
      ],
    },
  });
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.drain();
  await p.drop('input/lost.jsonl', chatLine('lost'));
  p.deps.outbox.messages.splice(0);
  await p.run(3);
  expect((await p.receipt('input/lost.jsonl')).result).toBe('succeeded');
  await p.run();
  expect((await p.output(KEY)).map((line) => line.custom_id)).toEqual(IDS);
});

test('a poller that wakes with old news of a batch does not end the attempt that followed', async () => {
  const refusal = { code: 'token_limit_exceeded', message: 'Enqueued token limit reached.' };
  const p = await startTestPipeline({
    emulator: { faults: [{ times: 1, effect: { kind: 'batch.fail', errors: [refusal] } }] },
  });
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.drain();
  const old = await first(p.deps.jobs.listAtOpenAI());
  await p.run(2);
  const stale = toLost(old!, p.deps.ambient.now());
  expect(await p.deps.jobs.moveBatch(old!, stale, p.deps.ambient.now())).toBeUndefined();
  expect(Object.values(await executionsOf(p))).toEqual([1, 1, 1, 1, 1, 1]);
});

async function* liveBatches(p: Pipeline): AsyncGenerator<BatchRecord> {
  yield* p.deps.jobs.listWaiting();
  for await (const item of p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY))
    if (item.kind === 'batch') yield item.batch;
}

async function first<Item>(items: AsyncIterable<Item>): Promise<Item | undefined> {
  for await (const item of items) return item;
  return undefined;
}

async function executionsOf(p: Pipeline): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { custom_id } of await p.emulator.ledger.all())
    counts[custom_id!] = (counts[custom_id!] ?? 0) + 1;
  return counts;
}
