import { describe, expect, it } from 'vitest';
import { checkLine } from '../../../../src/core/requests/check-line.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';

const messageOf = (line: string | Uint8Array): string => {
  const found = checkLine(typeof line === 'string' ? Buffer.from(line) : line, OPENAI_RULES);
  return found.valid ? 'valid' : found.message;
};
const request = (members: object) =>
  JSON.stringify({
    custom_id: 'a',
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'gpt-4o-mini', messages: [] },
    ...members,
  });

describe('a mistake in a line is named with its place and what to do', () => {
  it.each([
    ['a whole JSON array', `[${request({})}]`, 'one JSON array of all requests'],
    ['the beginning of an array', '[', 'one JSON array of all requests'],
    ['an array that is not complete', `[${request({})},`, 'one JSON array of all requests'],
    ['an object of an array', `${request({})},`, 'one JSON array of all requests'],
    ['a comma after a request', `${request({})},`, 'A line has no comma at its end: remove it'],
    ['the beginning of a pretty-printed object', '{', 'spread over several lines'],
    ['a member on a line of its own', '"custom_id": "a",', 'spread over several lines'],
    ['the end of a pretty-printed object', '},', 'spread over several lines'],
    ['objects one after the other', `${request({})}${request({})}`, 'more than one value'],
    ['objects with a comma between', `${request({})}, ${request({})}`, 'more than one value'],
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
      request({ url: 'https://api.openai.com/v1/chat/completions' }),
      "Did you mean '/v1/chat/completions'?",
    ],
    [
      'a URL of Azure',
      request({ url: '/openai/deployments/x/chat/completions?api-version=2024-10-21' }),
      "Did you mean '/v1/chat/completions'?",
    ],
    ['a URL without version', request({ url: '/chat/completions' }), "Did you mean '/v1/chat/completions'?"],
    ['a URL with a slash too much', request({ url: '/v1/embeddings/' }), "Did you mean '/v1/embeddings'?"],
    [
      'a URL in the singular',
      request({ url: '/v1/chat/completion' }),
      "Did you mean '/v1/chat/completions'?",
    ],
    ['a URL that is none of ours', request({ url: '/v1/files' }), 'Supported values are: '],
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
  ])('%s', (_what, line, part) => {
    expect(messageOf(line)).toContain(part);
  });

  it('says where the line stops being JSON, and what is expected there', () => {
    expect(messageOf('{"custom_id" "a"}')).toBe(
      'This line is not parseable as valid JSON. Column 14: a colon is expected.',
    );
    expect(messageOf('{"custom_id": "a"')).toBe(
      'This line is not parseable as valid JSON. Column 18: the line ends too early.',
    );
  });

  it('repeats nothing of a line', () => {
    for (const line of [
      '{"secret word": secret',
      "{'secret': 1}",
      '{"a": "secret',
      'secret,secret,',
      '[secret',
    ])
      expect(messageOf(line)).not.toContain('secret');
  });
});
