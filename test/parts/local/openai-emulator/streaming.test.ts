import { zodResponseFormat } from 'openai/helpers/zod';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { virtualClock } from '../../../../local/openai-emulator/emulator.ts';
import { chatLine, linesOf, refusalOf, runBatch, startForTest } from './support.ts';

const BODY = { model: 'gpt-6-luna', messages: [{ role: 'user' as const, content: 'Zoë asks 日本 in JSON' }] };
const TOOL = {
  type: 'function' as const,
  function: {
    name: 'weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

describe('streamed answers', () => {
  test('of chat come token by token and are together what one answer is, with usage when it is asked for', async () => {
    const { client, emulator } = await startForTest();
    const whole = await client.chat.completions.create({ ...BODY, n: 2 });
    const stream = client.chat.completions.stream({ ...BODY, n: 2, stream_options: { include_usage: true } });
    let chunks = 0;
    for await (const chunk of stream) {
      chunks += 1;
      expect(chunk.object).toBe('chat.completion.chunk');
    }
    expect(chunks).toBeGreaterThan(10);
    const final = await stream.finalChatCompletion();
    expect(final.choices.map(({ message, finish_reason }) => [message.content, finish_reason])).toEqual(
      whole.choices.map(({ message, finish_reason }) => [message.content, finish_reason]),
    );
    expect(final.usage).toEqual(whole.usage);
    const executions = await emulator.ledger.all();
    expect(
      new Set(executions.map(({ request_hash, billed_tokens }) => `${request_hash} ${billed_tokens}`)).size,
    ).toBe(1);
  });

  test('of chat hold calls of functions and JSON that follows a schema', async () => {
    const { client } = await startForTest();
    const called = await client.chat.completions
      .stream({ ...BODY, tools: [TOOL], tool_choice: 'required' })
      .finalChatCompletion();
    const [call] = called.choices[0]!.message.tool_calls!;
    expect(call).toMatchObject({ type: 'function', function: { name: 'weather' } });
    expect(JSON.parse((call as { function: { arguments: string } }).function.arguments)).toHaveProperty(
      'city',
    );
    const schema = z.strictObject({ name: z.string(), tags: z.array(z.string()) });
    const typed = await client.chat.completions
      .stream({ ...BODY, response_format: zodResponseFormat(schema, 'tagged') })
      .finalChatCompletion();
    schema.parse(JSON.parse(typed.choices[0]!.message.content!));
  });

  test('of responses are the events that the client builds the same response from', async () => {
    const { client } = await startForTest();
    const asked = { model: 'gpt-6-luna', input: 'hello' };
    const whole = await client.responses.create(asked);
    const types: string[] = [];
    const numbers: number[] = [];
    const stream = client.responses.stream(asked);
    for await (const event of stream) {
      if (types.at(-1) !== event.type) types.push(event.type);
      numbers.push(event.sequence_number);
    }
    expect(types).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
    expect(numbers).toEqual(numbers.map((_, index) => index));
    const final = await stream.finalResponse();
    expect(final.output_text).toBe(whole.output_text);
    expect(final.usage).toEqual(whole.usage);
    const cut = await client.responses.stream({ ...asked, max_output_tokens: 3 }).finalResponse();
    expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
  });

  test('of responses hold calls of functions', async () => {
    const { client } = await startForTest();
    const { name, parameters } = TOOL.function;
    const final = await client.responses
      .stream({
        model: 'gpt-6-luna',
        input: 'hello',
        tools: [{ type: 'function', name, parameters, strict: false }],
        tool_choice: 'required',
      })
      .finalResponse();
    expect(final.output).toMatchObject([{ type: 'function_call', name, status: 'completed' }]);
  });

  test('of completions end with [DONE]', async () => {
    const { client } = await startForTest({ clock: virtualClock(Date.UTC(2026, 5, 1)) });
    let text = '';
    for await (const chunk of await client.completions.create({
      model: 'gpt-3.5-turbo-instruct',
      prompt: 'x',
      stream: true,
    })) {
      text += chunk.choices[0]?.text ?? '';
    }
    expect(text).toMatch(/^\[emulated\] /);
  });

  test('are refused as a whole when the request is, and stay refused in a batch', async () => {
    const parts = await startForTest();
    const refused = parts.client.chat.completions.create({ ...BODY, messages: [], stream: true });
    expect(await refusalOf(refused)).toMatchObject({ status: 400, code: 'empty_array' });
    const options = parts.client.chat.completions.create({
      ...BODY,
      stream_options: { include_usage: true },
    });
    expect(await refusalOf(options)).toMatchObject({ status: 400, param: 'stream_options' });
    expect((await runBatch(parts, [chatLine('a', { stream: true })])).status).toBe('failed');
  });

  test('come from an upstream that is asked for the whole', async () => {
    const upstream = await startForTest();
    const { client } = await startForTest({
      upstream: { baseURL: upstream.emulator.endpoint, apiKey: 'sk-up' },
    });
    const final = await client.chat.completions.stream(BODY).finalChatCompletion();
    expect(final.choices[0]!.message.content).toMatch(/^\[emulated\] /);
  });
});

describe('log probabilities', () => {
  test('of chat cover the text, as many of the likeliest as were asked for, and the same each time', async () => {
    const parts = await startForTest();
    const asked = { ...BODY, logprobs: true, top_logprobs: 3 };
    const { choices } = await parts.client.chat.completions.create(asked);
    const [{ logprobs, message }] = choices as [(typeof choices)[0]];
    const tokens = logprobs!.content!;
    expect(tokens.map(({ token }) => token).join('')).toBe(message.content);
    for (const { token, logprob, bytes, top_logprobs } of tokens) {
      expect(Buffer.from(bytes!).toString()).toBe(token);
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top_logprobs[0]).toMatchObject({ token, logprob });
      expect(top_logprobs.length).toBe(3);
    }
    const batch = await runBatch(parts, [chatLine('a', asked)]);
    const [line] = await linesOf(parts.client, batch.output_file_id);
    expect(line!.response!.body.choices).toMatchObject([{ logprobs }]);
    const streamed = await parts.client.chat.completions.stream(asked).finalChatCompletion();
    expect(streamed.choices[0]!.logprobs!.content).toEqual(tokens);
    expect((await parts.client.chat.completions.create(BODY)).choices[0]!.logprobs).toBeNull();
  });

  test('of responses are in the text that includes them', async () => {
    const { client } = await startForTest();
    const response = await client.responses.create({
      model: 'gpt-6-luna',
      input: 'x',
      top_logprobs: 2,
      include: ['message.output_text.logprobs'],
    });
    const [item] = response.output as unknown as [
      { content: { text: string; logprobs: { token: string }[] }[] },
    ];
    const [{ text, logprobs }] = item.content as [(typeof item.content)[0]];
    expect(logprobs.map(({ token }) => token).join('')).toBe(text);
    expect(logprobs[0]).toMatchObject({ top_logprobs: [{}, {}] });
  });
});
