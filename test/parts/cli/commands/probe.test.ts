/** The probes, against the emulator: what it answers is its own, and says nothing about OpenAI. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { expect, onTestFinished, test, vi } from 'vitest';
import { probe } from '../../../../cli/commands/probe.ts';
import type { ProbeReport } from '../../../../cli/view/probe-report.ts';
import {
  type EmulatorOptions,
  startEmulator,
  virtualClock,
} from '../../../../local/openai-emulator/emulator.ts';
import { PROBE_CAPS, PROBES, probeBound } from '../../../../src/providers/openai/probes.ts';

const KEY = 'sk-very-secret-key';

async function started(options: Partial<EmulatorOptions> = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-probe-'));
  const clock = virtualClock();
  const emulator = await startEmulator({ ...options, dir: join(dir, 'openai'), clock });
  const said = vi.spyOn(console, 'log').mockImplementation(() => {});
  onTestFinished(async () => {
    said.mockRestore();
    await emulator.close();
    await rm(dir, { recursive: true, force: true });
  });
  const out = join(dir, 'reports');
  const env = { OPENAI_API_KEY: KEY, OPENAI_BASE_URL: emulator.endpoint };
  const run = () => probe({ out, yes: true }, env, async () => clock.advance(1_000));
  const report = async (): Promise<{ json: ProbeReport; all: string }> => {
    const names = (await readdir(out)).sort();
    expect(names.map((name) => name.split('.').at(-1))).toEqual(['json', 'txt']);
    const texts = await Promise.all(names.map((name) => readFile(join(out, name), 'utf8')));
    return { json: JSON.parse(texts[0]!), all: texts.join('\n') };
  };
  const client = new OpenAI({ apiKey: KEY, baseURL: emulator.endpoint, logLevel: 'off' });
  return { emulator, clock, run, report, client };
}

test('each probe is answered, the report has no key and no content, and nothing that was made is left', async () => {
  const { emulator, clock, run, report, client } = await started();
  expect(await run()).toBe(0);
  const { json, all } = await report();
  expect(json.probes.map(({ name, failure }) => [name, failure])).toEqual(
    PROBES.map(({ name }) => [name, undefined]),
  );
  const answers = Object.fromEntries(json.probes.map(({ name, answer }) => [name, answer]));
  expect(answers).toMatchObject({
    'errors-listed': expect.stringMatching(/^100 \(/),
    'read-after-create': 'yes',
    'list-order': 'yes, of 4 batches',
  });
  expect(Object.values(answers).filter((answer) => answer === undefined)).toEqual([]);
  for (const secret of [KEY, 'Say ok', 'cccccccc']) expect(all).not.toContain(secret);
  clock.advance(3_600_000);
  const batches = (await client.batches.list()).data.map(({ status }) => status);
  expect(batches.filter((status) => status !== 'failed' && status !== 'cancelled')).toEqual([]);
  expect((await client.files.list({ purpose: 'batch' })).data).toEqual([]);
  const sent = Object.values(emulator.calls()).reduce((sum, each) => sum + each, 0);
  expect(sent).toBeLessThanOrEqual(PROBE_CAPS.calls);
});

test('a probe that is refused says status and code alone, leaves the others, and ends with 1', async () => {
  const { run, report } = await started({ apiKeys: ['sk-other'] });
  expect(await run()).toBe(1);
  const { json, all } = await report();
  expect(json.probes).toHaveLength(PROBES.length);
  for (const { failure } of json.probes) expect(failure).toMatch(/^HTTP 401/);
  expect(all).not.toContain('sk-');
});

test('a batch that never ends its validation answers nothing, and is given up after a bounded time', async () => {
  const { run, report } = await started({
    faults: [{ effect: { kind: 'batch.stuck', state: 'validating' } }],
  });
  expect(await run()).toBe(0);
  const { json } = await report();
  expect(json.probes.find(({ name }) => name === 'line-ends')).toMatchObject({
    seen: { status: 'validating' },
  });
});

test('the real OpenAI is asked with --live alone, and nobody is asked for money without an answer', async () => {
  const env = { OPENAI_API_KEY: KEY };
  await expect(probe({ out: '.' }, env)).rejects.toThrow('--probe needs --live');
  await expect(probe({ out: '.', live: true }, env)).rejects.toThrow(
    /^Send 6 probes to api\.openai\.com: up to 4 requests that may be billed, up to \d+ tokens, at most \$0\.000\d+\? Give --yes/,
  );
});

test('what the table sends stays below the caps', () => {
  const { billedRequests, inputTokens, outputTokens } = probeBound(PROBES);
  expect(billedRequests).toBeLessThanOrEqual(PROBE_CAPS.billedRequests);
  expect(inputTokens + outputTokens).toBeLessThanOrEqual(PROBE_CAPS.tokens);
});
