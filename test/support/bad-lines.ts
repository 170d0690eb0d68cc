/** Kinds of bad lines, each with what must be said of it. */
import type { InvalidCode } from '../../src/core/requests/check-line.ts';
import { requestLine } from './request-lines.ts';

const line = (changes: Record<string, unknown>): string => requestLine('id-1', changes);
/** A valid request with a body of its own; `undefined` leaves a field out. */
const withBody = (body: Record<string, unknown>, url = '/v1/chat/completions'): string =>
  line({ url, body: { model: 'gpt-6-luna', ...body } });
const withoutField = (field: string): string => line({ [field]: undefined });

export type BadLine = [what: string, input: string | Uint8Array, code: InvalidCode, param: string | null];

/** Kinds of bad lines. Codes and params: as seen in practice. */
export const BAD_LINES: BadLine[] = [
  // Not JSON.
  ['text', 'hello', 'invalid_json_line', null],
  ['a lone brace', '{', 'invalid_json_line', null],
  ['a cut line', requestLine('id-1').slice(0, -1), 'invalid_json_line', null],
  ['something after the object', `${requestLine('id-1')}x`, 'invalid_json_line', null],
  ['a comma after the object', `${requestLine('id-1')},`, 'invalid_json_line', null],
  ['two objects', `${requestLine('a')}${requestLine('b')}`, 'invalid_json_line', null],
  ['two objects parted by CR', `${requestLine('a')}\r${requestLine('b')}`, 'invalid_json_line', null],
  ['single quotes', "{'custom_id':'a'}", 'invalid_json_line', null],
  ['a trailing comma in the object', '{"custom_id":"a",}', 'invalid_json_line', null],
  ['a comment', '{"custom_id":"a"} // note', 'invalid_json_line', null],
  ['NaN', '{"custom_id":NaN}', 'invalid_json_line', null],
  ['a tab inside a string', '{"custom_id":"a\tb"}', 'invalid_json_line', null],
  ['a broken escape', '{"custom_id":"a\\x41"}', 'invalid_json_line', null],
  ['a byte order mark', `\ufeff${requestLine('id-1')}`, 'invalid_json_line', null],
  ['a no-break space before the object', `\u00a0${requestLine('id-1')}`, 'invalid_json_line', null],
  ['a NUL after the object', `${requestLine('id-1')}\0`, 'invalid_json_line', null],
  ['a CSV row', 'id-1,POST,"hello"', 'invalid_json_line', null],
  // Not UTF-8.
  ['Latin-1', Buffer.from(requestLine('caf\u00e9'), 'latin1'), 'invalid_json_line', null],
  ['UTF-16', Buffer.from(requestLine('id-1'), 'utf16le'), 'invalid_json_line', null],
  ['an overlong encoding', Uint8Array.from([0x22, 0xc0, 0xaf, 0x22]), 'invalid_json_line', null],
  [
    'a surrogate encoded in UTF-8',
    Uint8Array.from([0x22, 0xed, 0xa0, 0x80, 0x22]),
    'invalid_json_line',
    null,
  ],
  ['half a character', Uint8Array.from([0x22, 0xe2, 0x82, 0x22]), 'invalid_json_line', null],
  [
    'a code point beyond Unicode',
    Uint8Array.from([0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]),
    'invalid_json_line',
    null,
  ],
  // JSON, but no object.
  ['null', 'null', 'invalid_json_line', null],
  ['true', 'true', 'invalid_json_line', null],
  ['a number', '42', 'invalid_json_line', null],
  ['a string', '"hello"', 'invalid_json_line', null],
  ['an array', `[${requestLine('id-1')}]`, 'invalid_json_line', null],
  // custom_id.
  ['an empty object', '{}', 'missing_required_parameter', 'custom_id'],
  ['no custom_id', withoutField('custom_id'), 'missing_required_parameter', 'custom_id'],
  ['customId', '{"customId":"a","method":"POST"}', 'missing_required_parameter', 'custom_id'],
  [
    'custom_id in a prototype',
    `{"__proto__":${requestLine('id-1')}}`,
    'missing_required_parameter',
    'custom_id',
  ],
  ['custom_id null', line({ custom_id: null }), 'invalid_type', 'custom_id'],
  ['custom_id a number', line({ custom_id: 7 }), 'invalid_type', 'custom_id'],
  ['custom_id an object', line({ custom_id: {} }), 'invalid_type', 'custom_id'],
  ['custom_id an array', line({ custom_id: ['a'] }), 'invalid_type', 'custom_id'],
  ['custom_id empty', line({ custom_id: '' }), 'invalid_value', 'custom_id'],
  ['custom_id with half a surrogate pair', line({ custom_id: '\ud83d' }), 'invalid_value', 'custom_id'],
  // method.
  ['no method', withoutField('method'), 'missing_required_parameter', 'method'],
  ['method GET', line({ method: 'GET' }), 'invalid_value', 'method'],
  ['method in lower case', line({ method: 'post' }), 'invalid_value', 'method'],
  ['method null', line({ method: null }), 'invalid_value', 'method'],
  ['method an array', line({ method: ['POST'] }), 'invalid_value', 'method'],
  // url.
  ['no url', withoutField('url'), 'missing_required_parameter', 'url'],
  ['url null', line({ url: null }), 'invalid_url', 'url'],
  ['url empty', line({ url: '' }), 'invalid_url', 'url'],
  ['url a number', line({ url: 1 }), 'invalid_url', 'url'],
  ['url absolute', line({ url: 'https://api.openai.com/v1/responses' }), 'invalid_url', 'url'],
  ['url without its slash', line({ url: 'v1/responses' }), 'invalid_url', 'url'],
  ['url with a slash more', line({ url: '/v1/responses/' }), 'invalid_url', 'url'],
  ['url with a query', line({ url: '/v1/responses?x=1' }), 'invalid_url', 'url'],
  ['url in capitals', line({ url: '/V1/RESPONSES' }), 'invalid_url', 'url'],
  ['url of another endpoint', line({ url: '/v1/audio/speech' }), 'invalid_url', 'url'],
  // body.
  ['no body', withoutField('body'), 'missing_required_parameter', 'body'],
  ['body null', line({ body: null }), 'invalid_type', 'body'],
  ['body a string', line({ body: '{"model":"m"}' }), 'invalid_type', 'body'],
  ['body an array', line({ body: [] }), 'invalid_type', 'body'],
  ['body a number', line({ body: 1 }), 'invalid_type', 'body'],
  ['body empty', line({ body: {} }), 'invalid_request', 'body.model'],
  // model.
  ['no model', withBody({ model: undefined }), 'invalid_request', 'body.model'],
  ['model null', withBody({ model: null }), 'invalid_request', 'body.model'],
  ['model empty', withBody({ model: '' }), 'invalid_request', 'body.model'],
  ['model a number', withBody({ model: 4 }), 'invalid_type', 'body.model'],
  ['model far too long', withBody({ model: 'm'.repeat(257) }), 'invalid_value', 'body.model'],
  ['model with half a surrogate pair', withBody({ model: 'm\ud83d' }), 'invalid_value', 'body.model'],
  ['model an object', withBody({ model: {} }), 'invalid_type', 'body.model'],
  // stream.
  ['stream true', withBody({ stream: true }), 'streaming_unsupported', 'body.stream'],
  // Embedding inputs.
  [
    'more embedding inputs than a batch may have',
    withBody({ input: new Array(50_001).fill('a') }, '/v1/embeddings'),
    'too_many_inputs',
    'body.input',
  ],
  [
    'more arrays of tokens than a batch may have embedding inputs',
    withBody({ input: new Array(50_001).fill([1]) }, '/v1/embeddings'),
    'too_many_inputs',
    'body.input',
  ],
];
