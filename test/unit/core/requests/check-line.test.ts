import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkLine as checkLineBy,
  duplicateCustomId,
  lineTooLong,
} from '../../../../src/core/requests/check-line.ts';
import { ENDPOINTS } from '../../../../src/providers/openai/endpoints/all.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';
import { BAD_LINES } from '../../../support/bad-lines.ts';
import { propertyRuns } from '../../../support/property-runs.ts';
import { request, requestLine } from '../../../support/request-lines.ts';

const checkLine = (line: Uint8Array) => checkLineBy(line, OPENAI_RULES);
const bytes = (text: string): Uint8Array => Buffer.from(text);
const line = (changes: Record<string, unknown>): string => requestLine('id-1', changes);
/** A valid request with a body of its own; `undefined` leaves a field out. */
const withBody = (body: Record<string, unknown>, url = '/v1/chat/completions'): string =>
  line({ url, body: { model: 'gpt-6-luna', ...body } });
const withoutField = (field: string): string => line({ [field]: undefined });

describe('checkLine', () => {
  it('has a table of at least 40 kinds of bad lines, each once', () => {
    expect(BAD_LINES.length).toBeGreaterThanOrEqual(40);
    expect(new Set(BAD_LINES.map(([what]) => what)).size).toBe(BAD_LINES.length);
  });

  it.each(BAD_LINES)('refuses %s', (_what, input, code, param) => {
    const verdict = checkLine(typeof input === 'string' ? bytes(input) : input);
    expect(verdict).toMatchObject({ valid: false, code, param });
    expect((verdict as { message: string }).message).toMatch(/^[A-Z].*[.?]$/s);
  });

  it("says OpenAI's own words where OpenAI has them", () => {
    const messageOf = (text: string): unknown => (checkLine(bytes(text)) as { message?: string }).message;
    expect(messageOf('x')).toMatch(/^This line is not parseable as valid JSON\. /);
    expect(messageOf('{}')).toBe("Missing required parameter: 'custom_id'.");
    expect(messageOf(withBody({ model: undefined }))).toBe('Model parameter is required.');
    expect(messageOf(line({ custom_id: 7 }))).toBe(
      "Invalid type for 'custom_id': expected a string, but got a number instead.",
    );
  });

  it('names the custom_id of a bad line as soon as it could be read', () => {
    for (const input of [
      withoutField('method'),
      withoutField('url'),
      withoutField('body'),
      withBody({ stream: true }),
    ])
      expect(checkLine(bytes(input))).toMatchObject({ valid: false, customId: 'id-1' });
    for (const input of ['{}', line({ custom_id: 7 }), line({ custom_id: '' })])
      expect(checkLine(bytes(input))).not.toHaveProperty('customId');
  });

  it.each([...ENDPOINTS.keys()])('accepts %s', (url) => {
    expect(checkLine(bytes(line({ url })))).toMatchObject({
      valid: true,
      customId: 'id-1',
      url,
      model: 'gpt-6-luna',
    });
  });

  it("accepts exactly the eight endpoints that OpenAI's client lists", () => {
    expect([...ENDPOINTS.keys()].sort()).toEqual([
      '/v1/chat/completions',
      '/v1/completions',
      '/v1/embeddings',
      '/v1/images/edits',
      '/v1/images/generations',
      '/v1/moderations',
      '/v1/responses',
      '/v1/videos',
    ]);
  });

  it.each<[string, string, Record<string, unknown>]>([
    ['fields that are not known', line({ note: 'mine', priority: 3 }), {}],
    [
      'fields in any order',
      '{"body":{"model":"m"},"url":"/v1/responses","method":"POST","custom_id":"a"}',
      { model: 'm' },
    ],
    ['blanks inside the object', JSON.stringify(request('id-1'), null, '\t').replaceAll('\n', '\r'), {}],
    ['blanks around the object', ` \t${requestLine('id-1')} \r`, {}],
    ['stream false', withBody({ stream: false }), {}],
    ['stream null', withBody({ stream: null }), {}],
    ['a body that only the model could judge', withBody({ temperature: 'hot', messages: 5 }), {}],
    ['a custom_id of one blank', line({ custom_id: ' ' }), { customId: ' ' }],
    ['a custom_id with NUL', line({ custom_id: 'a\0b' }), { customId: 'a\0b' }],
    ['a custom_id in many scripts', line({ custom_id: 'ä—ü/名前🎬' }), { customId: 'ä—ü/名前🎬' }],
    ['a custom_id with raw U+2028', line({ custom_id: 'a\u2028b' }), { customId: 'a\u2028b' }],
    [
      'a custom_id of 10,000 characters',
      line({ custom_id: 'x'.repeat(10_000) }),
      { customId: 'x'.repeat(10_000) },
    ],
    [
      'a custom_id written in escapes',
      line({}).replace('id-1', '\\u0069\\u0064-\\ud83c\\udfac'),
      { customId: 'id-🎬' },
    ],
    [
      'a field name written in escapes',
      line({}).replace('custom_id', 'custom\\u005fid'),
      { customId: 'id-1' },
    ],
    [
      'a custom_id that names a property of objects',
      line({ custom_id: '__proto__' }),
      { customId: '__proto__' },
    ],
    ['half a surrogate pair in the body', withBody({ note: '\ud83d' }), {}],
    ['numbers beyond the range of doubles', line({}).replace('"messages"', '"seed":1e999,"messages"'), {}],
  ])('accepts %s', (_what, input, expected) => {
    expect(checkLine(bytes(input))).toMatchObject({ valid: true, ...expected });
  });

  it('takes the last of two fields with one name, as JSON.parse does', () => {
    const twice =
      '{"custom_id":"first","custom_id":"last","method":"GET","method":"POST","url":"/v1/responses","body":{"model":"m"}}';
    expect(checkLine(bytes(twice))).toMatchObject({ valid: true, customId: 'last' });
    const streams = (fields: string): boolean =>
      checkLine(
        bytes(`{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"model":"m",${fields}}}`),
      ).valid;
    expect(streams('"stream":true,"stream":false')).toBe(true);
    expect(streams('"stream":false,"stream":true')).toBe(false);
  });

  it('reads a body nested 100,000 deep without running out of stack', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    expect(checkLine(bytes(line({}).replace('"messages"', `"deep":${deep},"messages"`)))).toMatchObject({
      valid: true,
    });
  });

  it('reads a view into a larger buffer, not the buffer', () => {
    const text = bytes(requestLine('id-1'));
    const large = Buffer.concat([Buffer.from('xx'), text, Buffer.from('yy')]);
    expect(checkLine(large.subarray(2, 2 + text.length))).toMatchObject({ valid: true, customId: 'id-1' });
  });

  it.each<[string, unknown, number]>([
    ['a text', 'a', 1],
    ['an array of texts', ['a', 'b', 'c'], 3],
    ['an array of tokens', [1, 2, 3], 1],
    ['arrays of tokens', [[1, 2], [3]], 2],
    ['as many texts as a batch may have', new Array(50_000).fill('a'), 50_000],
  ])('counts the embedding inputs of %s', (_what, input, embeddingInputs) => {
    expect(checkLine(bytes(withBody({ input }, '/v1/embeddings')))).toMatchObject({
      valid: true,
      embeddingInputs,
    });
  });

  it('counts no embedding inputs at other endpoints', () => {
    expect(checkLine(bytes(withBody({ input: ['a', 'b'] }, '/v1/moderations')))).toMatchObject({
      valid: true,
      embeddingInputs: 0,
    });
  });

  it('throws for no bytes whatever', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
        expect(checkLine(input).valid).toBe(false);
      }),
      { numRuns: propertyRuns(1_000) },
    );
  });

  it('throws for no JSON whatever, and what it accepts has what a batch needs', () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom('POST', ...ENDPOINTS.keys(), 'id-1', true),
      fc.record({ model: fc.jsonValue(), stream: fc.jsonValue() }, { requiredKeys: [] }),
    );
    const anyRequest = fc.record(
      { custom_id: value, method: value, url: value, body: value },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(anyRequest, fc.jsonValue()), (input) => {
        const verdict = checkLine(bytes(JSON.stringify(input)));
        if (verdict.valid) {
          expect(verdict.customId).not.toBe('');
          expect(verdict.model).not.toBe('');
        } else expect(verdict.code).toMatch(/^[a-z_]+$/);
      }),
      { numRuns: propertyRuns(1_000) },
    );
  });

  it('accepts every line that a program would write, and finds its id and model', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1 }),
        fc.constantFrom(...ENDPOINTS.keys()),
        fc.string({ unit: 'binary', minLength: 1 }),
        fc.dictionary(
          fc.string().filter((key) => key !== 'model' && key !== 'stream'),
          fc.jsonValue(),
        ),
        (customId, url, model, body) => {
          const verdict = checkLine(bytes(requestLine(customId, { url, body: { ...body, model } })));
          expect(verdict).toMatchObject({ valid: true, customId, url, model });
          expect((verdict as { predictedOutputBytes: number }).predictedOutputBytes).toBeGreaterThan(0);
        },
      ),
      { numRuns: propertyRuns(500) },
    );
  });

  describe('never repeats what is in a body', () => {
    const SECRET = 'SECRET-sk-proj-1234';
    it.each<[string, string]>([
      ['a line that is not JSON', `{"custom_id":"a","body":{"messages":"${SECRET}"`],
      ['a line that is text', SECRET],
      ['a line that is a string', `"${SECRET}"`],
      ['a body that is text', line({ body: SECRET })],
      ['a body that is an array', line({ body: [SECRET] })],
      ['a model of another type', withBody({ model: [SECRET], messages: SECRET })],
      ['a body without model', line({ body: { messages: SECRET } })],
      ['a body that streams', withBody({ stream: true, messages: SECRET })],
      ['a body in a bad request', line({ method: 'PUT', body: { messages: SECRET } })],
      ['a body at a bad url', line({ url: '/v1/none', body: { messages: SECRET } })],
      ['a custom_id that holds the body', line({ custom_id: { body: SECRET } })],
      ['a method that holds the body', line({ method: { body: SECRET } })],
      ['a url that holds the body', line({ url: [SECRET] })],
      ['a url too long to be one', line({ url: `/v1/${'x'.repeat(60)}${SECRET}` })],
      ['embedding inputs', withBody({ input: new Array(50_001).fill(SECRET) }, '/v1/embeddings')],
    ])('%s', (_what, input) => {
      const verdict = checkLine(bytes(input));
      expect(verdict.valid).toBe(false);
      expect(JSON.stringify(verdict)).not.toContain('SECRET');
    });
  });
});

describe('lineTooLong', () => {
  it('says how long the line is and what is allowed', () => {
    expect(lineTooLong(99_000_000)).toMatchObject({ valid: false, code: 'line_too_long', param: null });
    expect(lineTooLong(99_000_000).message).toContain('99000000');
  });
});

describe('duplicateCustomId', () => {
  it('names the line that counts', () => {
    const verdict = duplicateCustomId('id-1', 17);
    expect(verdict).toMatchObject({ code: 'duplicate_custom_id', param: 'custom_id', customId: 'id-1' });
    expect(verdict.message).toContain('line 17');
  });
});
