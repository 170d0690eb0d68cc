/** Lines and options that somebody made to break what reads them: they end as invalid or are run, and nothing else stops. */
import { expect, test } from 'vitest';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { chatLine } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

const DEEP = 200_000;
const nested = `${'['.repeat(DEEP)}${']'.repeat(DEEP)}`;
const lineWith = (customId: string, body: string): string =>
  `{"custom_id":${JSON.stringify(customId)},"method":"POST","url":"/v1/chat/completions","body":${body}}`;
const MESSAGES = '"model":"gpt-6-luna","max_completion_tokens":5,"messages":[{"role":"user","content":"hi"}]';

test.each([
  ['nested 200,000 times in its body', lineWith('deep', `{${MESSAGES},"metadata":${nested}}`)],
  [
    'nested 200,000 times where messages are',
    lineWith('deep', `{"model":"gpt-6-luna","messages":${nested}}`),
  ],
  ['nested 200,000 times and nothing else', nested],
  ['that sets the prototype of objects', lineWith('deep', `{${MESSAGES},"__proto__":{"model":"other"}}`)],
  [
    'with a hundred thousand members',
    lineWith('deep', `{${MESSAGES},${Array.from({ length: 100_000 }, (_, n) => `"m${n}":1`).join()}}`),
  ],
])('a line %s ends with an outcome, and the line after it succeeds', async (_what, line) => {
  const p = await startTestPipeline();
  await p.drop('input/a.jsonl', `${line}\n${chatLine('good')}\n`);
  await p.run();
  const { counts } = await p.receipt('input/a.jsonl');
  expect(counts.requests).toBe(2);
  expect(counts.succeeded + counts.failed + counts.invalid).toBe(2);
  expect((await p.output('input/a.jsonl')).map(({ custom_id }) => custom_id)).toContain('good');
  expect(p.failures).toEqual([]);
});

test.each([
  ['nested as deep as they may be long', '['.repeat(9_999)],
  ['that set the prototype', '{"__proto__":{"budget":{"perJobUsd":"1"}}}'],
  ['larger than options may be', JSON.stringify({ deadline: ' '.repeat(20_000) })],
  ['that raise the budget of the route', '{"budget":"unlimited"}'],
  ['that name another setting', '{"apiKey":"other","prefix":"output/"}'],
])(
  'options %s reject their file, or change nothing, and cost nothing beyond the route',
  async (_what, options) => {
    const settings = settingsSchema.parse({
      routes: [
        { ...BATCH_ONLY, name: 'a', prefix: 'input/', budget: { perJobUsd: '0.5' }, mayOverride: ['budget'] },
      ],
    });
    const p = await startTestPipeline({ settings });
    await p.deps.objects.put('input/a.jsonl.options.json', Buffer.from(options));
    await p.drop('input/a.jsonl', chatLine('a'));
    await p.run();
    const receipt = await p.receipt('input/a.jsonl');
    expect(receipt.result === 'rejected' || receipt.result === 'succeeded').toBe(true);
    if (receipt.result === 'rejected') expect(receipt.rejection?.code).toBe('invalid_options');
    expect(Number(receipt.cost.usd)).toBeLessThan(0.5);
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  },
);

test.each([
  'https://169.254.169.254/latest/meta-data/',
  'http://localhost:9000/v1/responses',
  '//example.com/v1/responses',
  '/v1/../v1/responses',
  '/v1/responses?proxy=http://example.com',
  'file:///etc/passwd',
])('a line whose url is %s is invalid, and nothing of it is sent', async (url) => {
  const p = await startTestPipeline();
  const line = { custom_id: 'a', method: 'POST', url, body: { model: 'gpt-6-luna', input: 'hi' } };
  await p.drop('input/a.jsonl', JSON.stringify(line));
  await p.run();
  expect(await p.receipt('input/a.jsonl')).toMatchObject({ counts: { invalid: 1 } });
  expect((await p.client.files.list()).data).toEqual([]);
  expect(await p.emulator.ledger.all()).toEqual([]);
});
