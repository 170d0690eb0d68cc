import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Cause } from '../../../../src/core/model/tries.ts';
import type { Asked, OperatorScope, Verdict } from '../../../../src/core/model/verdict.ts';
import { bodyOf } from '../../../../src/core/results/line-body.ts';
import { ENDPOINTS } from '../../../../src/providers/openai/endpoints/all.ts';
import { usageOf } from '../../../../src/providers/openai/usage.ts';
import { classify } from '../../../../src/providers/openai/verdict.ts';
import { propertyRuns } from '../../../support/property-runs.ts';

type Line = Record<string, unknown>;

const CHAT: Asked = { endpoint: '/v1/chat/completions' };
/** A whole answer. */
const WHOLE = { choices: [{ message: { role: 'assistant', content: 'a' }, finish_reason: 'stop' }] };

const answered = (status: unknown, body: unknown = WHOLE): Line => ({
  id: 'batch_req_1',
  custom_id: 'a',
  response: { status_code: status, request_id: 'req_1', body },
  error: null,
});
const refused = (status: number, error: unknown): Line => answered(status, { error });
const unexecuted = (code: unknown): Line => ({
  id: 'batch_req_1',
  custom_id: 'a',
  response: null,
  error: { code, message: 'This request could not be executed.' },
});

/** Lines as the real service was seen to send them, and what is to be done about each. */
const TABLE: [
  what: string,
  line: Line,
  kind: Verdict['kind'],
  code?: string,
  what?: Cause | OperatorScope,
][] = [
  ['an answer', answered(200), 'succeeded'],
  ['an answer without an error field', { ...answered(200), error: undefined }, 'succeeded'],
  ['a created answer', answered(201), 'succeeded'],
  ['an answer that says error: null', answered(200, { ...WHOLE, error: null }), 'succeeded'],
  ['an answer whose body is empty', answered(200, {}), 'retry', 'no_answer', 'lost'],
  ['an answer that has no body', answered(200, null), 'retry', 'no_body', 'lost'],
  ['an answer whose body is no JSON', answered(200, '<html>'), 'retry', 'no_body', 'lost'],
  ['an error that says 200', answered(200, { error: { code: 'odd' } }), 'failed', 'odd'],
  ['an error whose code is empty', unexecuted(''), 'failed', 'unknown_error'],
  ['status 400 whose code is empty', refused(400, { code: '' }), 'failed', 'http_400'],
  ['batch_expired', unexecuted('batch_expired'), 'retry', 'batch_expired', 'unexecuted'],
  ['batch_cancelled', unexecuted('batch_cancelled'), 'retry', 'batch_cancelled', 'unexecuted'],
  ['request_timeout', unexecuted('request_timeout'), 'retry', 'request_timeout', 'lost'],
  ['an error code that is not known', unexecuted('policy_violation'), 'failed', 'policy_violation'],
  ['an error without a code', unexecuted(undefined), 'failed', 'unknown_error'],
  ['an error whose code is a number', unexecuted(7), 'failed', '7'],
  ['an error whose code is 429', unexecuted(429), 'retry', '429', 'transient'],
  ['an error whose code is 503 as text', unexecuted('503'), 'retry', '503', 'transient'],
  ['an error whose code is 400', unexecuted(400), 'failed', '400'],
  ['an error whose code is 401', unexecuted(401), 'operator', '401', 'key'],
  ['a server error', unexecuted('server_error'), 'retry', 'server_error', 'transient'],
  ['a rate limit', unexecuted('rate_limit_exceeded'), 'retry', 'rate_limit_exceeded', 'transient'],
  [
    'an error with a type and no code',
    { ...unexecuted(undefined), error: { type: 'server_error', message: 'm' } },
    'retry',
    'server_error',
    'transient',
  ],
  [
    'an error with a final type and no code',
    { ...unexecuted(null), error: { code: null, type: 'invalid_request_error' } },
    'failed',
    'invalid_request_error',
  ],
  [
    'a type that says quota',
    { ...unexecuted(null), error: { type: 'insufficient_quota' } },
    'operator',
    'insufficient_quota',
    'key',
  ],
  [
    'an error that names a status',
    { ...unexecuted('odd'), error: { code: 'odd', status: 502 } },
    'retry',
    'odd',
    'transient',
  ],
  ['an error as text', { ...unexecuted(null), error: 'upstream timed out' }, 'failed', 'unknown_error'],
  ['an error in a list', { ...unexecuted(null), error: [null, { code: 500 }] }, 'retry', '500', 'transient'],
  ...[{}, '', ' ', false, 0, [], { code: '', message: ' ' }, { code: null, error: {} }].map(
    (blank) =>
      [
        `a blank error beside an answer: ${JSON.stringify(blank)}`,
        { ...answered(200), error: blank },
        'succeeded',
      ] as [string, Line, 'succeeded'],
  ),
  ['a blank error alone', { ...unexecuted(null), error: {} }, 'retry', 'no_response', 'lost'],
  [
    'a text error that says 200',
    answered(200, { ...WHOLE, error: 'upstream timed out' }),
    'failed',
    'response_failed',
  ],
  [
    'a list of errors that says 200',
    answered(200, { errors: [{ message: 'm' }] }),
    'failed',
    'response_failed',
  ],
  [
    'an object of an error that says 200',
    answered(200, { object: 'error', message: 'm', code: 503 }),
    'retry',
    '503',
    'lost',
  ],
  [
    'a type of an error that says 200',
    answered(200, { type: 'error', error: { type: 'overloaded_error' } }),
    'retry',
    'overloaded_error',
    'lost',
  ],
  [
    'a choice with an error',
    answered(200, { choices: [{ ...WHOLE.choices[0], error: { code: 502 } }] }),
    'retry',
    '502',
    'lost',
  ],
  [
    'a choice that ended in an error',
    answered(200, { choices: [{ ...WHOLE.choices[0], finish_reason: 'error' }] }),
    'failed',
    'response_failed',
  ],
  [
    'a quota error that says 200',
    answered(200, { error: { code: 'insufficient_quota' } }),
    'operator',
    'insufficient_quota',
    'key',
  ],
  [
    'a rate limit that says 200',
    answered(200, { error: { code: 'rate_limit_exceeded' } }),
    'retry',
    'rate_limit_exceeded',
    'transient',
  ],
  [
    'a response that failed',
    answered(200, { status: 'failed', error: { code: 'server_error' } }),
    'retry',
    'server_error',
    'lost',
  ],
  [
    'a response that failed for the prompt',
    answered(200, { status: 'failed', error: { code: 'invalid_prompt' } }),
    'failed',
    'invalid_prompt',
  ],
  [
    'a response that failed without a reason',
    answered(200, { status: 'failed', error: null }),
    'failed',
    'response_failed',
  ],
  [
    'a zombie line of status 0',
    { ...answered(0, {}), response: { status_code: 0, request_id: '', body: {} } },
    'retry',
    'status_0',
    'lost',
  ],
  [
    'a line without response and error',
    { custom_id: 'a', response: null, error: null },
    'retry',
    'no_response',
    'lost',
  ],
  ['a line of nothing but its id', { custom_id: 'a' }, 'retry', 'no_response', 'lost'],
  ['a response without a status', answered(undefined), 'retry', 'status_0', 'lost'],
  [
    'status 400',
    refused(400, { code: 'context_length_exceeded', message: 'm' }),
    'failed',
    'context_length_exceeded',
  ],
  [
    'status 400 whose code is null',
    refused(400, { code: null, message: 'm', type: 'invalid_request_error' }),
    'failed',
    'http_400',
  ],
  ['status 400 without an error object', refused(400, undefined), 'failed', 'http_400'],
  ['status 401', refused(401, { code: 'invalid_api_key' }), 'operator', 'invalid_api_key', 'key'],
  ['status 401 of another code', refused(401, { code: 'odd' }), 'operator', 'odd', 'key'],
  ['status 401 without a code', refused(401, undefined), 'operator', 'http_401', 'key'],
  [
    'status 400 at the hard limit',
    refused(400, { code: 'billing_hard_limit_reached' }),
    'operator',
    'billing_hard_limit_reached',
    'key',
  ],
  [
    'an account that is not active',
    refused(429, { code: 'billing_not_active' }),
    'operator',
    'billing_not_active',
    'key',
  ],
  [
    'an unexecuted line out of quota',
    unexecuted('insufficient_quota'),
    'operator',
    'insufficient_quota',
    'key',
  ],
  ['status 403', refused(403, { code: null }), 'failed', 'http_403'],
  [
    'status 404 of a model',
    refused(404, { code: 'model_not_found' }),
    'operator',
    'model_not_found',
    'model',
  ],
  [
    'status 400 of a model',
    refused(400, { code: 'model_not_found' }),
    'operator',
    'model_not_found',
    'model',
  ],
  [
    'status 404 of a model without a code',
    refused(404, { code: null, message: 'The model `gpt-9` does not exist', param: null }),
    'operator',
    'http_404',
    'model',
  ],
  [
    'status 404 with param model',
    refused(404, { code: null, param: 'model' }),
    'operator',
    'http_404',
    'model',
  ],
  [
    'status 404 of a file',
    refused(404, { code: null, message: 'No such File object: file-1' }),
    'failed',
    'http_404',
  ],
  [
    'status 404 of a response',
    refused(404, { code: 'previous_response_not_found', message: 'no such model response' }),
    'failed',
    'previous_response_not_found',
  ],
  ['status 404 without a body', refused(404, undefined), 'failed', 'http_404'],
  ['status 408', refused(408, undefined), 'retry', 'http_408', 'transient'],
  ['status 409', refused(409, undefined), 'retry', 'http_409', 'transient'],
  ['status 413', refused(413, undefined), 'failed', 'http_413'],
  ['status 422', refused(422, undefined), 'failed', 'http_422'],
  [
    'status 429 of a quota',
    refused(429, { code: 'insufficient_quota' }),
    'operator',
    'insufficient_quota',
    'key',
  ],
  [
    'status 429 of a rate',
    refused(429, { code: 'rate_limit_exceeded' }),
    'retry',
    'rate_limit_exceeded',
    'transient',
  ],
  [
    'status 500',
    refused(500, { code: null, message: 'An error occurred while processing your request' }),
    'retry',
    'http_500',
    'transient',
  ],
  ['status 502', refused(502, undefined), 'retry', 'http_502', 'transient'],
  ['status 503', refused(503, undefined), 'retry', 'http_503', 'transient'],
  [
    'status 504',
    refused(504, { message: 'Timed out generating response' }),
    'retry',
    'http_504',
    'transient',
  ],
  [
    'an error beside an answer',
    { ...answered(200), error: { code: 'batch_expired' } },
    'retry',
    'batch_expired',
    'unexecuted',
  ],
];

describe('classify', () => {
  it.each(TABLE)('%s', (_what, line, kind, code, what) => {
    const verdict = classify(line, CHAT);
    expect(verdict.kind).toBe(kind);
    if (verdict.kind !== 'succeeded') expect(verdict.code).toBe(code);
    if (verdict.kind === 'retry') expect(verdict.cause).toBe(what);
    if (verdict.kind === 'operator') expect(verdict.scope).toBe(what);
  });

  const RESPONSES: Asked = { endpoint: '/v1/responses' };
  const chat = (...finish: unknown[]) => ({
    choices: finish.map((finish_reason) => ({ message: { content: 'a' }, finish_reason })),
  });
  const incomplete = (reason?: string) => ({
    status: 'incomplete',
    output: [],
    incomplete_details: reason === undefined ? null : { reason },
  });
  it.each<[string, Asked, unknown, string | undefined]>([
    ['a response that met its token limit', RESPONSES, incomplete('max_output_tokens'), 'token_limit'],
    ['a response without a reason', RESPONSES, incomplete(), 'token_limit'],
    ['a response that was filtered', RESPONSES, incomplete('content_filter'), 'content_filter'],
    ['a response that had enough messages', RESPONSES, incomplete('max_messages'), 'other'],
    ['a whole response', RESPONSES, { status: 'completed', output: [{ type: 'message' }] }, undefined],
    ['a chat answer that ended at its length', CHAT, chat('length'), 'token_limit'],
    [
      'a chat answer of which one choice ended so',
      CHAT,
      chat('stop', 'content_filter', 'length'),
      'token_limit',
    ],
    ['a chat answer that was filtered', CHAT, chat('content_filter'), 'content_filter'],
    ['a whole chat answer', CHAT, chat('stop'), undefined],
    [
      'a completion',
      { endpoint: '/v1/completions' },
      { choices: [{ text: '', finish_reason: 'length' }] },
      'token_limit',
    ],
    ['an embedding', { endpoint: '/v1/embeddings' }, { data: [{ embedding: [1] }] }, undefined],
  ])('says what cut an answer: %s', (_what, asked, body, cut) => {
    expect(classify(answered(200, body), asked)).toEqual({
      kind: 'succeeded',
      ...(cut === undefined ? {} : { cut }),
    });
  });

  const message = (said: unknown, finish_reason: unknown = 'stop') => ({
    choices: [{ index: 0, message: said, finish_reason }],
  });
  const vector = (index?: number) => ({
    object: 'embedding',
    embedding: [0.5],
    ...(index === undefined ? {} : { index }),
  });
  const RESPONSE = { object: 'response', status: 'completed', output: [{ type: 'message' }] };
  /** By endpoint: bodies that hold an answer, and bodies that do not. */
  const BODIES: Record<string, { answers: unknown[]; none: unknown[] }> = {
    '/v1/chat/completions': {
      answers: [
        WHOLE,
        message({ content: '' }),
        message({ role: 'assistant', content: null }),
        message({ role: 'assistant', content: null }, 'content_filter'),
        message({ content: null, tool_calls: [{ id: 'call_1' }] }, null),
        message({ content: null, function_call: { name: 'f' } }, null),
        message({ content: null, refusal: 'No.' }, null),
        message({ content: null, audio: { id: 'audio_1' } }, null),
        message({ content: [{ type: 'text', text: 'a' }] }),
        { choices: [...message(null).choices, ...WHOLE.choices] },
      ],
      none: [
        { choices: [] },
        { choices: null },
        { choices: [null, 7] },
        { choices: [{ finish_reason: 'stop' }] },
        { usage: { prompt_tokens: 5 } },
        message(null),
        message({}),
        message({ role: 'assistant' }),
        message({ content: null }, null),
        { status: 'incomplete' },
      ],
    },
    '/v1/completions': {
      answers: [{ choices: [{ text: '' }] }],
      none: [{ choices: [] }, { choices: [{ text: null }] }],
    },
    '/v1/responses': {
      answers: [
        RESPONSE,
        { output: [{}] },
        { status: 'completed', output_text: 'a' },
        { status: 'incomplete' },
      ],
      none: [
        { status: 'completed' },
        { ...RESPONSE, output: [] },
        { ...RESPONSE, output: null },
        { output_text: ' ' },
        ...['queued', 'in_progress', 'cancelled', 'odd', 5].map((status) => ({ ...RESPONSE, status })),
      ],
    },
    '/v1/embeddings': {
      answers: [{ data: [vector(0)] }, { data: [vector()] }, { data: [{ embedding: 'AAAA' }] }],
      none: [
        { data: [] },
        { data: null },
        { data: [{ embedding: [] }] },
        { data: [{ embedding: '' }] },
        { data: [null] },
      ],
    },
    '/v1/moderations': { answers: [{ results: [{ flagged: false }] }], none: [{ results: [] }, {}] },
    '/v1/images/generations': {
      answers: [{ data: [{ b64_json: 'AAAA' }] }, { data: [{ url: 'https://example.com/a.png' }] }],
      none: [{ data: [] }, { data: [{ b64_json: null }] }],
    },
    '/v1/images/edits': { answers: [{ data: [{ b64_json: 'AAAA' }] }], none: [{ data: [{}] }] },
    '/v1/videos': {
      answers: [{ object: 'video', id: 'video_1', status: 'queued' }],
      none: [{ object: 'video' }, { id: 'video_1' }],
    },
  };
  const bodies = (kind: 'answers' | 'none') =>
    Object.entries(BODIES).flatMap(([endpoint, { [kind]: of }]) =>
      of.map((body) => [endpoint, JSON.stringify(body)] as const),
    );
  it.each(bodies('answers'))('finds the answer of %s in %s', (endpoint, body) => {
    expect(classify(answered(200, JSON.parse(body)), { endpoint }).kind).toBe('succeeded');
  });
  it('takes an answer in the shape of another endpoint for one: it was paid for', () => {
    for (const endpoint of ENDPOINTS.keys()) {
      expect(classify(answered(200, WHOLE), { endpoint }).kind).toBe('succeeded');
      expect(classify(answered(200, RESPONSE), { endpoint }).kind).toBe('succeeded');
    }
    expect(classify(answered(200, WHOLE), {}).kind).toBe('succeeded');
  });
  it.each(bodies('none'))('finds no answer of %s in %s, and has it tried again', (endpoint, body) => {
    expect(classify(answered(200, JSON.parse(body)), { endpoint })).toMatchObject({
      kind: 'retry',
      cause: 'lost',
      code: expect.stringMatching(/^(no_answer|response_(queued|in_progress|cancelled|unfinished))$/),
    });
  });

  it.each<[string, unknown[], number, boolean]>([
    ['for each of its inputs', [vector(0), vector(1), vector(2)], 3, true],
    ['for more', [vector(0), vector(1), vector(2)], 2, true],
    ['in any order, without places', [vector(), vector()], 2, true],
    ['for fewer', [vector(0), vector(1)], 3, false],
    ['twice for the same', [vector(0), vector(0)], 2, false],
    ['of which one is empty', [vector(0), { index: 1, embedding: [] }], 2, false],
  ])('takes embeddings that have vectors %s', (_what, data, inputs, isAnswer) => {
    const verdict = classify(answered(200, { data }), { endpoint: '/v1/embeddings', inputs });
    expect(verdict.kind).toBe(isAnswer ? 'succeeded' : 'retry');
  });

  it.each([
    ['[', ']'],
    ['{"a":', '}'],
  ])('has a verdict for an error that is nested beyond all depth: %s', (open, close) => {
    const error = JSON.parse(`${open.repeat(100_000)}1${close.repeat(100_000)}`) as unknown;
    expect(classify({ ...answered(200), error }, CHAT)).toEqual({ kind: 'failed', code: 'unknown_error' });
    expect(classify(answered(200, { ...WHOLE, error }), CHAT).kind).toBe('failed');
  });

  it('takes a status that is an object for a lost one', () => {
    const line = { response: { status_code: { toString: '' } } };
    expect(classify(line, CHAT)).toMatchObject({ kind: 'retry' });
  });

  it('has a verdict for any object, and counts only whole tokens', () => {
    const value = fc.jsonValue({ maxDepth: 3 });
    const anyLine = fc.record(
      {
        custom_id: value,
        error: fc.oneof(value, fc.record({ code: value }, { requiredKeys: [] })),
        response: fc.oneof(
          value,
          fc.record(
            {
              status_code: fc.oneof(value, fc.integer({ min: -1, max: 700 })),
              body: fc.oneof(
                value,
                fc.record({
                  usage: fc.record({ input_tokens: value, output_tokens: value }),
                  choices: value,
                  error: value,
                }),
              ),
            },
            { requiredKeys: [] },
          ),
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(anyLine, fc.constantFrom(...ENDPOINTS.keys(), undefined), (line, endpoint) => {
        const asked = { endpoint };
        const verdict = classify(line, asked);
        for (const tokens of Object.values(usageOf(bodyOf(line) ?? {})))
          expect(Number.isSafeInteger(tokens) && tokens >= 0).toBe(true);
        if (verdict.kind !== 'succeeded') expect(typeof verdict.code).toBe('string');
      }),
      { numRuns: propertyRuns(1_000) },
    );
  });
});
