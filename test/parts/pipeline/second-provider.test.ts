/**
 * A provider that is not like OpenAI runs a whole job through the core: inline requests, other states and limits, no
 * metadata.
 */
import { expect, test } from 'vitest';
import type { Tier } from '../../../src/contract/route.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { forecast } from '../../../src/core/forecast/forecast.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import { noUsage } from '../../../src/core/model/usage.ts';
import { boundOf } from '../../../src/core/pricing/bound.ts';
import { Prices } from '../../../src/core/pricing/prices.ts';
import { tokensLedgerOf } from '../../../src/core/scheduling/scopes.ts';
import { readTiers } from '../../../src/core/scheduling/step-down.ts';
import { givenLimitOf, tokenLimitOf } from '../../../src/core/scheduling/token-limit.ts';
import { INLINE_RULES, InlineProvider } from '../../support/memory/inline-provider.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

const KEY = 'input/a.jsonl';
const line = (customId: string, changes: object = {}): string =>
  JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: '/v2/generate',
    body: { model: 'inline-1', text: `question of ${customId}`, limit: 5 },
    ...changes,
  });

async function startInline(answer: ConstructorParameters<typeof InlineProvider>[1]) {
  let now = () => 0;
  const provider = new InlineProvider({ now: () => now() }, answer);
  const p = await startTestPipeline({
    settings: settingsSchema.parse({
      routes: [{ name: 'r', prefix: 'input/', tiers: ['batch'], budget: 'unlimited' }],
    }),
    provider: { rules: INLINE_RULES, batches: provider },
  });
  now = () => p.emulator.clock.now();
  return { p, provider };
}

test('a job with answers, an error that passes, one that does not, and a line that is no request of this provider', async () => {
  const { p, provider } = await startInline((id, times) => {
    if (id === 'r2') return 'unreadable_text';
    return id === 'r4' && times === 1 ? 'overloaded' : { text: `answer ${id}`, read: 7, written: 3 };
  });
  const ids = ['r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7'];
  const lines = [...ids.map((id) => line(id)), line('r8', { url: '/v1/responses' })];
  await p.drop(KEY, lines.join('\n'));
  await p.run();

  expect(p.failures).toEqual([]);
  // Three requests are its limit: two batches of three, one of one, and the one that is tried again.
  expect(provider.created).toEqual([3, 3, 1, 1]);
  expect((await p.output(KEY)).map(({ custom_id }) => custom_id)).toEqual([
    'r1',
    'r3',
    'r4',
    'r5',
    'r6',
    'r7',
  ]);
  expect((await p.errors(KEY)).map(({ custom_id, error }) => [custom_id, error.code])).toEqual([
    ['r2', 'unreadable_text'],
    ['r8', 'invalid_url'],
  ]);
  const receipt = await p.receipt(KEY);
  expect(receipt.counts).toEqual({ requests: 8, succeeded: 6, failed: 1, invalid: 1 });
  expect(receipt.usage).toMatchObject({ inputTokens: 42, outputTokens: 18 });
});

test('a refusal for lack of room is read in its words, and the batch is cut to the limit that they report', async () => {
  const { p, provider } = await startInline(() => ({ text: 'answer', read: 1, written: 1 }));
  provider.room = 1;
  await p.drop(KEY, ['r1', 'r2', 'r3'].map((id) => line(id)).join('\n'));
  await p.run();

  expect(provider.created).toEqual([3, 1, 1, 1]);
  expect((await p.receipt(KEY)).counts).toMatchObject({ succeeded: 3 });
  const ledger = await p.deps.quota.getLedger(tokensLedgerOf({ model: 'inline-1' }));
  expect(ledger).toMatchObject({ limit: 1, reserved: 0 });
});

test('enqueued tokens and rates of calls begin where the provider says', async () => {
  const { p } = await startInline(() => ({}));
  const tiers: Tier[] = ['batch', 'standard'];
  const batch = { model: 'inline-1', ladder: { tiers } };
  const { paceOf } = await readTiers(p.seen, batch);
  // Four fifths of its first rates.
  expect(paceOf('standard')).toEqual({ requestsPerMinute: 16, tokensPerMinute: 800 });
  const given = givenLimitOf(p.seen.settings.quota, p.seen.rules.quota, 'inline-1');
  expect(tokenLimitOf(undefined, given, 0)).toMatchObject({ ceiling: 50 });
});

test('requests of a batch that was cancelled before it began have the code that the provider has for that', async () => {
  const { p } = await startInline(() => ({}));
  await p.drop(KEY, line('r1'));
  await p.drain();
  for await (const { jobId } of p.deps.jobs.listAtOpenAI()) await cancelJob(p.seen, jobId);
  await p.run();
  expect((await p.errors(KEY)).map(({ error }) => error.code)).toEqual(['stopped']);
});

test('bounds and prices go by its long contexts, and by its answers where a request sets no limit', () => {
  const prices = new Prices(INLINE_RULES.prices);
  const batch = { model: 'inline-1', requests: 1, bytes: 100, tokens: 0, longestBytes: 100 };
  // 16 tokens around a prompt and 70 of an answer, at a picodollar a token times a million.
  expect(boundOf(batch, prices, 0)).toBe(86_000_000n);
  // Of 2 bytes a token at the least.
  expect(boundOf({ ...batch, longestBytes: 1_002 }, prices, 0)).toBe(172_000_000n);
  const costOf = (inputTokens: number) =>
    prices.costOf({ ...noUsage(), inputTokens }, { model: 'inline-1', tier: 'batch', at: 0 });
  expect([costOf(500), costOf(501)]).toEqual([500_000_000n, 1_002_000_000n]);
});

test('a create whose answer is lost is never made again: nothing proves that it did not come about', async () => {
  const { p, provider } = await startInline(() => ({ text: 'answer', read: 1, written: 1 }));
  provider.losesAnswer = true;
  await p.drop(KEY, line('r1'));
  await p.run(6);

  expect(provider.created).toEqual([1]);
  const found: unknown[] = [];
  for await (const item of p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY))
    found.push(...(await p.deps.jobs.listBatches(item.kind === 'job' ? item.jobId : item.batch.jobId)));
  expect(found).toContainEqual(
    expect.objectContaining({ state: 'submitting', hold: { reason: 'unknown_create' } }),
  );
});

test('a forecast finds what prompts have in common from the minimum of the provider on', async () => {
  const text = 'All of them begin alike. '.repeat(60);
  const lines = ['r1', 'r2', 'r3'].map((id) =>
    line(id, { body: { model: 'inline-1', text: `${text}${id}` } }),
  );
  const found = await forecast(
    (async function* () {
      yield Buffer.from(lines.join('\n'));
    })(),
    {
      rules: INLINE_RULES,
      limits: INLINE_RULES.limits,
      prices: new Prices(INLINE_RULES.prices),
      tokenizerOf: () => (each) => each.length / 4,
    },
  );
  // 1,500 characters: no 1,024 tokens.
  expect(found.prefixes.shared).toMatchObject([{ requests: 3, minTokens: 50 }]);
  expect(found.withoutCacheKey).toBe(3);
});
