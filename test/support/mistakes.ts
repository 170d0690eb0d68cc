/** First mistakes of people who write a file of requests, each in a line. */

/** The text of a request that is valid but for these members. */
const requestWith = (members: object): string =>
  JSON.stringify({
    custom_id: 'a',
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'gpt-4o-mini', messages: [] },
    ...members,
  });

/** What it is, the line, and what must be said of it. */
export const MISTAKES: readonly [what: string, line: string | Uint8Array, said: string][] = [
  ['a whole JSON array', `[${requestWith({})}]`, 'one JSON array of all requests'],
  ['the beginning of an array', '[', 'one JSON array of all requests'],
  ['an array that is not complete', `[${requestWith({})},`, 'one JSON array of all requests'],
  ['an object of an array', `${requestWith({})},`, 'one JSON array of all requests'],
  ['a comma after a request', `${requestWith({})},`, 'A line has no comma at its end: remove it'],
  ['the beginning of a pretty-printed object', '{', 'spread over several lines'],
  ['a member on a line of its own', '"custom_id": "a",', 'spread over several lines'],
  ['the end of a pretty-printed object', '},', 'spread over several lines'],
  ['objects one after the other', `${requestWith({})}${requestWith({})}`, 'more than one value'],
  ['objects with a comma between', `${requestWith({})}, ${requestWith({})}`, 'more than one value'],
  ['NaN', '{"custom_id": "a", "body": {"temperature": NaN}}', 'no NaN and no Infinity'],
  ['Infinity', '{"custom_id": "a", "body": {"temperature": -Infinity}}', 'no NaN and no Infinity'],
  ['words of Python', '{"custom_id": "a", "body": {"stream": False}}', 'looks like Python'],
  ['a trailing comma in an object', '{"custom_id": "a",}', 'no comma after the last member'],
  ['a trailing comma in an array', '{"custom_id": ["a", ]}', 'no comma after the last member'],
  ['single quotes', "{'custom_id': 'a'}", 'double quotes only'],
  ['CSV', 'custom_id,prompt,model', 'looks like CSV'],
  ['CSV in quotes', '"custom_id","prompt"', 'looks like CSV'],
  ['Parquet', 'PAR1xyz', 'a Parquet file'],
  ['Parquet that is no UTF-8', Buffer.from('PAR1\u00ff\u00fe', 'latin1'), 'a Parquet file'],
  ['UTF-16 with its mark', Buffer.from('\ufeff{"a": 1}', 'utf16le'), 'looks like UTF-16'],
  ['UTF-16 without', Buffer.from('{"a": 1}', 'utf16le'), 'looks like UTF-16'],
  [
    'a full URL',
    requestWith({ url: 'https://api.openai.com/v1/chat/completions' }),
    "Did you mean '/v1/chat/completions'?",
  ],
  [
    'a URL of Azure',
    requestWith({ url: '/openai/deployments/x/chat/completions?api-version=2024-10-21' }),
    "Did you mean '/v1/chat/completions'?",
  ],
  [
    'a URL without version',
    requestWith({ url: '/chat/completions' }),
    "Did you mean '/v1/chat/completions'?",
  ],
  ['a URL with a slash too much', requestWith({ url: '/v1/embeddings/' }), "Did you mean '/v1/embeddings'?"],
  [
    'a URL in the singular',
    requestWith({ url: '/v1/chat/completion' }),
    "Did you mean '/v1/chat/completions'?",
  ],
  ['a URL that is none of ours', requestWith({ url: '/v1/files' }), 'Supported values are: '],
  [
    'a line of Anthropic',
    JSON.stringify({ custom_id: 'a', params: { model: 'claude', max_tokens: 1, messages: [] } }),
    `another service's batches ("params")`,
  ],
  [
    'a line for fine-tuning',
    JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] }),
    'training data',
  ],
  ['a body alone', JSON.stringify({ model: 'gpt-4o-mini', messages: [] }), 'the body of a request alone'],
];
