/** Requests that are sure to be refused: named before they are sent, or kept back where the route says so. */
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { type Settings, settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { requestLine } from '../../support/request-lines.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const FILE = 'input/a.jsonl';
const messages = [{ role: 'user', content: 'Hi.' }];
const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
const chat = (id: string, body: object): string =>
  requestLine(id, { body: { model: 'gpt-6-luna', messages, ...body } });

/** The emulator refuses the second, third and fifth line. */
const LINES = [
  chat('good', { max_completion_tokens: 5 }),
  chat('max', { max_tokens: 5 }),
  chat('tools', { tools, reasoning_effort: 'low' }),
  chat('good too', { tools }),
  chat('max again', { max_tokens: 6 }),
];

const settingsOf = (changes: object): Settings =>
  settingsSchema.parse({ routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/', ...changes }] });

async function runWith(changes: object, file: string | Uint8Array, key = FILE) {
  const events: SeenEvent[] = [];
  const p = await startTestPipeline({
    settings: settingsOf(changes),
    telemetry: telemetryTo((event) => events.push(event)),
  });
  await p.drop(key, file);
  await p.run(48);
  return {
    output: (await p.output(key)).map(({ custom_id }) => custom_id),
    errors: (await p.errors(key)).map(({ custom_id, error }) => [custom_id, error?.code ?? 'of OpenAI']),
    lines: await p.errors(key),
    retry: await p.retry(key),
    receipt: await p.receipt(key),
    expected: events.filter(({ name }) => name === 'refusal.expected').map(({ fields }) => fields),
  };
}

const WARNINGS = [
  {
    code: 'preflight_max_tokens',
    message: expect.stringMatching(/^Lines 2, 5: .*max_tokens.* Write max_completion_tokens\.$/),
  },
  { code: 'preflight_chat_tools_effort', message: expect.stringMatching(/^Line 3: .*\/v1\/responses/) },
];

test.each([
  ['a plain file', {}, LINES.join('\n'), FILE],
  ['a packed file', {}, gzipSync(LINES.join('\n')), 'input/a.jsonl.gz'],
  ['a file that is filled in', { defaults: { body: { temperature: 1 } } }, LINES.join('\n'), FILE],
])('%s is run, and OpenAI refuses what was named before', async (_what, changes, file, key) => {
  const { output, errors, receipt, expected } = await runWith(changes, file, key);
  expect(output).toEqual(['good', 'good too']);
  expect(errors.map(([id]) => id)).toEqual(['max', 'tools', 'max again']);
  expect(receipt.warnings).toEqual(WARNINGS);
  expect(expected).toMatchObject([
    { kind: 'preflight_max_tokens', requests: 2, line: 2 },
    { kind: 'preflight_chat_tools_effort', requests: 1, line: 3 },
  ]);
});

test('a route that rejects sends none of them: they end as invalid, with what to write instead', async () => {
  const { output, errors, lines, retry, receipt } = await runWith({ preflight: 'reject' }, LINES.join('\n'));
  expect(output).toEqual(['good', 'good too']);
  expect(errors).toEqual(['max', 'tools', 'max again'].map((id) => [id, 'preflight_refused']));
  expect(lines[0].error.message).toMatch(/Write max_completion_tokens\. .*"preflight": "reject"/);
  expect(retry?.trimEnd().split('\n')).toEqual([LINES[1], LINES[2], LINES[4]]);
  expect(receipt.counts).toEqual({ requests: 5, succeeded: 2, failed: 0, invalid: 3 });
  expect(receipt.errorsByCode).toEqual({ preflight_refused: 3 });
  expect(receipt.warnings).toEqual(WARNINGS);
  expect(receipt.timings.totalMs).toBeLessThan(48 * HOUR_MS);
});

test('a file of nothing else is rejected by such a route, and by one that takes no invalid lines', async () => {
  const none = await runWith({ preflight: 'reject' }, LINES[1]!);
  expect(none.receipt.rejection?.code).toBe('no_valid_lines');
  const strict = await runWith({ preflight: 'reject', onInvalid: 'reject' }, LINES.join('\n'));
  expect(strict.receipt.rejection?.code).toBe('invalid_lines');
  expect(strict.output).toEqual([]);
});

test('a file without any of them is not warned of', async () => {
  const { receipt, expected } = await runWith({}, [LINES[0], LINES[3]].join('\n'));
  expect([receipt.warnings, expected]).toEqual([[], []]);
});
