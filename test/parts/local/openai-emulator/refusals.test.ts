import { describe, expect, test } from 'vitest';
import { virtualClock } from '../../../../local/openai-emulator/emulator.ts';
import { strictSchemaError } from '../../../../local/openai-emulator/strict-schema.ts';
import { chatLine, createBatch, linesOf, refusalOf, runBatch, startForTest } from './support.ts';

const MESSAGES = [{ role: 'user', content: 'hello' }];
const SCHEMA = { type: 'object', properties: { a: { type: 'string' } } };

/** What OpenAI refuses most often: the request, its endpoint, and what it is answered. */
const REFUSED: [
  what: string,
  endpoint: string,
  body: Record<string, unknown>,
  error: Record<string, unknown>,
][] = [
  [
    'max_tokens of a reasoning model at chat',
    '/v1/chat/completions',
    { model: 'gpt-6-luna', messages: MESSAGES, max_tokens: 10 },
    { status: 400, param: 'max_tokens', code: 'unsupported_parameter' },
  ],
  [
    'no messages',
    '/v1/chat/completions',
    { model: 'gpt-6-luna', messages: [] },
    { status: 400, param: 'messages', code: 'empty_array' },
  ],
  [
    'a message without role',
    '/v1/chat/completions',
    { model: 'gpt-6-luna', messages: [...MESSAGES, { content: 'x' }] },
    { status: 400, param: 'messages[1].role', code: 'missing_required_parameter' },
  ],
  [
    'an unknown parameter at chat',
    '/v1/chat/completions',
    { model: 'gpt-6-luna', messages: MESSAGES, top_k: 3 },
    { status: 400, message: expect.stringContaining('Unrecognized request argument supplied: top_k') },
  ],
  [
    'an unknown parameter of responses',
    '/v1/responses',
    { model: 'gpt-6-luna', input: 'x', max_tokens: 3 },
    { status: 400, param: 'max_tokens', code: 'unknown_parameter' },
  ],
  [
    'reasoning_effort of a model that does not reason',
    '/v1/chat/completions',
    { model: 'gpt-4o-mini', messages: MESSAGES, reasoning_effort: 'low' },
    { status: 400, message: expect.stringContaining('supplied: reasoning_effort') },
  ],
  [
    'function tools with an effort at chat',
    '/v1/chat/completions',
    {
      model: 'gpt-6-luna',
      messages: MESSAGES,
      reasoning_effort: 'low',
      tools: [{ type: 'function', function: { name: 'f', parameters: SCHEMA } }],
    },
    { status: 400, param: 'reasoning_effort', message: expect.stringContaining('use /v1/responses') },
  ],
  [
    'an effort that the model does not know',
    '/v1/responses',
    { model: 'gpt-6.1-sol', input: 'x', reasoning: { effort: 'minimal' } },
    { status: 400, param: 'reasoning.effort', code: 'unsupported_value' },
  ],
  [
    'a strict schema that is none, at chat',
    '/v1/chat/completions',
    {
      model: 'gpt-6-luna',
      messages: MESSAGES,
      response_format: { type: 'json_schema', json_schema: { name: 's', strict: true, schema: SCHEMA } },
    },
    { status: 400, param: 'response_format', message: expect.stringContaining("'additionalProperties'") },
  ],
  [
    'a strict schema that is none, of responses',
    '/v1/responses',
    {
      model: 'gpt-6-luna',
      input: 'x',
      text: { format: { type: 'json_schema', name: 's', strict: true, schema: SCHEMA } },
    },
    { status: 400, param: 'text.format.schema', code: 'invalid_json_schema' },
  ],
  [
    'a strict function whose parameters are none',
    '/v1/chat/completions',
    {
      model: 'gpt-6-luna',
      messages: MESSAGES,
      tools: [{ type: 'function', function: { name: 'f', strict: true, parameters: SCHEMA } }],
    },
    { status: 400, param: 'tools[0].function.parameters', code: 'invalid_function_parameters' },
  ],
  [
    'json_object without the word JSON, at chat',
    '/v1/chat/completions',
    { model: 'gpt-6-luna', messages: MESSAGES, response_format: { type: 'json_object' } },
    { status: 400, param: 'messages', message: expect.stringContaining("the word 'json'") },
  ],
  [
    'json_object without the word JSON in the input of responses',
    '/v1/responses',
    {
      model: 'gpt-6-luna',
      input: 'x',
      instructions: 'Answer in JSON.',
      text: { format: { type: 'json_object' } },
    },
    { status: 400, param: 'text.format' },
  ],
  [
    'an embedding model at chat',
    '/v1/chat/completions',
    { model: 'text-embedding-3-small', messages: MESSAGES },
    { status: 404, param: 'model', message: expect.stringContaining('not a chat model') },
  ],
  [
    'a chat model at embeddings',
    '/v1/embeddings',
    { model: 'gpt-6-luna', input: 'x' },
    { status: 403, message: expect.stringContaining('not allowed to generate embeddings') },
  ],
  [
    'flex on a model without it',
    '/v1/responses',
    { model: 'gpt-6.2-sol', input: 'x', service_tier: 'flex' },
    { status: 400, message: expect.stringContaining('Flex is not available') },
  ],
];

describe('what OpenAI refuses most often', () => {
  test.each(REFUSED)('%s is refused when it is called', async (_what, endpoint, body, error) => {
    const { client, emulator } = await startForTest();
    const refused = await refusalOf(client.post(endpoint.replace('/v1', ''), { body }));
    expect(refused).toMatchObject(error);
    expect((await emulator.ledger.all()).map(({ billed_tokens }) => billed_tokens)).toEqual([0]);
  });

  test.each(REFUSED)('%s is an error line in a batch, and costs nothing', async (_what, url, body, error) => {
    const parts = await startForTest();
    const lines = [{ custom_id: 'a', method: 'POST', url, body }];
    const batch = await runBatch(parts, lines, { endpoint: url as '/v1/responses' });
    expect(batch).toMatchObject({
      status: 'completed',
      output_file_id: null,
      request_counts: { total: 1, completed: 0, failed: 1 },
      usage: { total_tokens: 0 },
    });
    const [line] = await linesOf(parts.client, batch.error_file_id);
    const { status, ...members } = error;
    const { message, ...rest } = members;
    expect(line!.response).toMatchObject({ status_code: status, body: { error: rest } });
    if (message !== undefined) expect(line!.response!.body.error).toMatchObject({ message });
  });

  test.each(REFUSED)('%s passes a lenient emulator', async (_what, endpoint, body) => {
    const { client } = await startForTest({ lenient: true });
    await client.post(endpoint.replace('/v1', ''), { body });
  });

  test('checks can be left out one by one, also while running', async () => {
    const { client, emulator } = await startForTest({ lenient: ['json_word'] });
    const json_object = { response_format: { type: 'json_object' } };
    const ask = (change: object) =>
      client.chat.completions.create(chatLine('a', { ...change }).body as never);
    await ask(json_object);
    expect((await refusalOf(ask({ top_k: 1 }))).status).toBe(400);
    const other = await startForTest();
    other.emulator.setFaults({ lenient: ['parameters'] });
    await other.client.chat.completions.create(chatLine('a', { top_k: 1 }).body as never);
    expect(() => emulator.setFaults({ lenient: ['everything' as never] })).toThrow('lenient');
  });
});

describe('strict schemas', () => {
  const object = (properties: object, more: object = {}) => ({
    type: 'object',
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
    ...more,
  });

  test.each<[string, unknown, string]>([
    ['that is no object', { type: 'array', items: {} }, `got 'type: "array"'`],
    ['without properties that are required', object({ a: {} }, { required: [] }), "Missing 'a'"],
    [
      'whose member lets others in',
      object({ a: { type: 'object', properties: {} } }),
      "In context=('properties', 'a'), 'additionalProperties'",
    ],
    [
      'whose items let others in',
      object({ a: { type: 'array', items: SCHEMA } }),
      "In context=('properties', 'a', 'items'), 'additionalProperties'",
    ],
    ['with allOf', object({ a: { allOf: [] } }), "'allOf' is not permitted"],
    [
      'whose definition is none',
      object({ a: { $ref: '#/$defs/b' } }, { $defs: { b: SCHEMA } }),
      "In context=('$defs', 'b')",
    ],
    ['with a variant that is none', object({ a: { anyOf: [{ type: 'null' }, SCHEMA] } }), "'anyOf', '1'"],
  ])('a schema %s is none', (_what, schema, expected) => {
    expect(strictSchemaError(schema)).toContain(expected);
  });

  test('a schema that keeps the rules is one', () => {
    const schema = object({
      a: object({ b: { type: ['string', 'null'] } }),
      c: { anyOf: [{ type: 'null' }, object({})] },
    });
    expect(strictSchemaError(schema)).toBeUndefined();
  });
});

describe('models', () => {
  test('are listed with the day on which they are shut down, as long as they are served', async () => {
    const { client, emulator } = await startForTest();
    const served = async () => new Map((await client.models.list()).data.map((model) => [model.id, model]));
    const before = await served();
    expect(before.get('gpt-5-nano')).toEqual({
      id: 'gpt-5-nano',
      object: 'model',
      created: Date.UTC(2025, 7, 7) / 1000,
      owned_by: 'system',
      shutdown_date: '2026-12-11',
    });
    expect(before.get('gpt-6-luna')).toMatchObject({ shutdown_date: null });
    expect(await client.models.retrieve('gpt-5-nano-2025-08-07')).toMatchObject({
      shutdown_date: '2026-12-11',
    });
    emulator.clock.advance(21 * 86_400_000);
    const after = await served();
    expect([after.has('gpt-5-nano'), after.has('gpt-6-luna')]).toEqual([false, true]);
    expect(await refusalOf(client.models.retrieve('gpt-5-nano'))).toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
  });

  test('that are shut down, or never were, are not found: alone, as a batch, and by the lines of one that is under way', async () => {
    const clock = virtualClock(Date.UTC(2026, 11, 10, 23));
    const { client } = await startForTest({ clock });
    const lines = [chatLine('a', { model: 'gpt-5-nano' }), chatLine('b', { model: 'gpt-5-nano' })];
    const params = {
      faults: [{ effect: { kind: 'batch.stuck' as const, state: 'in_progress' as const, seconds: 7200 } }],
    };
    const late = await startForTest({ clock: virtualClock(Date.UTC(2026, 11, 10, 23)), ...params });
    const underWay = await createBatch(late.client, lines);
    late.emulator.clock.advance(3 * 3_600_000);
    const done = await late.client.batches.retrieve(underWay.id);
    expect(done.request_counts).toEqual({ total: 2, completed: 0, failed: 2 });
    const [line] = await linesOf(late.client, done.error_file_id);
    expect(line!.response).toMatchObject({ status_code: 404, body: { error: { code: 'model_not_found' } } });

    await client.chat.completions.create(lines[0]!.body as never);
    clock.advance(3_600_000);
    const alone = await refusalOf(client.chat.completions.create(lines[0]!.body as never));
    expect(alone).toMatchObject({ status: 404, code: 'model_not_found' });
    const batch = await createBatch(client, lines);
    clock.advance(600_000);
    expect((await client.batches.retrieve(batch.id)).errors?.data?.[0]).toMatchObject({
      code: 'model_not_found',
      param: 'body.model',
    });
  });

  test('fine-tunes are served as what they were made from', async () => {
    const { client } = await startForTest();
    const ask = (model: string) => client.chat.completions.create(chatLine('a', { model }).body as never);
    await ask('ft:gpt-4o-mini-2024-07-18:acme::abc');
    expect((await refusalOf(ask('ft:gpt-99:acme::abc'))).status).toBe(404);
  });
});
