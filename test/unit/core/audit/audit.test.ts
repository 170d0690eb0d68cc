import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Audit, Auditor } from '../../../../src/core/audit/audit.ts';
import { NOBODY_WAITS, type Rules, readRules } from '../../../../src/core/audit/rules.ts';
import { toUsd } from '../../../../src/core/base/money.ts';
import { readPriceFile } from '../../../../src/core/pricing/price-file.ts';
import { Prices } from '../../../../src/core/pricing/prices.ts';
import { readCalls } from '../../../../src/providers/openai/past-calls.ts';
import { OPENAI_PRICES } from '../../../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';

interface Options {
  rules?: Rules;
  prices?: Prices;
}

function auditOf(
  lines: readonly (object | string)[],
  { rules = NOBODY_WAITS, prices = new Prices(OPENAI_PRICES) }: Options = {},
): Audit {
  const auditor = new Auditor(prices, rules, { rules: OPENAI_RULES, readCalls });
  lines.forEach((line, index) => {
    auditor.addLine(typeof line === 'string' ? line : JSON.stringify(line), 'calls.jsonl', index + 1);
  });
  return auditor.finish();
}

const OCTOBER = '2026-10-05T12:00:00Z';

/** A call of the Responses API. */
function call(
  model: string,
  input: number,
  output: number,
  changes: Record<string, unknown> = {},
  cached = 0,
): object {
  return {
    time: OCTOBER,
    url: '/v1/responses',
    request: { model },
    response: {
      object: 'response',
      model,
      usage: { input_tokens: input, output_tokens: output, input_tokens_details: { cached_tokens: cached } },
    },
    ...changes,
  };
}

/** Usage of many calls, as OpenAI exports it. */
function bucket(
  model: string,
  requests: number,
  input: number,
  output: number,
  changes: object = {},
): object {
  const result = {
    object: 'organization.usage.completions.result',
    model,
    num_model_requests: requests,
    input_tokens: input,
    output_tokens: output,
    input_cached_tokens: 0,
    ...changes,
  };
  return { object: 'bucket', start_time: 1_790_812_800, end_time: 1_790_899_200, results: [result] };
}

const usd = ({ months }: Audit): Record<'billed' | 'would' | 'saved', string>[] =>
  months.map(({ billed, would }) => ({
    billed: toUsd(billed),
    would: toUsd(would),
    saved: toUsd(billed - would),
  }));

describe('Auditor', () => {
  it('reproduces: 1M input tokens of GPT-5.5, 70 % cached, are $1.625 in batch with a cached rate of $1.25, 67.5 % less than $5.00', () => {
    const file =
      '{"version":1,"prices":[{"model":"gpt-5.5","tier":"batch","input":2.5,"cached":1.25,"output":15}]}';
    const prices = new Prices(OPENAI_PRICES, { overrides: readPriceFile(file, 'prices.json') });
    const uncached = auditOf([bucket('gpt-5.5', 1_000, 1_000_000, 0)], { prices });
    expect(toUsd(uncached.months[0]!.billed)).toBe('5');
    const batch = bucket('gpt-5.5', 1_000, 1_000_000, 0, { batch: true, input_cached_tokens: 700_000 });
    const cached = toUsd(auditOf([batch], { prices }).months[0]!.billed);
    expect(cached).toBe('1.625');
    expect(1 - Number(cached) / 5).toBeCloseTo(0.675, 12);
    // With the rate of the table, $0.25, it is less still.
    expect(toUsd(auditOf([batch]).months[0]!.billed)).toBe('0.925');
  });

  it('reproduces: 50M in and 10M out on GPT-5.5 are $550 standard, and half of it in batch saves $137.50', () => {
    const rules = readRules(
      '{"version":1,"rules":[{"project":"chat","urgency":"now"}],"otherwise":"later"}',
      'rules.json',
    );
    const half = (project: string): object =>
      bucket('gpt-5.5', 10_000, 25_000_000, 5_000_000, { project_id: project });
    const found = auditOf([half('chat'), half('nightly')], { rules });
    expect(usd(found)).toEqual([{ billed: '550', would: '412.5', saved: '137.5' }]);
    expect(found.months[0]!.eligible).toEqual({
      batch: { calls: 10_000, billed: 275_000_000_000_000n, would: 137_500_000_000_000n },
      flex: { calls: 0, billed: 0n, would: 0n },
      'background-8h': { calls: 0, billed: 0n, would: 0n },
      'background-2h': { calls: 0, billed: 0n, would: 0n },
      standard: { calls: 10_000, billed: 275_000_000_000_000n, would: 275_000_000_000_000n },
    });
  });

  it('reproduces: 10,000 requests a day of 800 in and 30 out on GPT-5.4 are $735 in 30 days', () => {
    const days = Array.from({ length: 30 }, (_, day) => ({
      ...bucket('gpt-5.4', 10_000, 8_000_000, 300_000),
      start_time: Date.UTC(2026, 8, 1 + day) / 1_000,
    }));
    const found = auditOf(days);
    expect(found.months).toMatchObject([{ month: '2026-09', calls: 300_000 }]);
    expect(usd(found)).toEqual([{ billed: '735', would: '367.5', saved: '367.5' }]);
    const one = call('gpt-5.4', 800, 30);
    expect(toUsd(auditOf([one]).months[0]!.billed * 300_000n)).toBe('735');
  });

  it('reads usage with both families of names, one of zeros (case 12)', () => {
    const usage = { prompt_tokens: 100, completion_tokens: 50, input_tokens: 0, output_tokens: 0 };
    const response = { object: 'chat.completion', created: 1_790_000_000, model: 'gpt-5.4-mini', usage };
    const line = { custom_id: 'a', response: { status_code: 200, body: response }, error: null };
    const [month] = auditOf([line]).months;
    expect(month).toMatchObject({ calls: 1, usage: { inputTokens: 100, outputTokens: 50 } });
    expect(toUsd(month!.billed)).toBe('0.00015');
  });

  it('bills web searches, which cost the same in every tier (case 16), and names tools that have no price', () => {
    const search = { type: 'web_search_call', action: { type: 'search' } };
    const usage = { input_tokens: 100, output_tokens: 50 };
    const response = (output: object[]) => ({ object: 'response', model: 'gpt-6-luna', usage, output });
    const found = auditOf([
      call('gpt-6-luna', 0, 0, { response: response(Array(10).fill(search)) }),
      call('gpt-6-luna', 0, 0, { response: response([{ type: 'code_interpreter_call' }]) }),
    ]);
    expect(usd(found)).toEqual([{ billed: '0.10007', would: '0.100035', saved: '0.000035' }]);
    expect(found.unpriced).toEqual({ 'tools of gpt-6-luna': 1 });
  });

  it.each<[string, Record<string, unknown>]>([
    ['as text', { response: { model: 'gpt-6-luna', error: 'upstream timed out' } }],
    ['beside nothing', { response: null, error: 'upstream timed out' }],
    ['as a code that is a number', { response: null, error: { code: 429 } }],
    [
      'as a status of a response',
      { response: { model: 'gpt-6-luna', object: 'response', status: 'failed' } },
    ],
    ['in a line of a batch', { response: { status_code: 200, body: { object: 'error', message: 'm' } } }],
  ])('counts a call that says error %s as one that failed', (_what, changes) => {
    expect(auditOf([call('gpt-6-luna', 5, 5, changes)])).toMatchObject({ failed: 1, unread: 0, months: [] });
  });

  it.each<[string, object]>([
    ['nothing', {}],
    ['zeros', { usage: { input_tokens: 0, output_tokens: 0 } }],
    ['text', { usage: { input_tokens: '5', output_tokens: '5' } }],
  ])(
    'takes an answer whose usage is %s for one that it cannot read, not for one that cost nothing',
    (_what, usage) => {
      const response = { object: 'response', model: 'gpt-6-luna', output: [{ type: 'message' }], ...usage };
      const found = auditOf([call('gpt-6-luna', 5, 5, { response, error: {} })]);
      expect(found).toMatchObject({ failed: 0, unread: 1, months: [] });
      expect(found.problems[0]?.problem).toContain('has no "usage" with tokens');
    },
  );

  it('bills by the tier that the response echoes, and lines of a batch at batch price', () => {
    const tiers = ['default', 'flex', 'priority', undefined].map((service_tier) =>
      bucket('gpt-5.5', 1_000, 1_000_000, 0, { service_tier }),
    );
    expect(tiers.map((line) => toUsd(auditOf([line]).months[0]!.billed))).toEqual(['5', '2.5', '12.5', '5']);
    const usage = { prompt_tokens: 1_000, completion_tokens: 100 };
    const body = { object: 'chat.completion', created: 1_790_812_800, model: 'gpt-5.5-2026-04-23', usage };
    const line = {
      id: 'batch_req_1',
      custom_id: 'a',
      response: { status_code: 200, request_id: 'r', body },
      error: null,
    };
    expect(usd(auditOf([line]))).toEqual([{ billed: '0.004', would: '0.004', saved: '0' }]);
  });

  it('prices a long call at the long price, and many short calls together at the short one', () => {
    expect(toUsd(auditOf([call('gpt-5.5', 272_000, 1_000)]).months[0]!.billed)).toBe('1.39');
    expect(toUsd(auditOf([call('gpt-5.5', 272_001, 1_000)]).months[0]!.billed)).toBe('2.76501');
    expect(toUsd(auditOf([bucket('gpt-5.5', 10, 2_720_000, 10_000)]).months[0]!.billed)).toBe('13.9');
  });

  it('moves calls to what their urgency and endpoint allow', () => {
    const rules = readRules(
      '{"version":1,"rules":[{"tag":"chat","urgency":"now"},{"model":"gpt-5*","endpoint":"/v1/*","tag":"report","urgency":"soon"}],"otherwise":"later"}',
      'rules.json',
    );
    const found = auditOf(
      [
        call('gpt-5.4', 1_000, 0, { tags: ['chat'] }),
        call('gpt-5.4', 1_000, 0, { tags: ['x', 'report'] }),
        call('gpt-5.4', 1_000, 0),
        // No batch: the endpoint does not have it. No flex: the model does not.
        call('gpt-5.4', 1_000, 0, { url: 'https://api.openai.com/v1/realtime/calls?x=1' }),
        call('gpt-4o', 1_000, 0, { tags: ['report'] }),
      ],
      { rules },
    );
    const calls = Object.entries(found.months[0]!.eligible).map(([tier, each]) => [tier, each.calls]);
    // gpt-4o is not meant by the second rule, so it goes into a batch.
    expect(Object.fromEntries(calls)).toMatchObject({ batch: 2, flex: 1, 'background-2h': 0, standard: 2 });
  });

  it('moves calls that may wait for hours to the window of two hours, where OpenAI says that it has the model', () => {
    const rules = readRules(
      '{"version":1,"rules":[{"tag":"x","urgency":"now"}],"otherwise":"soon"}',
      'rules.json',
    );
    const called = (model: string, url: string): object =>
      call(model, 1_000_000, 0, { url: `https://api.openai.com${url}`, time: '2026-11-20T00:00:00Z' });
    const found = auditOf(
      [
        called('gpt-6.2-sol', '/v1/responses'),
        called('gpt-6.2-sol', '/v1/chat/completions'),
        called('gpt-4.1', '/v1/responses'),
      ],
      { rules },
    );
    const calls = Object.entries(found.months[0]!.eligible).map(([tier, each]) => [tier, each.calls]);
    expect(Object.fromEntries(calls)).toMatchObject({ 'background-2h': 1, 'background-8h': 0, standard: 2 });
  });

  it('never moves calls to where they would cost more', () => {
    // Batch has no price for cached tokens of gpt-4.1 ($0.50 standard, $1 batch); flex has none for the model.
    const found = auditOf([call('gpt-4.1', 1_000_000, 0, {}, 1_000_000)]);
    expect(usd(found)).toEqual([{ billed: '0.5', would: '0.5', saved: '0' }]);
  });

  it('keeps what has no price out of every sum, and says so', () => {
    const found = auditOf([
      call('gpt-5.5', 1_000, 0),
      call('our-model', 1_000, 0),
      bucket('gpt-5.5', 7, 1_000, 0, { service_tier: 'scale' }),
    ]);
    expect(found.unpriced).toEqual({ 'our-model standard': 1, 'gpt-5.5 in an unknown tier': 7 });
    expect(usd(found)).toEqual([{ billed: '0.005', would: '0.0025', saved: '0.0025' }]);
  });

  it.each<[string, object | string, string]>([
    ['text', 'hello', 'is not JSON'],
    ['an array', '[]', 'is not a JSON object'],
    ['no response', { time: OCTOBER }, 'has no "response" object'],
    [
      'no usage',
      { time: OCTOBER, url: '/v1/responses', response: { model: 'gpt-6-luna' } },
      'has no "usage"',
    ],
    ['no model', { time: OCTOBER, url: '/v1/responses', response: { usage: {} } }, 'names no model'],
    ['no time', call('gpt-6-luna', 1, 1, { time: undefined }), 'has no "time"'],
    ['a time that is none', call('gpt-6-luna', 1, 1, { time: 'yesterday' }), 'has no "time"'],
    ['no endpoint', { time: OCTOBER, response: { model: 'gpt-6-luna', usage: {} } }, 'has no "url"'],
    ['a bucket without its start', { object: 'bucket', results: [] }, 'a bucket without "start_time"'],
    ['usage of all models together', bucket(null as never, 1, 1, 1), 'grouped by model'],
  ])('says what is missing of a line with %s', (_, line, problem) => {
    const { unread, problems, months } = auditOf([line]);
    expect(unread).toBe(1);
    expect(problems).toEqual([{ file: 'calls.jsonl', line: 1, problem: expect.stringContaining(problem) }]);
    expect(months).toEqual([]);
  });

  it('counts calls that failed, which cost nothing', () => {
    expect(auditOf([{ error: { message: 'x' } }, { response: { error: { code: 'x' } } }])).toMatchObject({
      failed: 2,
      unread: 0,
    });
  });

  it('gives the same whatever the order of the lines, and the sum of its parts', () => {
    const anyCall = fc
      .record({
        model: fc.constantFrom('gpt-5.5', 'gpt-5.4-mini', 'gpt-4o', 'gpt-6-luna'),
        input: fc.nat(400_000),
        output: fc.nat(100_000),
        month: fc.integer({ min: 1, max: 9 }),
        tier: fc.constantFrom('default', 'flex', 'priority'),
      })
      .map(({ model, input, output, month, tier }) => {
        const line = call(model, input, output, { time: `2026-0${month}-11` }, Math.floor(input / 3)) as {
          response: object;
        };
        return { ...line, response: { ...line.response, service_tier: tier } };
      });
    fc.assert(
      fc.property(fc.array(anyCall, { maxLength: 30 }), fc.nat(30), (lines, at) => {
        const whole = auditOf(lines);
        expect(auditOf([...lines].reverse()).months).toEqual(whole.months);
        const sum = (audits: Audit[], of: 'billed' | 'would'): bigint =>
          audits.flatMap(({ months }) => months).reduce((total, month) => total + month[of], 0n);
        const parts = [auditOf(lines.slice(0, at)), auditOf(lines.slice(at))];
        for (const side of ['billed', 'would'] as const) expect(sum(parts, side)).toBe(sum([whole], side));
        for (const { billed, would, eligible } of whole.months) {
          expect(would).toBeLessThanOrEqual(billed);
          expect(Object.values(eligible).reduce((total, each) => total + each.billed, 0n)).toBe(billed);
        }
      }),
    );
  });
});

describe('readRules', () => {
  it.each<[string, string, string]>([
    ['text', 'hello', 'rules.json is not JSON'],
    ['an unknown urgency', '{"version":1,"rules":[],"otherwise":"never"}', 'otherwise: '],
    [
      'a key that is not allowed',
      '{"version":1,"rules":[{"user":"x","urgency":"now"}],"otherwise":"later"}',
      'rules.0: ',
    ],
    [
      'a rule for everything',
      '{"version":1,"rules":[{"urgency":"now"}],"otherwise":"later"}',
      'a rule names at least one of',
    ],
    ['no version', '{"rules":[],"otherwise":"later"}', 'version: '],
  ])('refuses %s and says where, and what is allowed', (_, text, message) => {
    expect(() => readRules(text, 'rules.json')).toThrow(message);
  });
});
