import type { Body } from './exchange.ts';
import { isObject } from './json-lines.ts';
import { tokensIn } from './logprobs.ts';

/** The endpoints that stream. */
export const STREAMING_ENDPOINTS: readonly string[] = [
  '/v1/responses',
  '/v1/chat/completions',
  '/v1/completions',
];

/**
 * A whole answer as the server-sent events that its endpoint would stream, token by token.
 * @param endpoint one of `STREAMING_ENDPOINTS`
 * @param includesUsage whether a chunk with the usage ends the stream; responses always have theirs
 */
export function eventsOf(endpoint: string, answered: Body, includesUsage: boolean): string {
  if (endpoint === '/v1/responses') {
    return responseEvents(answered)
      .map((event, sequence_number) => {
        const { type, ...rest } = event;
        return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number, ...rest })}\n\n`;
      })
      .join('');
  }
  const chunks = endpoint === '/v1/completions' ? textChunks(answered) : chatChunks(answered);
  const { usage, choices: _, ...head } = answered;
  const object = endpoint === '/v1/completions' ? 'text_completion' : 'chat.completion.chunk';
  const events: Body[] = chunks.map((choice) => ({
    ...head,
    object,
    choices: [choice],
    ...(includesUsage ? { usage: null } : {}),
  }));
  if (includesUsage) events.push({ ...head, object, choices: [], usage: usage ?? null });
  return `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}data: [DONE]\n\n`;
}

const objectsIn = (value: unknown): Body[] => (Array.isArray(value) ? value.filter(isObject) : []);

function textChunks(answered: Body): Body[] {
  return objectsIn(answered.choices).flatMap(({ text, index, finish_reason }) => [
    ...tokensIn(String(text ?? '')).map((token) => ({
      text: token,
      index,
      logprobs: null,
      finish_reason: null,
    })),
    { text: '', index, logprobs: null, finish_reason },
  ]);
}

function chatChunks(answered: Body): Body[] {
  return objectsIn(answered.choices).flatMap((choice) => {
    const { index, finish_reason } = choice;
    const message = isObject(choice.message) ? choice.message : {};
    const logprobs = isObject(choice.logprobs) ? objectsIn(choice.logprobs.content) : undefined;
    const chunk = (delta: Body, position?: number): Body => ({
      index,
      delta,
      logprobs:
        logprobs === undefined || position === undefined
          ? null
          : { content: [logprobs[position]], refusal: null },
      finish_reason: null,
    });
    const tools = objectsIn(message.tool_calls);
    const hasText = typeof message.content === 'string';
    return [
      chunk({ role: 'assistant', content: hasText ? '' : null, refusal: null }),
      ...(hasText
        ? tokensIn(String(message.content)).map((content, position) => chunk({ content }, position))
        : []),
      ...tools.flatMap((call, position) => toolDeltas(call, position).map((delta) => chunk(delta))),
      { ...chunk({}), finish_reason },
    ];
  });
}

/** A call's name comes first, its arguments bit by bit. */
function toolDeltas(call: Body, index: number): Body[] {
  const named = isObject(call.function) ? call.function : {};
  return [
    { tool_calls: [{ index, ...call, function: { ...named, arguments: '' } }] },
    ...tokensIn(String(named.arguments ?? '')).map((bit) => ({
      tool_calls: [{ index, function: { arguments: bit } }],
    })),
  ];
}

type ResponseEvent = { type: string } & Body;

function responseEvents(answered: Body): ResponseEvent[] {
  const begun = { ...answered, status: 'in_progress', output: [], usage: null, completed_at: null };
  return [
    { type: 'response.created', response: begun },
    { type: 'response.in_progress', response: begun },
    ...objectsIn(answered.output).flatMap((item, output_index) => itemEvents(item, output_index)),
    { type: `response.${String(answered.status)}`, response: answered },
  ];
}

function itemEvents(item: Body, output_index: number): ResponseEvent[] {
  const item_id = item.id;
  const empty =
    item.type === 'message' ? { content: [] } : item.type === 'function_call' ? { arguments: '' } : {};
  const at = { item_id, output_index };
  return [
    { type: 'response.output_item.added', output_index, item: { ...item, status: 'in_progress', ...empty } },
    ...(item.type === 'message'
      ? objectsIn(item.content).flatMap((part, index) => partEvents(part, { ...at, content_index: index }))
      : []),
    ...(item.type === 'function_call' ? argumentEvents(item, at) : []),
    { type: 'response.output_item.done', output_index, item },
  ];
}

function partEvents(part: Body, at: Body): ResponseEvent[] {
  const text = String(part.text ?? '');
  const logprobs = objectsIn(part.logprobs);
  return [
    { type: 'response.content_part.added', ...at, part: { ...part, text: '', logprobs: [] } },
    ...tokensIn(text).map((delta, position) => ({
      type: 'response.output_text.delta',
      ...at,
      delta,
      logprobs: logprobs[position] === undefined ? [] : [logprobs[position]],
    })),
    { type: 'response.output_text.done', ...at, text, logprobs },
    { type: 'response.content_part.done', ...at, part },
  ];
}

function argumentEvents(item: Body, at: Body): ResponseEvent[] {
  const whole = String(item.arguments ?? '');
  return [
    ...tokensIn(whole).map((delta) => ({ type: 'response.function_call_arguments.delta', ...at, delta })),
    { type: 'response.function_call_arguments.done', ...at, name: item.name, arguments: whole },
  ];
}
