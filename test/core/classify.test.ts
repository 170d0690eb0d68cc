import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Cause } from '../../src/core/attempts.ts';
import {
  addUsage,
  bodyOf,
  classify,
  noUsage,
  type OperatorScope,
  usageOf,
  type Verdict,
} from '../../src/core/collect/classify.ts';

type Line = Record<string, unknown>;

const answered = (status: unknown, body: unknown = {}): Line => ({
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

/** Lines as openai-batch.md, section 3, lists them, and what is to be done about each. */
const TABLE: [
  what: string,
  line: Line,
  kind: Verdict['kind'],
  code?: string,
  what?: Cause | OperatorScope,
][] = [
  ['an answer', answered(200, { choices: [{ finish_reason: 'stop' }] }), 'succeeded'],
  ['an answer without an error field', { ...answered(200), error: undefined }, 'succeeded'],
  ['a created answer', answered(201), 'succeeded'],
  ['an incomplete response', answered(200, { status: 'incomplete' }), 'succeeded'],
  ['an answer whose body is empty', answered(200, {}), 'succeeded'],
  [
    'an answer whose response says error: null',
    answered(200, { status: 'completed', error: null }),
    'succeeded',
  ],
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
  ['an error whose code is a number', unexecuted(7), 'failed', 'unknown_error'],
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
    const verdict = classify(line);
    expect(verdict.kind).toBe(kind);
    if (verdict.kind !== 'succeeded') expect(verdict.code).toBe(code);
    if (verdict.kind === 'retry') expect(verdict.cause).toBe(what);
    if (verdict.kind === 'operator') expect(verdict.scope).toBe(what);
  });

  it.each<[string, unknown, boolean]>([
    [
      'a response with status incomplete',
      { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
      true,
    ],
    ['a chat answer that ended at its length', { choices: [{ finish_reason: 'length' }] }, true],
    [
      'a chat answer of which one choice ended so',
      { choices: [{ finish_reason: 'stop' }, { finish_reason: 'length' }] },
      true,
    ],
    ['a whole chat answer', { choices: [{ finish_reason: 'stop' }] }, false],
    ['a whole response', { status: 'completed' }, false],
    ['an embedding', { object: 'list', data: [] }, false],
    ['choices that are no list', { choices: 'length' }, false],
    ['choices of nothing', { choices: [null, 7] }, false],
  ])('says whether the answer was cut: %s', (_what, body, incomplete) => {
    expect(classify(answered(200, body))).toMatchObject({ kind: 'succeeded', incomplete });
  });

  it.each<[string, unknown, number[]]>([
    [
      'chat',
      {
        prompt_tokens: 10,
        completion_tokens: 20,
        total_tokens: 30,
        prompt_tokens_details: { cached_tokens: 4, audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 7 },
      },
      [10, 4, 20, 7],
    ],
    [
      'responses',
      {
        input_tokens: 10,
        input_tokens_details: { cached_tokens: 4 },
        output_tokens: 20,
        output_tokens_details: { reasoning_tokens: 7 },
        total_tokens: 30,
      },
      [10, 4, 20, 7],
    ],
    ['embeddings', { prompt_tokens: 8, total_tokens: 8 }, [8, 0, 0, 0]],
    [
      'details that are null',
      { input_tokens: 1, output_tokens: 2, input_tokens_details: null },
      [1, 0, 2, 0],
    ],
    ['no usage', undefined, [0, 0, 0, 0]],
    ['usage that is null', null, [0, 0, 0, 0]],
    [
      'nonsense',
      { input_tokens: '5', output_tokens: -3, input_tokens_details: { cached_tokens: 1.5 } },
      [0, 0, 0, 0],
    ],
    [
      'more tokens than a sum of many could hold',
      { input_tokens: Number.MAX_SAFE_INTEGER, output_tokens: 2 },
      [0, 0, 2, 0],
    ],
    ['numbers that no sum could hold', { input_tokens: 1e300, output_tokens: 2 }, [0, 0, 2, 0]],
  ])('reads the usage of %s', (_what, usage, [inputTokens, cachedTokens, outputTokens, reasoningTokens]) => {
    expect(usageOf({ usage })).toMatchObject({ inputTokens, cachedTokens, outputTokens, reasoningTokens });
  });

  it('adds usage up, field by field', () => {
    const sum = noUsage();
    addUsage(sum, {
      inputTokens: 1,
      cachedTokens: 2,
      cacheWriteTokens: 1,
      outputTokens: 3,
      reasoningTokens: 4,
    });
    addUsage(sum, {
      inputTokens: 10,
      cachedTokens: 20,
      cacheWriteTokens: 10,
      outputTokens: 30,
      reasoningTokens: 40,
    });
    expect(sum).toEqual({
      inputTokens: 11,
      cachedTokens: 22,
      cacheWriteTokens: 11,
      outputTokens: 33,
      reasoningTokens: 44,
    });
    expect(noUsage()).toEqual({
      inputTokens: 0,
      cachedTokens: 0,
      cacheWriteTokens: 0,
      outputTokens: 0,
      reasoningTokens: 0,
    });
  });

  it('takes a status that is an object for a lost one', () => {
    const line = { response: { status_code: { toString: '' } } };
    expect(classify(line)).toMatchObject({ kind: 'retry' });
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
      fc.property(anyLine, (line) => {
        const verdict = classify(line);
        for (const tokens of Object.values(usageOf(bodyOf(line) ?? {})))
          expect(Number.isSafeInteger(tokens) && tokens >= 0).toBe(true);
        if (verdict.kind !== 'succeeded') expect(typeof verdict.code).toBe('string');
      }),
      { numRuns: 1_000 },
    );
  });
});
