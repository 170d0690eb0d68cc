import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requestLine } from '../support/request-lines.ts';
import { batchdrop } from './run.ts';

let folder: string;
const path = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'batchdrop-plan-'));
  const good = Array.from({ length: 30 }, (_, index) =>
    requestLine(`r${index}`, {
      body: {
        model: 'gpt-5.5',
        messages: [{ role: 'user', content: `Say ${index}.` }],
        max_completion_tokens: 1_000,
      },
    }),
  );
  await writeFile(path('good.jsonl'), good.join('\n'));
  await writeFile(path('good.jsonl.gz'), gzipSync(good.join('\n')));
  await writeFile(path('bad.jsonl'), [...good, 'no json'].join('\n'));
  await writeFile(
    path('prices.json'),
    '{"version":1,"prices":[{"model":"gpt-5.5","tier":"batch","input":-1,"output":1}]}',
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('batchdrop plan', { timeout: 60_000 }, () => {
  it('shows batches, tokens, what each tier costs and a recommendation, no wider than 80 characters', async () => {
    const { status, stdout } = await batchdrop(
      'plan',
      path('good.jsonl'),
      path('good.jsonl.gz'),
      '--deadline',
      '3h',
      '--tokens-per-minute',
      '1_000',
    );
    expect(status).toBe(0);
    for (const line of stdout.split('\n'))
      if (!line.includes(folder)) expect(line.length).toBeLessThanOrEqual(80);
    // 30 answers of at most 1,000 tokens: $15 and $30 a million.
    expect(stdout).toMatch(/batch {4}\$0\.00\d+ in, at most \$0\.45 out/);
    expect(stdout).toMatch(/standard \$0\.00\d+ in, at most \$0\.90 out/);
    expect(stdout).toContain('Recommended: flex.');
  });

  it('prints one JSON object whose sums are exact', async () => {
    const { stdout } = await batchdrop('plan', path('good.jsonl'), '--json');
    const { files, usd, recommended } = JSON.parse(stdout);
    expect(files[0].groups[0].usd.batch.outputAtMost).toBe('0.45');
    expect(Number(usd.standard)).toBeCloseTo(2 * Number(usd.batch), 12);
    expect(recommended.tier).toBe('batch');
  });

  it('says where a key for prompts that begin alike would help, and not where all name one or nothing is cheaper', async () => {
    const helps = async (name: string, body: Record<string, unknown>): Promise<boolean> => {
      const messages = [{ role: 'user', content: 'Be brief and to the point. '.repeat(400) }];
      const lines = Array.from({ length: 5 }, (_, index) =>
        requestLine(`r${index}`, { body: { messages, ...body } }),
      );
      await writeFile(path(name), lines.join('\n'));
      const { stdout } = await batchdrop('plan', path(name));
      expect(stdout).toContain('begin with the same');
      return /"promptCacheKey":\s+"by_prefix"/.test(stdout);
    };
    expect(await helps('keyless.jsonl', { model: 'gpt-5-nano' })).toBe(true);
    expect(await helps('keyed.jsonl', { model: 'gpt-5-nano', prompt_cache_key: 'mine' })).toBe(false);
    expect(await helps('undiscounted.jsonl', { model: 'gpt-5-pro' })).toBe(false);
  });

  it('names invalid lines and exits with 3', async () => {
    const { status, stdout } = await batchdrop('plan', path('bad.jsonl'));
    expect(status).toBe(3);
    expect(stdout).toContain('line 31   invalid_json_line');
  });

  it.each<[string, string[], string]>([
    ['a file that is not there', ['nowhere.jsonl'], 'nowhere.jsonl: there is no such file'],
    [
      'a deadline of nothing',
      ['good.jsonl', '--deadline', '0h'],
      'a duration above zero such as 90m, 2h or 1d is expected',
    ],
    ['a deadline without a unit', ['good.jsonl', '--deadline', '12'], 'a duration above zero'],
    ['half a token', ['good.jsonl', '--enqueued-tokens', '0.5'], 'a whole number above zero is expected'],
    [
      'a negative price',
      ['good.jsonl', '--prices', 'prices.json'],
      'prices.0.input: a price is not negative',
    ],
  ])('refuses %s with status 2, saying what is expected', async (_, parameters, message) => {
    const { status, stderr } = await batchdrop(
      'plan',
      ...parameters.map((each) => (each.includes('.json') ? path(each) : each)),
    );
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });
});
