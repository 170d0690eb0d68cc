/** The runner of flex and standard, and the ladder, over the emulator: real HTTP, the real client, a virtual clock. */

import { afterEach, describe, expect, it } from 'vitest';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { chatLine, type Pipeline, type PipelineOptions, startPipeline } from '../../support/pipeline.ts';
import { expectListedEvents } from '../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';

let pipeline: Pipeline;
afterEach(() => pipeline.stop());

const settingsOf = (route: Record<string, unknown>) =>
  settingsSchema.parse({ routes: [{ name: 'r', prefix: 'input/', budget: 'unlimited', ...route }] });

async function start(route: Record<string, unknown>, options: PipelineOptions = {}): Promise<void> {
  pipeline = await startPipeline({ settings: settingsOf(route), ...options });
}

const idsOf = (count: number): string[] => Array.from({ length: count }, (_, index) => `id-${index}`);
const fileOf = (ids: readonly string[]): string => ids.map((id) => chatLine(id)).join('\n');

const customIds = (lines: readonly { custom_id?: unknown }[]): unknown[] =>
  lines.map(({ custom_id }) => custom_id);

/** How often each request was answered, by prompt, whatever the tier. */
async function answered(): Promise<{ times: number[]; tiers: Record<string, number> }> {
  const all = (await pipeline.emulator.ledger.all()).filter(({ status }) => status === 200);
  const byRequest = Map.groupBy(all, ({ request_hash }) => request_hash);
  const tiers: Record<string, number> = {};
  for (const { tier } of all) tiers[tier] = (tiers[tier] ?? 0) + 1;
  return { times: [...byRequest.values()].map(({ length }) => length), tiers };
}

describe('a route of one tier', () => {
  it('calls every request once in standard, in slices of 500, and gives the results in input order', async () => {
    await start({ tiers: ['standard'] });
    const ids = idsOf(620);
    await pipeline.drop(KEY, fileOf(ids));
    await pipeline.run();
    expect(pipeline.failures).toEqual([]);
    expect(customIds(await pipeline.output(KEY))).toEqual(ids);
    const receipt = await pipeline.receipt(KEY);
    expect(receipt).toMatchObject({ result: 'succeeded', counts: { requests: 620, succeeded: 620 } });
    expect(receipt.batches.map(({ requests }) => requests)).toEqual([620, 500, 120]);
    const { times, tiers } = await answered();
    expect(tiers).toEqual({ default: 620 });
    expect(new Set(times)).toEqual(new Set([1]));
  });

  it('calls again what flex had no capacity for, and nothing twice', async () => {
    await start(
      { tiers: ['flex'] },
      {
        emulator: {
          faults: {
            rules: [{ match: { tier: '^flex$' }, share: 0.5, effect: { kind: 'line.resource_unavailable' } }],
          },
        },
      },
    );
    const ids = idsOf(120);
    await pipeline.drop(KEY, fileOf(ids));
    await pipeline.run();
    expect(customIds(await pipeline.output(KEY))).toEqual(ids);
    expect((await pipeline.receipt(KEY)).possiblyBilledTwice).toEqual({});
    const { times, tiers } = await answered();
    expect(tiers).toEqual({ flex: 120 });
    expect(new Set(times)).toEqual(new Set([1]));
  });

  it('ends requests whose endpoint no tier of the route serves, and says so', async () => {
    await start({ tiers: ['flex'] });
    const line = JSON.stringify({
      custom_id: 'e',
      method: 'POST',
      url: '/v1/embeddings',
      body: { model: 'text-embedding-3-small', input: 'x' },
    });
    await pipeline.drop(KEY, line);
    await pipeline.run();
    const receipt = await pipeline.receipt(KEY);
    expect(receipt.errorsByCode).toEqual({ tier_not_offered: 1 });
  });

  it('sends numbers and everything else of a body as they are in the line', async () => {
    await start({ tiers: ['standard'] });
    const bodies: string[] = [];
    const original = pipeline.deps.calls.call;
    pipeline.deps.calls.call = (request) => {
      bodies.push(request.body);
      return original(request);
    };
    const line =
      '{"custom_id":"n","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-6-luna","seed":9007199254740993,' +
      '"temperature":1.0,"messages":[{"role":"user","content":"\\u00e4\\ud83d\\ude00"}]}}';
    await pipeline.drop(KEY, line);
    await pipeline.run();
    expect(bodies).toEqual([
      '{"model":"gpt-6-luna","seed":9007199254740993,"temperature":1.0,"messages":[{"role":"user","content":"\\u00e4\\ud83d\\ude00"}],"service_tier":"default"}',
    ]);
  });
});

describe('a table that is restored to an earlier time', () => {
  it.each([
    ['when the job was done', false],
    ['when a worker had died in the middle', true],
  ])('has nothing called again whose answer was kept, %s', async (_, dies) => {
    await start({ tiers: ['standard'] });
    const { jobs, quota, objects } = pipeline.deps;
    const ids = idsOf(150);
    await pipeline.drop(KEY, fileOf(ids));
    const restores = [jobs.snapshot(), quota.snapshot()];
    const { put } = objects;
    let kept = 0;
    objects.put = async (key, ...rest) => {
      const isWritten = await put.call(objects, key, ...rest);
      if (!key.includes('/calls/')) return isWritten;
      kept = Math.max(kept, 1);
      if (dies) throw new Error('dead');
      return isWritten;
    };
    await (dies ? pipeline.drain() : pipeline.run());
    objects.put = put;
    expect(kept).toBe(1);
    const before = (await answered()).times.length;
    for (const restore of restores) restore();
    await pipeline.run();
    expect(customIds(await pipeline.output(KEY))).toEqual(ids);
    const { times } = await answered();
    const twice = times.filter((count) => count > 1).length;
    // A worker that dies leaves answers behind that it has not kept, of so many calls at most.
    expect(twice).toBeLessThanOrEqual(dies ? Math.max(0, before - 64) : 0);
  });
});

describe('a ladder under a deadline', () => {
  const LADDER = { tiers: ['batch', 'flex', 'standard'], deadline: '2h' };

  it('ends a stalled batch through flex and standard before the deadline, and pays for nothing twice', async () => {
    await start(LADDER, {
      emulator: {
        faults: {
          rules: [
            { match: { batch: 1 }, effect: { kind: 'batch.stuck', state: 'in_progress' } },
            { match: { tier: '^flex$' }, share: 0.7, effect: { kind: 'line.resource_unavailable' } },
          ],
        },
      },
    });
    const ids = idsOf(520);
    await pipeline.drop(KEY, fileOf(ids));
    const droppedAt = pipeline.emulator.clock.now();
    await pipeline.run();
    expect(customIds(await pipeline.output(KEY))).toEqual(ids);
    const receipt = await pipeline.receipt(KEY);
    expect(Date.parse(receipt.timings.completedAt)).toBeLessThan(droppedAt + 2 * HOUR_MS);
    const { times } = await answered();
    expect(times).toHaveLength(520);
    expect(new Set(times)).toEqual(new Set([1]));
    expect(receipt.possiblyBilledTwice).toEqual({});
  });

  describe('with a model that has no flex', () => {
    const rulesOf = (as: 'flex' | 'argument' | 'param') => [
      { match: { batch: 1 }, effect: { kind: 'batch.stuck', state: 'in_progress' } } as const,
      { match: { model: '^gpt-4o' }, effect: { kind: 'line.no_flex', as } } as const,
    ];
    const mixed = (ids: readonly string[]): string =>
      ids.map((id, index) => chatLine(id, index % 2 === 0 ? { model: 'gpt-4o-mini' } : {})).join('\n');

    it.each([
      ['from a stalled batch', '2h', 'flex'],
      ['from the first slice on', '70m', 'flex'],
      ['whatever the refusal says', '70m', 'argument'],
      ['whatever it names', '70m', 'param'],
    ] as const)(
      'goes to standard without a try lost or a request paid twice: %s',
      async (_how, deadline, as) => {
        // One try is all that there is.
        await start({ ...LADDER, deadline, maxTries: 1 }, { emulator: { faults: rulesOf(as) } });
        const ids = idsOf(90);
        await pipeline.drop(KEY, mixed(ids));
        await pipeline.run();
        expect(pipeline.failures).toEqual([]);
        expect(customIds(await pipeline.output(KEY))).toEqual(ids);
        const receipt = await pipeline.receipt(KEY);
        expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
        const { times } = await answered();
        expect(times).toHaveLength(90);
        expect(new Set(times)).toEqual(new Set([1]));
        const paid = (await pipeline.emulator.ledger.all()).filter(({ status }) => status === 200);
        const tiersOf4o = paid.flatMap(({ model, tier }) => (model?.startsWith('gpt-4o') ? [tier] : []));
        expect(tiersOf4o).toContain('default');
        expect(tiersOf4o).not.toContain('flex');
      },
    );

    it('fails as tier_not_offered where flex is the last tier, at once and with what to do', async () => {
      await start({ tiers: ['flex'] }, { emulator: { faults: rulesOf('flex') } });
      const ids = idsOf(90);
      await pipeline.drop(KEY, mixed(ids));
      await pipeline.run();
      expect(pipeline.failures).toEqual([]);
      const receipt = await pipeline.receipt(KEY);
      expect(receipt).toMatchObject({ result: 'partial', errorsByCode: { tier_not_offered: 45 } });
      const errors = await pipeline.errors(KEY);
      expect(errors).toHaveLength(45);
      expect(errors[0]!.error.message).toMatch(/model in flex.*Add "standard"/);
      const calls = (await pipeline.emulator.ledger.all()).filter(({ status }) => status === 400);
      expect(calls).toHaveLength(45);
    });

    it('is remembered for a day: the next file of the model goes past flex without a call to it', async () => {
      await start({ ...LADDER, deadline: '70m' }, { emulator: { faults: rulesOf('flex') } });
      const refusals = async (): Promise<number> =>
        (await pipeline.emulator.ledger.all()).filter(({ status }) => status === 400).length;
      await pipeline.drop(KEY, mixed(idsOf(90)));
      await pipeline.run();
      const first = await refusals();
      expect(first).toBeGreaterThan(0);
      await pipeline.drop('input/b.jsonl', mixed(idsOf(90)));
      await pipeline.run();
      expect(await refusals()).toBe(first);
      expect(await pipeline.receipt('input/b.jsonl')).toMatchObject({ result: 'succeeded' });
      pipeline.emulator.clock.advance(25 * HOUR_MS);
      await pipeline.drop('input/c.jsonl', mixed(idsOf(90)));
      await pipeline.run();
      expect(await refusals()).toBeGreaterThan(first);
    });

    it('is not read out of an error about another parameter, even if it quotes the word', async () => {
      const error = { message: "Invalid value: 'flex'.", param: 'messages[0].role', code: 'invalid_value' };
      const rule = {
        match: { tier: '^flex$' },
        effect: { kind: 'line.status', status: 400, error },
      } as const;
      await start({ ...LADDER, deadline: '70m' }, { emulator: { faults: [rule] } });
      await pipeline.drop(KEY, fileOf(idsOf(3)));
      await pipeline.run();
      expect((await pipeline.receipt(KEY)).errorsByCode).toEqual({ invalid_value: 3 });
    });
  });

  it('stays in batch while batch can meet the deadline', async () => {
    await start({ ...LADDER, deadline: '24h' });
    await pipeline.drop(KEY, fileOf(idsOf(50)));
    await pipeline.run();
    expect((await answered()).tiers).toEqual({ batch: 50 });
  });

  it('begins in flex when there is no time for a batch, and in standard when there is none for flex', async () => {
    await start({ ...LADDER, deadline: '70m' });
    await pipeline.drop(KEY, fileOf(idsOf(20)));
    await pipeline.run();
    expect((await answered()).tiers).toEqual({ flex: 20 });
    await pipeline.stop();
    await start({ ...LADDER, deadline: '10m' });
    await pipeline.drop(KEY, fileOf(idsOf(20)));
    await pipeline.run();
    expect((await answered()).tiers).toEqual({ default: 20 });
  });
});
