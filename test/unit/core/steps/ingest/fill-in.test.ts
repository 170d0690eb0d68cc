/** Lines that leave out what their route fills in: what is sent, what is invalid, and what a person gets back. */

import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Defaults } from '../../../../../src/contract/line-defaults.ts';
import { settingsSchema } from '../../../../../src/contract/settings.ts';
import { jobIdOf } from '../../../../../src/core/model/job-id.ts';
import { MAX_LINE_BYTES } from '../../../../../src/core/model/limits.ts';
import { checkFilledIn, fillIn } from '../../../../../src/core/steps/ingest/fill-in.ts';
import { OPENAI_RULES } from '../../../../../src/providers/openai/rules.ts';
import { BUCKET } from '../../../../support/memory-store.ts';
import type { Pipeline, PipelineOptions } from '../../../../support/pipeline.ts';
import { propertyRuns } from '../../../../support/property-runs.ts';
import { BATCH_ONLY } from '../../../../support/routes.ts';
import { startTestPipeline } from '../../../../support/test-pipeline.ts';

const DEFAULTS: Defaults = {
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'gpt-6-luna', max_completion_tokens: 50 },
};
const filled = (line: string, defaults = DEFAULTS): string =>
  Buffer.from(fillIn(Buffer.from(line), { defaults }, OPENAI_RULES)).toString('utf8');
const verdictOf = (line: string, defaults = DEFAULTS) =>
  checkFilledIn(Buffer.from(line), { defaults }, OPENAI_RULES).verdict;

describe('filling in', () => {
  test('equals a plain merge of JSON: what a line says itself is kept, and the body is merged one level deep', () => {
    const body = fc.dictionary(fc.constantFrom('model', 'messages', 'n', '__proto__', ''), fc.jsonValue());
    const line = fc.record(
      {
        custom_id: fc.jsonValue(),
        method: fc.jsonValue(),
        url: fc.jsonValue(),
        body: fc.oneof(body, fc.jsonValue()),
        other: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    const defaults = fc.record(
      { method: fc.constant('POST' as const), url: fc.constantFrom('/v1/responses'), body },
      { requiredKeys: [] },
    );
    const members = (value: unknown): value is Record<string, unknown> =>
      typeof value === 'object' && value !== null && !Array.isArray(value);
    fc.assert(
      fc.property(line, defaults, (said, given) => {
        const json = JSON.stringify(said);
        const own = JSON.parse(json) as Record<string, unknown>;
        const expected: Record<string, unknown> = { ...given, ...own };
        if (members(own.body)) expected.body = { ...(given.body as object | undefined), ...own.body };
        const merged = JSON.parse(JSON.stringify(expected)) as unknown;
        expect(JSON.parse(filled(json, given as Defaults))).toEqual(merged);
      }),
      { numRuns: propertyRuns(200) },
    );
  });

  test('keeps numbers as they are spelt, and a line on one line', () => {
    const line = '{"custom_id":"a","body":{"temperature":1.0,"seed":12345678901234567890,"x":"a\\nb"}}';
    expect(filled(line)).toBe(
      '{"method":"POST","url":"/v1/chat/completions","custom_id":"a","body":' +
        '{"model":"gpt-6-luna","max_completion_tokens":50,"temperature":1.0,"seed":12345678901234567890,"x":"a\\nb"}}',
    );
  });

  test('keeps everything that a line says byte for byte, index-like keys in their order too', () => {
    const own =
      '"custom_id": "a" ,"body" : {"tools":[{"10":1,"2":2,"b":3,"1":4}], "metadata":{"7":"x","3":"y"} }';
    expect(filled(`{ ${own} }`)).toBe(
      `{"method":"POST","url":"/v1/chat/completions", ${own.replace('{"tools"', '{"model":"gpt-6-luna","max_completion_tokens":50,"tools"')} }`,
    );
  });

  test.each(['[1]', '1.0', 'null', '{"custom_id"', '"x"'])(
    'leaves what is no JSON object alone: %s',
    (line) => {
      expect(filled(line)).toBe(line);
    },
  );

  test.each<[string, string, string]>([
    ['that is short', '{"custom_id":"a","body":{"messages":[]}}', 'valid'],
    ['without a body', '{"custom_id":"a"}', 'valid'],
    ['that says another model', '{"custom_id":"a","body":{"model":"gpt-6-luna"}}', 'valid'],
    ['that says a null for its model', '{"custom_id":"a","body":{"model":null}}', 'invalid_request'],
    ['with another method', '{"custom_id":"a","method":"GET"}', 'invalid_value'],
    ['with another url', '{"custom_id":"a","url":"/v1/files"}', 'invalid_url'],
    ['with a body that is a number', '{"custom_id":"a","body":1.0}', 'invalid_type'],
    ['without an id', '{"body":{}}', 'missing_required_parameter'],
    ['that is no JSON', '{', 'invalid_json_line'],
    [
      'nested beyond all depth',
      `{"custom_id":"a","body":{"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`,
      'valid',
    ],
    ['that gets too long', JSON.stringify({ custom_id: 'a'.repeat(MAX_LINE_BYTES - 30) }), 'line_too_long'],
  ])('a line %s is judged as it is then', (_what, line, expected) => {
    const verdict = verdictOf(line);
    expect(verdict.valid ? 'valid' : verdict.code).toBe(expected);
  });
});

describe('a route with defaults', () => {
  async function start(options: PipelineOptions = {}): Promise<Pipeline> {
    const settings = settingsSchema.parse({
      routes: [{ ...BATCH_ONLY, name: 'short', prefix: 'input/', maxTries: 1, defaults: DEFAULTS }],
    });
    const p = await startTestPipeline({ settings, limits: { requests: 2 }, ...options });
    return p;
  }
  const short = (id: string): string =>
    `{ "custom_id": "${id}",  "body": {"messages": [{"role": "user", "content": "question of ${id}"}], "n": 1.0} }`;
  const LINES = [
    short('a'),
    '{"custom_id": "bad", "method": "GET"}',
    short('fails'),
    short('a'),
    'nonsense',
    JSON.stringify({
      ...JSON.parse(short('full')),
      body: { model: 'gpt-6.1-terra', messages: [{ role: 'user', content: 'x' }] },
    }),
    short('z'),
  ];
  const faults = [
    { times: 1, match: { custom_id: '^fails$' }, effect: { kind: 'line.status', status: 400 } },
  ] as const;

  test.each([
    ['plain', Buffer.from(`\ufeff${LINES.join('\r\n')}\n`), true],
    ['compressed', gzipSync(LINES.join('\n')), true],
    ['in a bucket without versions', Buffer.from(LINES.join('\n')), false],
  ])(
    'runs short lines, and gives back the original ones: a file that is %s',
    async (_how, file, isVersioned) => {
      const p = await start({ emulator: { faults }, isVersioned, twice: true });
      await p.drop('input/a.jsonl', file);
      await p.run();
      expect(p.failures).toEqual([]);
      const output = await p.output('input/a.jsonl');
      expect(output.map(({ custom_id, response }) => [custom_id, response.body.model])).toEqual([
        ['a', expect.stringMatching(/^gpt-6-luna/)],
        ['full', expect.stringMatching(/^gpt-6.1-terra/)],
        ['z', expect.stringMatching(/^gpt-6-luna/)],
      ]);
      const errors = await p.errors('input/a.jsonl');
      expect(errors.map(({ line, custom_id }) => [line, custom_id])).toEqual([
        [2, 'bad'],
        [3, 'fails'],
        [4, 'a'],
        [5, null],
      ]);
      // Of a line that was read where it stands; a place in the spool would mean nothing.
      expect(errors.map(({ byte }) => byte !== undefined)).toEqual(
        _how === 'compressed' ? [false, false, false, false] : [true, false, false, true],
      );
      expect(await p.retry('input/a.jsonl')).toBe(
        `${[1, 2, 3, 4].map((index) => LINES[index]).join('\n')}\n`,
      );
    },
  );

  test('freezes its defaults with the job: a later deployment changes nothing for it', async () => {
    const p = await start();
    await p.drop('input/a.jsonl', short('a'));
    const jobId = jobIdOf((await p.deps.objects.head(BUCKET, 'input/a.jsonl'))!);
    p.deps.settings.routes[0]!.defaults!.body!.model = 'gpt-6.1-terra';
    expect((await p.deps.jobs.getJob(jobId))!.route.defaults).toMatchObject({
      body: { model: 'gpt-6-luna' },
    });
  });
});
