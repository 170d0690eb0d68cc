import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { batchdrop } from '../../../support/run-script.ts';

let folder: string;
const path = (name: string): string => join(folder, name);
const bucket = (month: number): string =>
  JSON.stringify({
    object: 'bucket',
    start_time: Date.UTC(2026, month, 1) / 1_000,
    results: [
      { model: 'gpt-5.5', num_model_requests: 10_000, input_tokens: 50_000_000, output_tokens: 10_000_000 },
    ],
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'batchdrop-audit-'));
  await writeFile(path('usage.jsonl'), `${bucket(8)}\n${bucket(9)}\n`);
  await writeFile(path('usage.jsonl.gz'), gzipSync(`${bucket(8)}\nno json\n`));
  await writeFile(path('rules.json'), '{"version":1,"rules":[],"otherwise":"sometimes"}');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('batchdrop audit', { timeout: 60_000 }, () => {
  it('shows each month, what it would have cost, and the saving', async () => {
    const { status, stdout } = await batchdrop('audit', path('usage.jsonl'));
    expect(status).toBe(0);
    expect(stdout).toContain('2026-09: 10,000 calls, 50,000,000 tokens in (0 cached)');
    expect(stdout).toContain('billed         $550.00, would have been $275.00: $275.00 less (50.0 %)');
    expect(stdout.replace(/\s+/g, ' ')).toContain('All 2 months: $1,100.00, would have been $550.00');
  });

  it('prints one JSON object with exact sums, reads gzip, and exits with 3 for a line that is not understood', async () => {
    const { status, stdout } = await batchdrop('audit', path('usage.jsonl.gz'), '--json');
    expect(status).toBe(3);
    const { months, unread, problems } = JSON.parse(stdout);
    expect(months[0].usd).toEqual({ billed: '550', standard: '550', would: '275', saved: '275' });
    expect(unread).toBe(1);
    expect(problems).toEqual([{ file: path('usage.jsonl.gz'), line: 2, problem: 'is not JSON' }]);
  });

  it('refuses rules that are none with status 2, saying what is expected', async () => {
    const { status, stderr } = await batchdrop('audit', path('usage.jsonl'), '--rules', path('rules.json'));
    expect(status).toBe(2);
    expect(stderr).toContain('urgency "now", "soon" or "later"');
  });
});
