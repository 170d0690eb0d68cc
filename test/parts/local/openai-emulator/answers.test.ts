import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { BATCH_ENDPOINTS } from '../../../../local/openai-emulator/answers.ts';
import { virtualClock } from '../../../../local/openai-emulator/emulator.ts';
import { answerToSchema } from '../../../../local/openai-emulator/schema-answer.ts';
import { chatLine, linesOf, refusalOf, runBatch, startForTest } from './support.ts';

const TICKET_SCHEMA = z.strictObject({
  category: z.enum(['billing', 'bug', 'question']),
  urgent: z.boolean(),
  score: z.number().min(0).max(1),
  tags: z.array(z.string()).min(1).max(3),
  due: z.iso.date(),
  owner: z.union([z.strictObject({ id: z.uuid() }), z.null()]),
});

const ticketFormat = {
  type: 'json_schema' as const,
  json_schema: { name: 'ticket', strict: true, schema: z.toJSONSchema(TICKET_SCHEMA) },
};

describe('chat completions', () => {
  test('answer deterministically and say that they are emulated', async () => {
    const { client, emulator } = await startForTest();
    const ask = (content: string) =>
      client.chat.completions.create({ model: 'gpt-4o-mini', messages: [{ role: 'user', content }] });
    const first = await ask('hello');
    expect(first).toMatchObject({
      object: 'chat.completion',
      model: 'gpt-4o-mini-2024-07-18',
      system_fingerprint: 'fp_emulated',
      service_tier: 'default',
      usage: { prompt_tokens: 2 },
    });
    expect(first.id).toMatch(/^chatcmpl-\w{29}$/);
    const content = first.choices[0]!.message.content!;
    expect(content.startsWith('[emulated] ')).toBe(true);
    expect((await ask('hello')).choices[0]!.message.content).toBe(content);
    expect((await ask('other')).choices[0]!.message.content).not.toBe(content);
    expect((await emulator.ledger.all()).length).toBe(3);
  });

  test('follow a JSON schema, choosing among enum values by the input', async () => {
    const { client } = await startForTest();
    const seen = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const answer = await client.chat.completions.create({
        model: 'gpt-4o-mini',
        messages: [{ role: 'user', content: `Ticket ${i}` }],
        response_format: ticketFormat,
      });
      const ticket = TICKET_SCHEMA.parse(JSON.parse(answer.choices[0]!.message.content!));
      seen.add(ticket.category);
    }
    expect(seen.size).toBe(3);
  });

  test('call the function that the request insists on, with arguments of its schema', async () => {
    const { client } = await startForTest();
    const answer = await client.chat.completions.create({
      model: 'gpt-4o-mini',
      messages: [{ role: 'user', content: 'weather' }],
      tools: [
        {
          type: 'function',
          function: { name: 'weather', parameters: z.toJSONSchema(z.strictObject({ city: z.string() })) },
        },
      ],
      tool_choice: 'required',
    });
    const call = answer.choices[0]!.message.tool_calls![0]!;
    expect(call).toMatchObject({ type: 'function', function: { name: 'weather' } });
    expect(answer.choices[0]!.finish_reason).toBe('tool_calls');
  });

  test('stop at the token limit of the request', async () => {
    const { client } = await startForTest();
    const answer = await client.chat.completions.create({
      model: 'gpt-4o-mini',
      messages: [{ role: 'user', content: 'hello' }],
      max_tokens: 3,
    });
    expect(answer.choices[0]!.finish_reason).toBe('length');
    expect(answer.usage?.completion_tokens).toBe(3);
  });

  test.each([
    ['a temperature out of range', { temperature: 2.5 }, 400, 'temperature'],
    ['too many output tokens', { max_tokens: 1_000_000 }, 400, 'max_tokens'],
    ['an unknown model', { model: 'nothing' }, 404, undefined],
    [
      'a context that is too long',
      { messages: [{ role: 'user', content: 'x'.repeat(600_000) }] },
      400,
      'messages',
    ],
  ] as const)('refuse %s', async (_, change, status, param) => {
    const { client } = await startForTest();
    const body = { ...chatLine('a').body, ...change } as never;
    const refusal = await refusalOf(client.chat.completions.create(body));
    expect(refusal.status).toBe(status);
    if (param !== undefined) expect(refusal.param).toBe(param);
  });
});

/** The last models of completions and videos were shut down in the days after. */
const WHEN_ALL_WERE_SERVED = Date.UTC(2026, 8, 1);

const SERVED_BODIES: Readonly<Record<string, object>> = {
  '/v1/responses': { model: 'gpt-6-luna', input: 'x' },
  '/v1/chat/completions': { model: 'gpt-6-luna', messages: [{ role: 'user', content: 'x' }] },
  '/v1/embeddings': { model: 'text-embedding-3-small', input: 'x' },
  '/v1/completions': { model: 'gpt-3.5-turbo-instruct', prompt: 'x' },
  '/v1/moderations': { model: 'omni-moderation-latest', input: 'x' },
  '/v1/images/generations': { model: 'gpt-image-2.6-sunburst', prompt: 'x' },
  '/v1/images/edits': { model: 'gpt-image-2.6-sunburst', prompt: 'x', images: [{ file_id: 'file-x' }] },
  '/v1/videos': { model: 'sora-2', prompt: 'x' },
};

describe('the other endpoints', () => {
  test('responses carry output_text, usage and the tier that was asked for', async () => {
    const { client } = await startForTest();
    const response = await client.responses.create({
      model: 'gpt-6-luna',
      instructions: 'Be brief.',
      input: [{ role: 'user', content: [{ type: 'input_text', text: 'hello' }] }],
      service_tier: 'flex',
    });
    expect(response.output_text.startsWith('[emulated] ')).toBe(true);
    expect(response).toMatchObject({
      object: 'response',
      status: 'completed',
      model: 'gpt-6-luna-2026-09-22',
      service_tier: 'flex',
      usage: { input_tokens: 4 },
    });
    const typed = await client.responses.create({
      model: 'gpt-6-luna',
      input: 'Ticket',
      text: { format: { type: 'json_schema', name: 'ticket', schema: z.toJSONSchema(TICKET_SCHEMA) } },
    });
    TICKET_SCHEMA.parse(JSON.parse(typed.output_text));
  });

  test('embeddings are unit vectors of the right size, the same as floats and as base64', async () => {
    const { client } = await startForTest();
    const base64 = await client.embeddings.create({ model: 'text-embedding-3-small', input: ['a', 'b'] });
    const floats = await client.embeddings.create({
      model: 'text-embedding-3-small',
      input: ['a', 'b'],
      encoding_format: 'float',
    });
    expect(base64.data.map((item) => item.embedding)).toEqual(floats.data.map((item) => item.embedding));
    const [first, second] = floats.data.map((item) => item.embedding);
    expect(first!.length).toBe(1536);
    expect(Math.hypot(...first!)).toBeCloseTo(1, 5);
    expect(second).not.toEqual(first);
    const small = await client.embeddings.create({
      model: 'text-embedding-3-large',
      input: 'a',
      dimensions: 8,
    });
    expect(small.data[0]!.embedding.length).toBe(8);
    expect(small.usage).toEqual({ prompt_tokens: 1, total_tokens: 1 });
  });

  test('moderations and completions have their real shapes', async () => {
    const { client } = await startForTest({ clock: virtualClock(WHEN_ALL_WERE_SERVED) });
    const moderation = await client.moderations.create({ input: 'hello' });
    expect(moderation.results[0]).toMatchObject({ flagged: false, categories: { violence: false } });
    const completion = await client.completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: 'hello' });
    expect(completion.choices[0]!.text.startsWith('[emulated] ')).toBe(true);
  });

  test.each(BATCH_ENDPOINTS)('a batch for %s gets a 200 line', async (endpoint) => {
    const parts = await startForTest({ clock: virtualClock(WHEN_ALL_WERE_SERVED) });
    const body = SERVED_BODIES[endpoint]!;
    const lines = [{ custom_id: 'a', method: 'POST', url: endpoint, body }];
    const batch = await runBatch(parts, lines, { endpoint: endpoint as '/v1/responses' });
    expect(batch).toMatchObject({ status: 'completed', request_counts: { completed: 1 } });
    const [line] = await linesOf(parts.client, batch.output_file_id);
    expect(line!.response!.status_code).toBe(200);
  });

  test('a request has the same answer and the same hash in a batch and by itself', async () => {
    const parts = await startForTest();
    const line = chatLine('same', { model: 'gpt-6-luna' });
    const batch = await runBatch(parts, [line]);
    const body = { ...line.body, service_tier: 'flex' } as never;
    const alone = await parts.client.chat.completions.create(body, {
      headers: { 'X-Client-Request-Id': 'same' },
    });
    const [written] = await linesOf(parts.client, batch.output_file_id);
    expect(written!.response!.body.choices).toEqual(alone.choices);
    const twice = await parts.emulator.ledger.boughtTwice();
    expect(twice.map((executions) => executions.map(({ tier, custom_id }) => [tier, custom_id]))).toEqual([
      [
        ['batch', 'same'],
        ['flex', 'same'],
      ],
    ]);
  });
});

describe('answers to schemas', () => {
  const leaf = fc.oneof(
    fc.constant(z.string()),
    fc.constant(z.boolean()),
    fc.constant(z.null()),
    fc.constant(z.email()),
    fc.constant(z.uuid()),
    fc.integer({ min: -50, max: 50 }).map((low) =>
      z
        .int()
        .min(low)
        .max(low + 10),
    ),
    fc.integer({ min: -50, max: 50 }).map((low) =>
      z
        .number()
        .min(low)
        .max(low + 2),
    ),
    fc.integer({ min: 0, max: 30 }).map((length) =>
      z
        .string()
        .min(length)
        .max(length + 5),
    ),
    fc
      .uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 4 })
      .map((values) => z.enum(values as [string, ...string[]])),
  );
  const { schema } = fc.letrec<{ schema: z.ZodType }>((tie) => ({
    schema: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((parts) => z.union(parts as [z.ZodType])),
      tie('schema').map((item) => z.array(item).min(1).max(4)),
      fc
        .dictionary(fc.stringMatching(/^[a-z]{1,5}$/), tie('schema'), { maxKeys: 4 })
        .map((shape) => z.strictObject(shape)),
    ),
  }));

  test('conform to the schema, whatever it is', () => {
    fc.assert(
      fc.property(schema, fc.string(), (type, key) => {
        const value = answerToSchema(z.toJSONSchema(type), key);
        expect(type.safeParse(value).error).toBeUndefined();
        expect(answerToSchema(z.toJSONSchema(type), key)).toEqual(value);
      }),
    );
  });

  test('end for a schema that contains itself', () => {
    const tree = { type: 'object', properties: { children: { type: 'array', items: { $ref: '#' } } } };
    expect(answerToSchema(tree, 'key')).toHaveProperty('children');
  });
});
