import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requestLine } from '../../../support/request-lines.ts';
import { batchdrop } from '../../../support/run-script.ts';

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
  const route = {
    name: 'nightly',
    prefix: 'input/nightly/',
    tiers: ['batch'],
    budget: { perJobUsd: '0.5', perDayUsd: '0.9', timeZone: 'Europe/Berlin' },
  };
  const defaults = {
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'gpt-5.5', max_completion_tokens: 1_000 },
  };
  const settings = {
    routes: [
      { name: 'default', prefix: 'input/', tiers: ['batch'], budget: 'unlimited' },
      {
        ...route,
        tiers: ['batch', 'flex'],
        deadline: '3h',
        defaults,
        onInvalid: 'reject',
        overBudget: 'refuse',
      },
    ],
    prices: { rows: [{ model: 'gpt-5.5', tier: 'batch', input: 1, output: 10 }] },
    quota: { enqueuedTokens: { 'gpt-5.5': 400 } },
  };
  await writeFile(path('settings.json'), JSON.stringify(settings));
  await writeFile(path('wrong.json'), '{"routes": [\n{"name": "a",}]}');
  const short = Array.from({ length: 30 }, (_, index) =>
    JSON.stringify({
      custom_id: `r${index}`,
      body: { messages: [{ role: 'user', content: `Say ${index}.` }] },
    }),
  );
  await writeFile(path('short.jsonl'), short.join('\n'));
  await writeFile(
    path('twice.jsonl'),
    [...short, ...short.map((line) => line.replace('"r', '"s'))].join('\n'),
  );
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
    expect(stdout).toMatch(/batch +\$0\.00\d+ in, at most \$0\.45 out/);
    expect(stdout).toMatch(/standard +\$0\.00\d+ in, at most \$0\.90 out/);
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
    expect(await helps('keyless.jsonl', { model: 'gpt-6-luna' })).toBe(true);
    expect(await helps('keyed.jsonl', { model: 'gpt-6-luna', prompt_cache_key: 'mine' })).toBe(false);
    expect(await helps('undiscounted.jsonl', { model: 'gpt-5.4-pro' })).toBe(false);
  });

  it('names invalid lines and exits with 3', async () => {
    const { status, stdout } = await batchdrop('plan', path('bad.jsonl'));
    expect(status).toBe(3);
    expect(stdout).toMatch(/invalid_json_line: 1 line\n {4}line 31, byte [0-9,]+: This line is not/);
  });

  it('reads short lines as their route would, with its deadline, the prices and the quota of the settings', async () => {
    const nightly = ['--settings', path('settings.json'), '--key', 'input/nightly/a.jsonl'];
    const { status, stdout } = await batchdrop('plan', path('short.jsonl'), ...nightly, '--json');
    expect(status).toBe(0);
    const { files, route, recommended } = JSON.parse(stdout);
    expect(files[0]).toMatchObject({ lines: 30, invalid: 0 });
    expect(files[0].groups[0].usd.batch.outputAtMost).toBe('0.3');
    expect(files[0].batches.map(({ bound }: { bound: string }) => bound)).toEqual(['tokens', 'end']);
    expect(route).toMatchObject({ name: 'nightly', deadline: '3h', maxTries: 3, fitsDayBudget: true });
    expect(route.files).toMatchObject([{ unpriced: [], fitsJobBudget: true }]);
    // 30 answers of at most 1,000 tokens at 10 USD a million (kept rounded up by a few %), and 30 short prompts.
    expect(Number(route.atMostUsd)).toBeGreaterThan(0.3);
    expect(Number(route.atMostUsd)).toBeLessThan(0.31);
    expect(recommended.tier).toBe('flex');
  });

  it('says whether the budgets of the route hold what would be reserved', async () => {
    const nightly = ['--settings', path('settings.json'), '--key', 'input/nightly/a.jsonl'];
    const fits = (await batchdrop('plan', path('short.jsonl'), ...nightly)).stdout.replace(/\s+/g, ' ');
    expect(fits).toContain(
      'Route "nightly" (input/nightly/): batch, then flex; within 3h of the drop; each request in up to 3 batches.',
    );
    expect(fits).toMatch(/at most \$0\.31 is reserved before it is sent; 0\.5 USD a job holds it/);
    const over = (await batchdrop('plan', path('twice.jsonl'), ...nightly)).stdout.replace(/\s+/g, ' ');
    expect(over).toMatch(
      /at most \$0\.62 would be reserved, and 0\.5 USD a job does not hold all of it at once/,
    );
    expect(over).toContain('fails as budget_exceeded');
    expect(over).toMatch(/0\.9 USD a day in Europe\/Berlin holds it/);
  });

  it('says before which tiers of the route are not offered for which requests, and where those go', async () => {
    const lines = [
      ...['a', 'b'].map((id) => requestLine(id, { body: { model: 'gpt-6.2-sol' } })),
      requestLine('c', {
        url: '/v1/responses',
        body: { model: 'gpt-6.2-sol', input: 'x', max_output_tokens: 9 },
      }),
    ];
    await writeFile(path('mixed.jsonl'), lines.join('\n'));
    const textOf = async (tiers: string[]): Promise<string> => {
      const routes = [{ name: 'w', prefix: 'input/', tiers, deadline: '12h', budget: 'unlimited' }];
      await writeFile(path('windows.json'), JSON.stringify({ routes }));
      const { stdout } = await batchdrop('plan', path('mixed.jsonl'), '--settings', path('windows.json'));
      return stdout.replace(/\s+/g, ' ');
    };
    const mixed = await textOf(['background-8h', 'standard']);
    expect(mixed).toContain(
      '2 requests of gpt-6.2-sol at /v1/chat/completions go in standard; background-8h is not offered there.',
    );
    expect(mixed).not.toContain('at /v1/responses go');
    expect(mixed).toMatch(/background-8h \$0\.0\S+ in, at most/);
    expect(await textOf(['flex', 'background-8h'])).toContain(
      '2 requests of gpt-6.2-sol at /v1/chat/completions fail as tier_not_offered: the route has no other tier; flex and background-8h are not offered there.',
    );
  });

  it('takes the key to be that of the file in the input prefix unless another is named', async () => {
    const { status, stdout } = await batchdrop(
      'plan',
      path('short.jsonl'),
      '--settings',
      path('settings.json'),
    );
    expect(status).toBe(3);
    expect(stdout).toContain('Route "default" (input/)');
    expect(stdout).toContain('missing_required_parameter');
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
    [
      'settings that are no JSON',
      ['good.jsonl', '--settings', 'wrong.json'],
      'wrong.json is not JSON: line 2, column 14',
    ],
    ['settings that are not there', ['good.jsonl', '--settings', 'none.json'], 'cannot be read (ENOENT)'],
    ['a key without settings', ['good.jsonl', '--key', 'input/a'], '--key chooses a route of the settings'],
    [
      'a key of no route',
      ['good.jsonl', '--settings', 'settings.json', '--key', 'output/a'],
      'no route of the settings takes the key output/a. Of the routes',
    ],
    [
      'one key for two files',
      ['good.jsonl', 'good.jsonl.gz', '--settings', 'settings.json', '--key', 'input/a'],
      '--key is the key of one file; read 2 files',
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
