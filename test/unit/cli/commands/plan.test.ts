/** What `batchdrop plan` says that depends on the day. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { plan } from '../../../../cli/commands/plan.ts';
import { EXIT_PARTIAL, EXIT_SUCCEEDED } from '../../../../cli/view/exit.ts';
import { requestLine } from '../../../support/request-lines.ts';

/** Plans a file of one request on a day. */
async function planOn(day: string, model: string, options: { json?: boolean; body?: object } = {}) {
  const { body, ...flags } = options;
  const folder = await mkdtemp(join(tmpdir(), 'batchdrop-plan-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'file.jsonl');
  await writeFile(
    file,
    requestLine('a', { body: { model, messages: [{ role: 'user', content: 'Hi.' }], ...body } }),
  );
  const printed = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    const status = await plan([file], flags, () => Date.parse(day));
    return { status, text: String(printed.mock.calls[0]![0]).replaceAll(/\s+/g, ' ') };
  } finally {
    printed.mockRestore();
  }
}

test.each([
  ['2026-11-10', 'gpt-5-nano', EXIT_SUCCEEDED, undefined],
  ['2026-12-10', 'gpt-5-nano', EXIT_SUCCEEDED, 'model_shutdown'],
  ['2026-12-11', 'gpt-5-nano', EXIT_SUCCEEDED, 'model_shutdown'],
  ['2026-12-12', 'gpt-5-nano', EXIT_PARTIAL, 'model_retired'],
  ['2026-12-12', 'gpt-5-nano-2025-08-07', EXIT_PARTIAL, 'model_retired'],
  ['2026-12-12', 'gpt-6-luna', EXIT_SUCCEEDED, undefined],
])('on %s a file for %s exits with %i and says %s', async (day, model, status, code) => {
  const planned = await planOn(day, model);
  expect(planned.status).toBe(status);
  const { files } = JSON.parse((await planOn(day, model, { json: true })).text);
  expect(files[0].groups[0].modelEnd?.code).toBe(code);
  if (code === undefined) expect(planned.text).not.toMatch(/model_(shutdown|retired)/);
  else
    expect(planned.text).toMatch(
      new RegExp(`${code}: OpenAI shuts?.* 2026-12-11.*one of gpt-6\\.1-sol, gpt-6\\.1-terra, gpt-6-luna`),
    );
});

test('what OpenAI is sure to refuse is named with its line, and is no reason to exit otherwise', async () => {
  const body = { max_tokens: 5 };
  const planned = await planOn('2026-12-01', 'gpt-6-luna', { body });
  expect(planned.status).toBe(EXIT_SUCCEEDED);
  expect(planned.text).toMatch(/refused preflight_max_tokens: Line 1: .* Write max_completion_tokens\./);
  const { files } = JSON.parse((await planOn('2026-12-01', 'gpt-6-luna', { body, json: true })).text);
  expect(files[0].preflight).toMatchObject([{ kind: 'preflight_max_tokens', requests: 1, lines: [1] }]);
});
