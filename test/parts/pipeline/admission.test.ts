/**
 * Admission as a whole: against a service that has a limit and says it only when it refuses, against another
 * dispatcher, and against what crashes leave.
 */

import { describe, expect, test } from 'vitest';
import { type Settings, settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import type { BatchRecord, BatchState } from '../../../src/core/model/batch.ts';
import { Prices } from '../../../src/core/pricing/prices.ts';
import { type DispatchDeps, dispatch } from '../../../src/core/scheduling/dispatch.ts';
import { healReservations } from '../../../src/core/scheduling/heal-reservations.ts';
import { tokensLedgerOf } from '../../../src/core/scheduling/scopes.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { OPENAI_PRICES } from '../../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../../src/providers/openai/rules.ts';
import { MemoryJobs } from '../../support/memory/jobs.ts';
import { MemoryOutbox } from '../../support/memory/outbox.ts';
import { MemoryPauses } from '../../support/memory/pauses.ts';
import { MemoryQuota } from '../../support/memory/quota.ts';
import { MemoryShutdowns } from '../../support/memory/shutdowns.ts';
import { MemorySuspensions } from '../../support/memory/suspensions.ts';
import { chatLine, type Pipeline } from '../../support/pipeline.ts';
import { batchOf, batchWrite } from '../../support/records.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { noTelemetry, type SeenEvent, telemetryTo } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

describe('with a limit of enqueued tokens at OpenAI', () => {
  const MODEL = 'gpt-6-luna';
  const LEDGER = tokensLedgerOf({ model: MODEL });
  /** Batches of two requests; one of them has about 70 tokens by either count. */
  async function start(enqueuedTokens: number, settings?: Settings): Promise<Pipeline> {
    return startTestPipeline({
      limits: { requests: 2 },
      emulator: { limits: { enqueuedTokens } },
      ...(settings === undefined ? {} : { settings }),
    });
  }
  const content = 'word '.repeat(50);
  const fileOf = (name: string, lines: number): string =>
    Array.from({ length: lines }, (_, index) => chatLine(`${name}${index}`, { model: MODEL, content })).join(
      '\n',
    );
  async function refusalsOf(p: Pipeline): Promise<number> {
    const batches = await Array.fromAsync(p.client.batches.list());
    return batches.filter(({ errors }) => errors?.data?.[0]?.code === 'token_limit_exceeded').length;
  }

  test('a batch that was first seen while it ran, because the answer to its create was lost, counts as accepted', async () => {
    const p = await startTestPipeline({
      emulator: {
        faults: [
          {
            match: { route: 'POST /v1/batches' },
            times: 1,
            effect: { kind: 'http.reset', when: 'after' },
          },
          { effect: { kind: 'batch.duration', seconds: 10 * 60 * 60 } },
        ],
      },
    });
    const now = p.emulator.clock.now();
    await p.deps.quota.changeLedger(LEDGER, () => ({ ceiling: 1 }), now);
    // The first goes because it is alone; the second is sent to see whether there is room for it.
    await p.drop('input/a.jsonl', fileOf('a', 1));
    await p.drop('input/b.jsonl', fileOf('b', 1));
    await p.run(1);
    expect((await Array.fromAsync(p.client.batches.list())).length).toBe(2);
    const ledger = await p.deps.quota.getLedger(LEDGER);
    expect(ledger?.unjudged).toBeUndefined();
    expect(ledger?.ceiling).toBe(ledger?.reserved);
  });

  test('several files get through a queue that holds three batches, few are refused, and nothing is bought twice', async () => {
    const p = await start(500);
    const names = ['a', 'b', 'c'];
    for (const name of names) await p.drop(`input/${name}.jsonl`, fileOf(name, 16));
    await p.run(200);
    for (const name of names) {
      expect(await p.receipt(`input/${name}.jsonl`)).toMatchObject({
        result: 'succeeded',
        counts: { succeeded: 16 },
      });
    }
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
    expect(await p.deps.quota.getLedger(LEDGER)).toMatchObject({ limit: 500, reserved: 0 });
    expect(await Array.fromAsync(p.deps.quota.listReservations())).toEqual([]);
    // 24 batches; what was sent before the limit was known, and little more.
    expect(await refusalsOf(p)).toBeLessThan(30);
  });

  test('once the limit is known, nothing that is sent is refused', async () => {
    const p = await start(500);
    await p.drop('input/a.jsonl', fileOf('a', 12));
    await p.run(200);
    const before = await refusalsOf(p);
    await p.drop('input/b.jsonl', fileOf('b', 24));
    await p.run(200);
    expect(await p.receipt('input/b.jsonl')).toMatchObject({ result: 'succeeded' });
    expect(await refusalsOf(p)).toBe(before);
  });

  test('a limit of our own keeps everything below it from the first batch on', async () => {
    const settings = settingsSchema.parse({
      routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }],
      quota: { enqueuedTokens: { [MODEL]: 400 } },
    });
    const p = await start(500, settings);
    await p.drop('input/a.jsonl', fileOf('a', 20));
    await p.run(200);
    expect(await p.receipt('input/a.jsonl')).toMatchObject({ result: 'succeeded' });
    expect(await refusalsOf(p)).toBe(0);
  });

  test('a new stack sends two batches of its first file at once, though each has more tokens than any limit that was published', async () => {
    const p = await start(15_000_000_000);
    p.deps.tokenizerOf = async () => (text: string) => text.length * 100_000;
    await p.drop('input/a.jsonl', fileOf('a', 8));
    await p.drain();
    const ledger = (await p.deps.quota.getLedger(LEDGER))!;
    expect(await Array.fromAsync(p.client.batches.list())).toHaveLength(2);
    expect(Object.keys(ledger.unjudged!)).toHaveLength(2);
    await p.run(200);
    expect(await p.receipt('input/a.jsonl')).toMatchObject({ result: 'succeeded' });
    expect(await p.deps.quota.getLedger(LEDGER)).not.toHaveProperty('unjudged');
  });

  test('a request above the limit fails alone, with what it has and what the limit is', async () => {
    const p = await start(300);
    const large = chatLine('large', { model: MODEL, content: 'word '.repeat(2_000) });
    await p.drop('input/a.jsonl', [fileOf('a', 3), large, fileOf('b', 3)].join('\n'));
    await p.run(200);
    expect(await p.receipt('input/a.jsonl')).toMatchObject({ counts: { succeeded: 6, failed: 1 } });
    const [error] = await p.errors('input/a.jsonl');
    expect(error).toMatchObject({ custom_id: 'large', error: { code: 'exceeds_enqueued_limit' } });
    expect(error.error.message).toContain('300');
  });
});

const NOW = 1_790_000_000_000;
const LIMIT = 1_000;
const LEDGER = tokensLedgerOf(batchOf('x'));

function stackWith(batches: readonly BatchRecord[]) {
  const clock = { now: NOW };
  let nonces = 0;
  const jobs = new MemoryJobs();
  const deps = {
    settings: settingsSchema.parse({
      routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }],
      quota: { enqueuedTokens: { [batchOf('x').model]: LIMIT } },
    }),
    rules: OPENAI_RULES,
    prices: new Prices(OPENAI_PRICES),
    jobs,
    quota: new MemoryQuota(jobs),
    suspensions: new MemorySuspensions(),
    pauses: new MemoryPauses(),
    shutdowns: new MemoryShutdowns(),
    outbox: new MemoryOutbox(),
    ambient: { now: () => clock.now, nonce: () => `nonce-${nonces++}` },
    telemetry: noTelemetry,
  } satisfies DispatchDeps;
  return {
    deps,
    clock,
    fill: async () => {
      for (const batch of batches) await jobs.createBatch(batch);
    },
    reserved: async () => (await deps.quota.getLedger(LEDGER))?.reserved ?? 0,
    held: () => Array.fromAsync(deps.quota.listReservations()),
  };
}

type Method = (...parameters: unknown[]) => unknown;

/** The same ports; `before` is awaited before every call of them. */
function pausing(deps: DispatchDeps, before: () => Promise<void>): DispatchDeps {
  const paused = <Port extends object>(port: Port): Port =>
    new Proxy(port, {
      get(target, property) {
        const method = Reflect.get(target, property) as Method;
        if (typeof method !== 'function') return method;
        if (String(property).startsWith('list')) {
          return async function* (...parameters: unknown[]) {
            await before();
            yield* method.apply(target, parameters) as AsyncIterable<unknown>;
          };
        }
        return async (...parameters: unknown[]) => {
          await before();
          return method.apply(target, parameters);
        };
      },
    });
  return {
    ...deps,
    jobs: paused(deps.jobs),
    quota: paused(deps.quota),
    suspensions: paused(deps.suspensions),
    outbox: paused(deps.outbox),
  };
}

test('a dispatcher that wakes at any call, after another has done all of its work, admits nothing twice and nothing too much', async () => {
  const batches = Array.from({ length: 8 }, (_, index) => batchOf(`job${index % 3}`, index, { tokens: 300 }));
  for (let sleepsAt = 1; ; sleepsAt++) {
    const { deps, clock, fill, reserved, held } = stackWith(batches);
    await fill();
    let calls = 0;
    const slow = pausing(deps, async () => {
      if (++calls !== sleepsAt) return;
      // Its lease runs out while it sleeps.
      clock.now += 3 * MINUTE_MS;
      await dispatch(deps);
    });
    await dispatch(slow);
    if (calls < sleepsAt) break;
    const reservations = await held();
    expect(
      reservations.map(({ amounts }) => amounts[0]!.amount),
      `at call ${sleepsAt}`,
    ).toEqual([300, 300, 300]);
    expect(await reserved()).toBe(900);
    const admitted: string[] = [];
    for (const { jobId, batchId } of batches) {
      const { state, admission } = (await deps.jobs.getBatch(jobId, batchId))!;
      if (state !== 'admitted') continue;
      admitted.push(batchId);
      expect(reservations.some(({ reservationId }) => reservationId === admission!.reservation)).toBe(true);
    }
    expect(admitted).toHaveLength(3);
    const told = deps.outbox.messages.map(({ message }) => ('batchId' in message ? message.batchId : ''));
    expect(told.sort()).toEqual(admitted.sort());
    expect(sleepsAt).toBeLessThan(100);
  }
});

test('each dispatch records how many wait, for what, and how long the oldest has', async () => {
  const since = { tokens: 600, jobCreatedAt: NOW - 3 * HOUR_MS };
  const stack = stackWith([batchOf('job', 0, since), batchOf('job', 1, since)]);
  await stack.fill();
  const seen: SeenEvent[] = [];
  const deps = { ...stack.deps, telemetry: telemetryTo((event) => seen.push(event)) };
  for (const expected of [
    { waiting: 2, admitted: 1, oldestWaitingMs: 3 * HOUR_MS },
    { waiting: 1, admitted: 0, oldestWaitingMs: 4 * HOUR_MS },
  ]) {
    await dispatch(deps);
    const waitingFor = { tokens: 1 };
    expect(seen.at(-1)).toEqual({
      name: 'dispatch.completed',
      fields: expect.objectContaining({ ...expected, waitingFor }),
    });
    stack.clock.now += HOUR_MS;
  }
});

test('two dispatchers that take turns call by call stay within the limit together', async () => {
  const batches = Array.from({ length: 8 }, (_, index) => batchOf(`job${index}`, 0, { tokens: 150 }));
  for (let seed = 0; seed < 40; seed++) {
    const { deps, clock, fill, reserved, held } = stackWith(batches);
    await fill();
    const waiting: (() => void)[] = [];
    const before = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
    let running = 2;
    // The second begins when the lease of the first has just run out.
    const both = [dispatch(pausing(deps, before)), dispatch(pausing(deps, before))].map((one) =>
      one.finally(() => {
        running -= 1;
      }),
    );
    for (let turn = 0; running > 0; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (turn === 1) clock.now += 3 * MINUTE_MS;
      // A fixed pattern for each seed.
      waiting.splice((turn * (seed + 1)) % Math.max(1, waiting.length), 1)[0]?.();
    }
    await Promise.all(both);
    const sum = (await held()).reduce((total, { amounts }) => total + amounts[0]!.amount, 0);
    expect(await reserved()).toBe(sum);
    expect(sum).toBeLessThanOrEqual(LIMIT);
    // What was left out by both comes next.
    await dispatch(deps);
    expect(await reserved()).toBe(900);
  }
});

describe('what is reserved for a batch that is not on its way', () => {
  const batch = batchOf('job', 0, { tokens: 300 });
  async function admitted() {
    const stack = stackWith([batch]);
    await stack.fill();
    await dispatch(stack.deps);
    expect(await stack.reserved()).toBe(300);
    return stack;
  }
  const move = async (stack: Awaited<ReturnType<typeof admitted>>, changes: Partial<BatchRecord>) => {
    const { deps, clock } = stack;
    const { state } = (await deps.jobs.getBatch(batch.jobId, batch.batchId))!;
    await deps.jobs.moveBatch(batch, batchWrite(state, changes), clock.now);
  };

  test.each<[BatchState, Partial<BatchRecord>]>([
    ['planned', { state: 'planned' }],
    ['ended', { state: 'ended' }],
    ['collected', { state: 'collected' }],
    ['uploaded', { state: 'uploaded', admission: { reservation: 'of another attempt' } }],
  ])('is given back by the next hourly look (%s)', async (_state, changes) => {
    const stack = await admitted();
    await move(stack, changes);
    await healReservations(stack.deps);
    expect(await stack.reserved()).toBe(0);
    // What its results cost is settled when they are collected; its tokens are free.
    const held = (await stack.held()).flatMap(({ amounts }) => amounts.map(({ ledger }) => ledger));
    expect(held).not.toContain(LEDGER);
    // Once: what was given back is nobody's any more.
    stack.clock.now += 2 * HOUR_MS;
    await healReservations(stack.deps);
    expect(await stack.reserved()).toBe(0);
  });

  test.each<BatchState>(['admitted', 'uploaded', 'submitting', 'submitted'])(
    'stays while it is (%s)',
    async (state) => {
      const stack = await admitted();
      if (state !== 'admitted') await move(stack, { state });
      await healReservations(stack.deps);
      expect(await stack.reserved()).toBe(300);
    },
  );

  test('is looked at once an hour by all workers together', async () => {
    const stack = await admitted();
    await healReservations(stack.deps);
    await move(stack, { state: 'ended' });
    stack.clock.now += HOUR_MS - 1;
    await healReservations(stack.deps);
    expect(await stack.reserved()).toBe(300);
    stack.clock.now += 1;
    await healReservations(stack.deps);
    expect(await stack.reserved()).toBe(0);
  });

  test('does not keep others waiting: the poll gives it back and admits them in one run', async () => {
    const p = await startTestPipeline({
      settings: settingsSchema.parse({
        routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }],
        quota: { enqueuedTokens: { 'gpt-6-luna': 100 } },
      }),
    });
    const gone = batchOf('gone', 0, { tokens: 100, model: 'gpt-6-luna' });
    await p.deps.jobs.createBatch(gone);
    const demand = { ledger: tokensLedgerOf(gone), amount: 100, limit: 100 };
    expect(await p.deps.quota.admit(gone, 'left', [demand], p.emulator.clock.now())).toBe('admitted');
    await p.deps.jobs.moveBatch(gone, batchWrite('admitted', { state: 'collected' }), p.emulator.clock.now());
    await p.drop('input/a.jsonl', chatLine('a'));
    expect(await Array.fromAsync(p.deps.jobs.listWaiting())).toHaveLength(1);
    await poll(p.deps);
    expect(await Array.fromAsync(p.deps.jobs.listWaiting())).toEqual([]);
  });
});
