import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import * as fixtures from './fixtures.ts';
import {
  chatLine,
  chatLines,
  contentOf,
  createBatch,
  linesOf,
  normalised,
  refusalOf,
  runBatch,
  startForTest,
  toJsonl,
  upload,
} from './support.ts';

describe('the life of a batch', () => {
  test('goes through the states with the timestamps of the captured nine-line job', async () => {
    const { client, emulator } = await startForTest();
    const batch = await createBatch(client, chatLines(9), { metadata: { description: 'nightly' } });
    expect(batch.id).toMatch(/^batch_[0-9a-f]{32}$/);
    expect(batch).toMatchObject({
      status: 'validating',
      request_counts: { total: 0, completed: 0, failed: 0 },
    });
    expect(batch.expires_at).toBe(batch.created_at + 86_400);
    const seen: [number, string, number | undefined][] = [];
    for (let second = 0; second <= 140; second++) {
      const now = await client.batches.retrieve(batch.id);
      const last = seen.at(-1);
      if (last?.[1] !== now.status || last[2] !== now.request_counts?.completed) {
        seen.push([second, now.status, now.request_counts?.completed]);
      }
      if (now.status !== 'completed') expect(now.output_file_id).toBeNull();
      emulator.clock.advance(1000);
    }
    expect(seen.map(([, status]) => status)).toEqual(
      expect.arrayContaining(['validating', 'in_progress', 'finalizing', 'completed']),
    );
    expect(seen.filter(([, status]) => status === 'in_progress').length).toBeGreaterThan(3);
    expect(normalised(await client.batches.retrieve(batch.id))).toMatchObject({
      created_at: 0,
      in_progress_at: 3,
      finalizing_at: 131,
      completed_at: 133,
      expires_at: 86_400,
    });
  });

  test('ends with an output file, no error file and the sum of usage when nothing failed', async () => {
    const parts = await startForTest();
    const batch = await runBatch(parts, chatLines(5));
    expect(batch).toMatchObject({
      status: 'completed',
      model: 'gpt-4o-mini-2024-07-18',
      request_counts: { total: 5, completed: 5, failed: 0 },
      error_file_id: null,
      errors: null,
    });
    const lines = await linesOf(parts.client, batch.output_file_id);
    const usages = lines.map((line) => line.response!.body.usage as OpenAI.CompletionUsage);
    expect(batch.usage).toEqual({
      input_tokens: usages.reduce((sum, usage) => sum + usage.prompt_tokens, 0),
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: usages.reduce((sum, usage) => sum + usage.completion_tokens, 0),
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: usages.reduce((sum, usage) => sum + usage.total_tokens, 0),
    });
    for (const line of lines) {
      expect(new Set(Object.keys(line))).toEqual(new Set(fixtures.OUTPUT_LINE_KEYS.line));
      expect(Object.keys(line.response!)).toEqual(fixtures.OUTPUT_LINE_KEYS.response);
      expect(line.id).toMatch(/^batch_req_[0-9a-f]{32}$/);
      expect(line.response).toMatchObject({ status_code: 200, body: { object: 'chat.completion' } });
      expect(line.response!.request_id).toMatch(/^(req_)?[0-9a-f]{32}$/);
      expect(line.error).toBeNull();
    }
    const file = await parts.client.files.retrieve(batch.output_file_id!);
    expect(file).toMatchObject({ purpose: 'batch_output', filename: `${batch.id}_output.jsonl` });
    expect(file.expires_at).toBe(file.created_at + 2_592_000);
  });

  test('splits lines between output and error file when some failed', async () => {
    const parts = await startForTest();
    const batch = await runBatch(parts, [chatLine('good'), chatLine('bad', { temperature: 3 })]);
    expect(batch.request_counts).toEqual({ total: 2, completed: 1, failed: 1 });
    expect((await linesOf(parts.client, batch.output_file_id)).map((line) => line.custom_id)).toEqual([
      'good',
    ]);
    const [bad] = await linesOf(parts.client, batch.error_file_id);
    expect(bad).toMatchObject({ custom_id: 'bad', error: null, response: { status_code: 400 } });
    expect(Object.keys(bad!.response!.body.error as object)).toEqual(fixtures.LINE_ERROR_KEYS);
    expect(bad!.response!.body).not.toHaveProperty('usage');
  });

  test('is the captured object when all nine requests failed', async () => {
    const parts = await startForTest({ faults: [{ effect: { kind: 'line.status', status: 404 } }] });
    const lines = Array.from({ length: 9 }, (_, i) => ({
      custom_id: `${i}`,
      method: 'POST',
      url: '/v1/responses',
      body: { model: 'gpt-5.4-pro', input: 'hello' },
    }));
    const batch = await runBatch(parts, lines, {
      endpoint: '/v1/responses',
      metadata: { description: 'Evaluation: test_run_new_1' },
    });
    expect(normalised(batch)).toEqual(normalised(fixtures.ALL_FAILED_BATCH));
  });

  test.each([
    ['null', null],
    ['empty_string', ''],
    ['absent', undefined],
  ] as const)('can show a file id that is not there as %s', async (shape, shown) => {
    const parts = await startForTest({ shapes: { noErrorFile: shape, noOutputFile: shape } });
    expect((await runBatch(parts, chatLines(1))).error_file_id).toBe(shown);
    const failed = await runBatch(parts, [chatLine('bad', { temperature: 3 })]);
    expect(failed.output_file_id).toBe(shown);
    expect(failed.error_file_id).toMatch(/^file-/);
  });

  test('can have an error file of zero bytes when nothing failed', async () => {
    const parts = await startForTest({ shapes: { noErrorFile: 'zero_byte_file' } });
    const batch = await runBatch(parts, chatLines(1));
    expect(await contentOf(parts.client, batch.error_file_id)).toBe('');
    expect((await parts.client.files.retrieve(batch.error_file_id!)).bytes).toBe(0);
  });

  test('gives output files the expiry that the batch asked for, from when they were made', async () => {
    const parts = await startForTest();
    const batch = await runBatch(parts, chatLines(1), {
      output_expires_after: { anchor: 'created_at', seconds: 7200 },
    });
    const file = await parts.client.files.retrieve(batch.output_file_id!).catch((error) => error);
    expect(file).toBeInstanceOf(OpenAI.NotFoundError);
  });

  test('runs to its end though its input file is deleted on the way', async () => {
    const parts = await startForTest();
    const batch = await createBatch(parts.client, chatLines(3));
    parts.emulator.clock.advance(3000);
    await parts.client.batches.retrieve(batch.id);
    await parts.client.files.delete(batch.input_file_id);
    parts.emulator.clock.advance(600_000);
    expect((await parts.client.batches.retrieve(batch.id)).request_counts?.completed).toBe(3);
  });

  test('returns custom_ids of any characters and length byte for byte', async () => {
    const parts = await startForTest();
    const ids = [
      '— ü/ß 漢字 🙂'.repeat(20),
      '"quoted"\\',
      '\u2028\u2029\u0085',
      '\ttab',
      ' ',
      'e\u0301',
      '\u00e9',
    ];
    const batch = await runBatch(
      parts,
      ids.map((id) => chatLine(id)),
    );
    const returned = (await linesOf(parts.client, batch.output_file_id)).map((line) => line.custom_id);
    expect(returned.sort()).toEqual([...ids].sort());
  });

  test('shuffles its output the same way for the same seed and another way for another', async () => {
    const orderFor = async (seed: string) => {
      const parts = await startForTest({ seed });
      const batch = await runBatch(parts, chatLines(40));
      return (await linesOf(parts.client, batch.output_file_id)).map((line) => line.custom_id);
    };
    const first = await orderFor('one');
    expect(await orderFor('one')).toEqual(first);
    expect(await orderFor('two')).not.toEqual(first);
    const input = chatLines(40).map((line) => line.custom_id);
    expect(first).not.toEqual(input);
    expect([...first].sort()).toEqual([...input].sort());
  });
});

describe('POST /v1/batches refuses at once', () => {
  const base = {
    input_file_id: 'file-x',
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  } as const;
  const create = async (params: object) => {
    const { client } = await startForTest();
    const refusal = await refusalOf(client.batches.create(params as OpenAI.Batches.BatchCreateParams));
    expect(refusal).toBeInstanceOf(OpenAI.BadRequestError);
    return refusal;
  };

  test('an unknown endpoint', async () => {
    const refusal = await create({ ...base, endpoint: '/v1/invalid/endpoint' });
    expect(refusal.error).toEqual(fixtures.INVALID_ENDPOINT_ERROR);
    expect(refusal).toMatchObject({ status: 400, code: 'invalid_value', param: 'endpoint' });
  });

  test('a missing field', async () => {
    const { input_file_id: _, ...rest } = base;
    expect((await create(rest)).error).toEqual(fixtures.MISSING_INPUT_FILE_ERROR);
  });

  test.each(['1h', '48h', 'invalid', ''])('the completion window "%s"', async (completion_window) => {
    expect(await create({ ...base, completion_window })).toMatchObject({
      param: 'completion_window',
      code: 'invalid_value',
    });
  });

  test('metadata that is not made of strings', async () => {
    const refusal = await create({ ...base, metadata: { tags: ['tag1', 'tag2'] } });
    expect(refusal.error).toEqual(fixtures.METADATA_TYPE_ERROR);
  });

  test('metadata over its limits', async () => {
    const many = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v']));
    expect(await create({ ...base, metadata: many })).toMatchObject({ code: 'object_above_max_properties' });
    expect(await create({ ...base, metadata: { ['k'.repeat(65)]: 'v' } })).toMatchObject({
      code: 'string_above_max_length',
    });
    expect(await create({ ...base, metadata: { k: 'v'.repeat(513) } })).toMatchObject({
      code: 'string_above_max_length',
      param: 'metadata.k',
    });
  });

  test('a body that is not JSON', async () => {
    const { emulator } = await startForTest();
    const headers = { authorization: 'Bearer sk-test' };
    const response = await fetch(`${emulator.endpoint}/batches`, { method: 'POST', body: '{', headers });
    expect(response.status).toBe(400);
  });
});

describe('validation fails the batch later', () => {
  const failuresOf = async (content: string, endpoint: '/v1/chat/completions' = '/v1/chat/completions') => {
    const { client, emulator } = await startForTest();
    const file = await upload(client, content);
    const batch = await client.batches.create({ input_file_id: file.id, endpoint, completion_window: '24h' });
    expect(batch.status).toBe('validating');
    expect(batch.errors).toBeNull();
    emulator.clock.advance(3000);
    const failed = await client.batches.retrieve(batch.id);
    expect(failed).toMatchObject({
      status: 'failed',
      output_file_id: null,
      error_file_id: null,
      in_progress_at: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
    });
    return failed;
  };

  test('is the captured object for two broken lines', async () => {
    const good = Array.from({ length: 8 }, (_, i) => chatLine(`c${i}`));
    const first = `\ufeff${JSON.stringify(chatLine('a'))}`;
    const failed = await failuresOf(toJsonl([first, ...good, '{broken']));
    const { model, usage, ...captured } = normalised(failed) as Record<string, unknown>;
    expect(captured).toEqual({ ...normalised(fixtures.FAILED_BATCH), failed_at: 3 });
    expect(model).toBeNull();
    expect(usage).toMatchObject({ total_tokens: 0 });
  });

  test('for each of four lines with a field missing', async () => {
    const { custom_id: _a, ...noId } = chatLine('x');
    const { method: _b, ...noMethod } = chatLine('no-method');
    const { url: _c, ...noUrl } = chatLine('no-url');
    const { body: _d, ...noBody } = chatLine('no-body');
    const failed = await failuresOf(toJsonl([noId, noMethod, noUrl, noBody]));
    expect(failed.errors?.data).toEqual(fixtures.MISSING_FIELDS_ERRORS);
  });

  test.each([
    ['streaming_unsupported', chatLine('x', { stream: true })],
    ['invalid_url', { ...chatLine('x'), url: '/v1/embeddings' }],
    ['model_not_found', chatLine('x', { model: 'nonexistent-model-xyz' })],
    ['model_required', chatLine('x', { model: undefined })],
    ['messages_required', chatLine('x', { messages: undefined })],
    ['duplicate_custom_id', chatLine('first')],
    ['invalid_json_line', '{invalid json here'],
  ] as const)('with %s', async (name, line) => {
    const failed = await failuresOf(toJsonl([chatLine('first'), line]));
    expect(failed.errors).toEqual({ object: 'list', data: [fixtures.LINE_ERRORS[name]] });
  });

  test.each([
    ['a blank line', toJsonl([chatLine('a'), '', chatLine('b')])],
    ['a line that is not valid UTF-8', null],
  ])('with invalid_json_line for %s', async (_, content) => {
    const { client, emulator } = await startForTest();
    const bytes = Buffer.from(content ?? toJsonl([chatLine('a'), chatLine('?')]));
    if (content === null) bytes[bytes.lastIndexOf('?')] = 0xff;
    const file = await upload(client, bytes);
    const batch = await client.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    emulator.clock.advance(3000);
    const { errors } = await client.batches.retrieve(batch.id);
    expect(errors?.data).toEqual([fixtures.LINE_ERRORS.invalid_json_line]);
  });

  test('with mismatched_model for a second model', async () => {
    const failed = await failuresOf(toJsonl([chatLine('a'), chatLine('b', { model: 'gpt-4o' })]));
    expect(failed.errors?.data).toMatchObject([{ code: 'mismatched_model', param: 'body.model', line: 2 }]);
  });

  test.each([
    ['does not exist', 'batch'],
    ['has another purpose', 'user_data'],
  ] as const)('for an input file that %s', async (_, purpose) => {
    const { client, emulator } = await startForTest();
    const other = await client.files.create({ purpose: 'user_data', file: new File(['{}'], 'a.jsonl') });
    const batch = await client.batches.create({
      input_file_id: purpose === 'batch' ? 'file-nonexistent-xyz' : other.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    emulator.clock.advance(3000);
    const error = (await client.batches.retrieve(batch.id)).errors!.data![0]!;
    expect(error).toMatchObject({ code: 'invalid_request', param: 'file_id', line: null });
    if (purpose === 'batch') expect(error.message).toMatch(fixtures.CANNOT_FIND_FILE);
  });

  test('for more requests or embedding inputs than allowed', async () => {
    const parts = await startForTest({ limits: { requestsPerBatch: 2, embeddingInputs: 5 } });
    expect((await runBatch(parts, chatLines(3))).errors?.data).toMatchObject([{ code: 'too_many_tasks' }]);
    const lines = [3, 3].map((count, i) => ({
      custom_id: `${i}`,
      method: 'POST',
      url: '/v1/embeddings',
      body: { model: 'text-embedding-3-small', input: Array(count).fill('text') },
    }));
    const batch = await runBatch(parts, lines, { endpoint: '/v1/embeddings' });
    expect(batch.errors?.data).toMatchObject([{ code: 'too_many_tasks' }]);
  });

  test('with at most as many errors as the limit says', async () => {
    const parts = await startForTest({ limits: { errorsReported: 3 } });
    const batch = await runBatch(parts, [chatLine('a'), ...Array(10).fill('{')]);
    expect(batch.errors?.data?.map((error) => error.line)).toEqual([2, 3, 4]);
  });
});

describe('the queue of enqueued tokens', () => {
  const big = (id: string, model = 'gpt-6-luna') =>
    chatLine(id, { model, messages: [{ role: 'user', content: 'x'.repeat(4_400_000) }] });

  test('refuses a batch over the limit of its model with the real message, and admits it later', async () => {
    const parts = await startForTest({ limits: { enqueuedTokens: { 'gpt-6-luna': 2_000_000 } } });
    const { client, emulator } = parts;
    const first = await createBatch(client, [{ ...big('a') }]);
    const second = await createBatch(client, [{ ...big('b') }]);
    const otherModel = await createBatch(client, [{ ...big('c', 'gpt-4.1') }]);
    emulator.clock.advance(3000);
    expect((await client.batches.retrieve(first.id)).status).toBe('in_progress');
    expect((await client.batches.retrieve(otherModel.id)).status).toBe('in_progress');
    const refused = await client.batches.retrieve(second.id);
    expect(refused.status).toBe('failed');
    expect(refused.errors?.data).toEqual([
      {
        code: 'token_limit_exceeded',
        message: expect.stringMatching(fixtures.TOKEN_LIMIT_MESSAGE),
        param: null,
        line: null,
      },
    ]);
    emulator.clock.advance(200_000);
    expect((await runBatch(parts, [big('b')])).status).toBe('completed');
  });
});

describe('GET /v1/batches', () => {
  test('pages over 250 batches newest first, each once, with the client following has_more', async () => {
    const { client, emulator } = await startForTest();
    const file = await upload(client, toJsonl([chatLine('a')]));
    const created: string[] = [];
    for (let i = 0; i < 250; i++) {
      const batch = await client.batches.create({
        input_file_id: file.id,
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
      });
      created.push(batch.id);
      emulator.clock.advance(1000);
    }
    const listed: string[] = [];
    for await (const batch of client.batches.list({ limit: 100 })) listed.push(batch.id);
    expect(listed).toEqual([...created].reverse());
    const page = await client.batches.list();
    expect(page.data.length).toBe(20);
    const raw = (await client.get('/batches', { query: { limit: 100, after: listed[149] } })) as object;
    expect(Object.keys(raw)).toEqual(fixtures.PAGE_KEYS);
    expect(raw).toMatchObject({
      object: 'list',
      first_id: listed[150],
      last_id: listed[249],
      has_more: false,
    });
  });

  test.each([0, 101])('refuses a limit of %i', async (limit) => {
    const { client } = await startForTest();
    expect(await refusalOf(client.batches.list({ limit }))).toMatchObject({ status: 400, param: 'limit' });
  });

  test('fails with the real message for an unknown batch', async () => {
    const { client } = await startForTest();
    const refusal = await refusalOf(client.batches.retrieve('batch-nonexistent-xyz'));
    expect(refusal).toBeInstanceOf(OpenAI.NotFoundError);
    expect(refusal.error).toEqual(fixtures.NO_BATCH_ERROR);
    expect((await refusalOf(client.batches.cancel('batch-nonexistent-xyz'))).error).toEqual(
      fixtures.NO_BATCH_ERROR,
    );
  });
});

describe('cancel', () => {
  test('takes its time, keeps what had finished and marks the rest batch_cancelled', async () => {
    const { client, emulator } = await startForTest();
    const batch = await createBatch(client, chatLines(8));
    emulator.clock.advance(65_000);
    const cancelling = await client.batches.cancel(batch.id);
    expect(cancelling.status).toBe('cancelling');
    expect(cancelling.output_file_id).toBeNull();
    const done = cancelling.request_counts!.completed;
    expect(done).toBeGreaterThan(0);
    emulator.clock.advance(59_000);
    expect((await client.batches.cancel(batch.id)).status).toBe('cancelling');
    emulator.clock.advance(1000);
    const cancelled = await client.batches.retrieve(batch.id);
    expect(cancelled).toMatchObject({
      status: 'cancelled',
      request_counts: { total: 8, completed: done, failed: 0 },
    });
    expect(cancelled.cancelled_at).toBe(cancelling.cancelling_at! + 60);
    const finished = await linesOf(client, cancelled.output_file_id);
    const rest = await linesOf(client, cancelled.error_file_id);
    expect(finished.length).toBe(done);
    expect(rest.length).toBe(8 - done);
    for (const line of rest)
      expect(line).toMatchObject({ response: null, error: fixtures.CANCELLED_LINE_ERROR });
    expect((await client.batches.cancel(batch.id)).status).toBe('cancelled');
  });

  test('while validating leaves nothing', async () => {
    const { client, emulator } = await startForTest();
    const batch = await createBatch(client, chatLines(8));
    await client.batches.cancel(batch.id);
    emulator.clock.advance(60_000);
    expect(await client.batches.retrieve(batch.id)).toMatchObject({
      status: 'cancelled',
      output_file_id: null,
      error_file_id: null,
      request_counts: { total: 0 },
    });
    expect(await emulator.ledger.all()).toEqual([]);
  });

  test('is refused with 409 for a completed and for a failed batch', async () => {
    const parts = await startForTest();
    const completed = await runBatch(parts, chatLines(1));
    const refusal = await refusalOf(parts.client.batches.cancel(completed.id));
    expect(refusal).toBeInstanceOf(OpenAI.ConflictError);
    expect(refusal.error).toEqual(fixtures.CANNOT_CANCEL_ERROR);
    const failed = await runBatch(parts, [chatLine('a'), '{']);
    expect((await refusalOf(parts.client.batches.cancel(failed.id))).message).toContain("status 'failed'");
  });
});

describe('expiry', () => {
  test('keeps and bills what was finished when the window passes, and marks the rest batch_expired', async () => {
    const parts = await startForTest({ timings: { perFurtherRequestMs: 3_600_000 } });
    const { client, emulator } = parts;
    const batch = await createBatch(client, chatLines(50));
    emulator.clock.advance(86_399_000);
    expect((await client.batches.retrieve(batch.id)).status).toBe('in_progress');
    emulator.clock.advance(1000);
    const expired = await client.batches.retrieve(batch.id);
    expect(expired.status).toBe('expired');
    expect(expired.expired_at).toBe(batch.created_at + 86_400);
    const finished = await linesOf(client, expired.output_file_id);
    const rest = await linesOf(client, expired.error_file_id);
    expect(finished.length).toBeGreaterThan(0);
    expect(finished.length + rest.length).toBe(50);
    for (const line of rest)
      expect(line).toMatchObject({ response: null, error: fixtures.EXPIRED_LINE_ERROR });
    expect(expired.usage?.total_tokens).toBeGreaterThan(0);
    expect((await emulator.ledger.all()).length).toBe(finished.length);
  });
});

describe('a request that is nested deep', () => {
  /** A line as text: the nested value is deeper than JSON.stringify can write. */
  const deepLine = (custom_id: string, depth: number): string => {
    const nested = `${'['.repeat(depth)}${']'.repeat(depth)}`;
    const members = ['"metadata"', '"tools"', '"response_format"'].map((name) => `${name}:${nested}`);
    return JSON.stringify(chatLine(custom_id)).replace('"body":{', () => `"body":{${members.join(',')},`);
  };

  test('is answered 400 alone, at 5,000 levels, in its batch, and every line after it is executed', async () => {
    const parts = await startForTest();
    const lines = [...chatLines(3), deepLine('deep', 5_000), ...chatLines(6).slice(3)];
    const created = createBatch(parts.client, lines);
    const other = createBatch(parts.client, chatLines(2));
    await Promise.all([created, other]);
    const batch = await parts.client.batches.retrieve((await created).id);
    parts.emulator.clock.advance(3_600_000);
    const done = await parts.client.batches.retrieve(batch.id);
    expect(done).toMatchObject({
      status: 'completed',
      request_counts: { total: 7, completed: 6, failed: 1 },
    });
    expect(await linesOf(parts.client, done.error_file_id)).toMatchObject([
      {
        custom_id: 'deep',
        response: { status_code: 400, body: { error: { type: 'invalid_request_error' } } },
      },
    ]);
    expect((await parts.client.batches.retrieve((await other).id)).status).toBe('completed');
  });

  test('is answered 400 when it is called', async () => {
    const { emulator } = await startForTest();
    const { body } = /"body":(?<body>.*)}$/s.exec(deepLine('deep', 5_000))!.groups!;
    const answer = await fetch(`${emulator.endpoint}/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk-test' },
      body: body!,
    });
    expect(answer.status).toBe(400);
  });

  test('is executed when it has 1,000 levels', async () => {
    const parts = await startForTest();
    const batch = await runBatch(parts, [deepLine('deep', 998)]);
    expect(batch.request_counts).toMatchObject({ completed: 1 });
  });

  test('whose schema has no end costs its own line at most', async () => {
    const parts = await startForTest();
    const schema = { allOf: [{ $ref: '#' }] };
    const response_format = { type: 'json_schema', json_schema: { name: 's', schema } };
    const batch = await runBatch(parts, [chatLine('endless', { response_format }), ...chatLines(2)]);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 3 } });
    expect((await linesOf(parts.client, batch.output_file_id)).length).toBeGreaterThanOrEqual(2);
  });
});
