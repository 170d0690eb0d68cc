/**
 * Budgets from the drop to the receipt, on the emulator: never a millionth over them, and every one of them booked
 * once.
 */

import { describe, expect, test } from 'vitest';
import { EVENTS } from '../../../src/contract/events.ts';
import type { Route } from '../../../src/contract/route.ts';
import { type Settings, settingsSchema } from '../../../src/contract/settings.ts';
import { fromUsd, toMicrodollars } from '../../../src/core/base/money.ts';
import { dayIn } from '../../../src/core/base/zoned-day.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import type { Job } from '../../../src/core/model/job.ts';
import type { RemoteBatch } from '../../../src/core/ports/provider.ts';
import { dispatch } from '../../../src/core/scheduling/dispatch.ts';
import { dayBudgetLedgerOf, jobBudgetLedgerOf, monthLedgerOf } from '../../../src/core/scheduling/scopes.ts';
import {
  type Interceptor,
  type Pipeline,
  type PipelineOptions,
  startPipeline,
} from '../../support/pipeline.ts';
import { expectListedEvents, telemetryTo } from '../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';

function settingsOf(route: Partial<Route>): Settings {
  return settingsSchema.parse({
    routes: [{ name: 'nightly', prefix: 'input/', tiers: ['batch'], budget: 'unlimited', ...route }],
  });
}

/** Some 11 input and 16 output tokens: of gpt-5.4-mini in batch, 40 millionths of a USD at the most. */
function line(id: string, model = 'gpt-5.4-mini'): string {
  const body = {
    model,
    max_completion_tokens: 16,
    messages: [{ role: 'user', content: `question of ${id}` }],
  };
  return JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/chat/completions', body });
}
const lines = (count: number, model?: string): string =>
  Array.from({ length: count }, (_, index) => line(`r${String(index).padStart(3, '0')}`, model)).join('\n');

async function jobOf(p: Pipeline, key = KEY): Promise<Job> {
  const found = [];
  for await (const item of p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY))
    if (item.kind === 'job') found.push(await p.deps.jobs.getJob(item.jobId));
  return found.find((job) => job?.input.key === key)!;
}

/** Looks at every ledger of money after each call that may change one: none is ever over what it may hold. */
function watch(limit: { most: number }): { intercept: Interceptor; of(p: Pipeline): void } {
  let quota: Pipeline['deps']['quota'] | undefined;
  const names = new Set<string>();
  return {
    of(p) {
      quota = p.deps.quota;
      const admit = quota.admit.bind(quota);
      quota.admit = async (batch, id, demands, now) => {
        for (const { ledger } of demands) if (ledger.startsWith('budget/')) names.add(ledger);
        return admit(batch, id, demands, now);
      };
    },
    async intercept(call, effect) {
      const result = await effect();
      if (!call.startsWith('quota.')) return result;
      for (const name of names) {
        const { reserved, used } = (await quota!.getLedger(name)) ?? { reserved: 0, used: 0 };
        expect(reserved + used, name).toBeLessThanOrEqual(limit.most);
      }
      return result;
    },
  };
}

async function start(route: Partial<Route>, options: PipelineOptions = {}, most = Number.POSITIVE_INFINITY) {
  const settings = settingsOf(route);
  const limit = { most };
  const watched = watch(limit);
  const p = await startPipeline({
    settings,
    limits: { requests: 10 },
    intercept: watched.intercept,
    ...options,
  });
  watched.of(p);
  return { p, settings, limit };
}

const bookedOf = ({ cost }: { cost: { usd: string; possibleUsd: string } }): number =>
  Number(fromUsd(cost.usd)! + fromUsd(cost.possibleUsd)!) / 1_000_000;

/** Each batch is rounded up once. */
async function expectBooked(p: Pipeline, name: string, key = KEY): Promise<void> {
  const receipt = await p.receipt(key);
  const booked = receipt.batches.reduce((sum, { usd }) => sum + toMicrodollars(fromUsd(usd)!), 0);
  expect(await p.deps.quota.getLedger(name)).toMatchObject({ reserved: 0, used: booked });
  expect(booked).toBeGreaterThanOrEqual(bookedOf(receipt));
  expect(booked - bookedOf(receipt)).toBeLessThan(receipt.batches.length);
}

describe('a job with a budget', () => {
  test('that has room for it runs to its end, and its cost is on its row, its ledgers and its receipt', async () => {
    const { p } = await start({ budget: { perJobUsd: '1', perDayUsd: '2' } }, {}, 2_000_000);
    try {
      await p.drop(KEY, lines(25));
      const { jobId, createdAt } = await jobOf(p);
      await p.run();
      const receipt = await p.receipt(KEY);
      expect(receipt).toMatchObject({
        result: 'succeeded',
        tiers: { batch: { succeeded: 25, failed: 0, retried: 0 } },
        cost: { possibleUsd: '0', unpriced: 0, usageDiffers: 0, byTier: { batch: { results: 25 } } },
      });
      const { usd, standardUsd, savedUsd } = receipt.cost;
      expect(fromUsd(standardUsd)).toBe(2n * fromUsd(usd)!);
      expect(savedUsd).toBe(usd);
      expect(fromUsd(usd)!).toBeGreaterThan(0n);
      expect((await p.deps.jobs.getJob(jobId))?.cost).toEqual({ usd, possibleUsd: '0' });
      for (const name of [
        jobBudgetLedgerOf(jobId),
        dayBudgetLedgerOf('nightly', createdAt),
        monthLedgerOf(createdAt),
      ])
        await expectBooked(p, name);
      expect(await Array.fromAsync(p.deps.quota.listReservations())).toEqual([]);
    } finally {
      await p.stop();
    }
  });

  test('stops before the millionth that would break it, keeps what it has, and continues once the budget is raised', async () => {
    const { p, settings, limit } = await start({ budget: { perJobUsd: '0.0012' } }, {}, 1_200);
    try {
      await p.drop(KEY, lines(60));
      const { jobId } = await jobOf(p);
      await p.run(4 * 24);
      const batches = await p.deps.jobs.listBatches(jobId);
      const waiting = batches.filter(({ state }) => state !== 'collected');
      expect(waiting.length).toBeGreaterThan(0);
      for (const batch of waiting)
        expect(batch).toMatchObject({ state: 'planned', hold: { reason: 'budget_exhausted' } });
      const done = (await p.emulator.ledger.all()).length;
      // Nine tenths of the budget are used, of which a request takes some 3 %.
      const { used, reserved } = (await p.deps.quota.getLedger(jobBudgetLedgerOf(jobId)))!;
      expect([reserved, used > 1_080, done < 60]).toEqual([0, true, true]);

      settings.routes[0]!.budget = { perJobUsd: '1' };
      limit.most = 1_000_000;
      await p.run();
      expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', counts: { succeeded: 60 } });
      expect(await p.emulator.ledger.all()).toHaveLength(60);
      await expectBooked(p, jobBudgetLedgerOf(jobId));
    } finally {
      await p.stop();
    }
  });

  test('fails what is left, if its route says so, and gives the rest', async () => {
    const { p } = await start({ budget: { perJobUsd: '0.0012' }, overBudget: 'refuse' }, {}, 1_200);
    try {
      await p.drop(KEY, lines(60));
      const { jobId } = await jobOf(p);
      await p.run(10 * 24);
      const { result, counts, errorsByCode } = await p.receipt(KEY);
      expect(result).toBe('partial');
      expect(errorsByCode).toEqual({ budget_exceeded: counts.failed });
      expect(counts.succeeded).toBeGreaterThan(20);
      expect((await p.emulator.ledger.all()).length).toBe(counts.succeeded);
      const [error] = await p.errors(KEY);
      expect(error).toMatchObject({ custom_id: expect.any(String), tries: 0 });
      expect(error.error.message).toContain('0.0012 USD a job');
      await expectBooked(p, jobBudgetLedgerOf(jobId));
    } finally {
      await p.stop();
    }
  });

  test('of a day waits for the next one, and two jobs share it', async () => {
    const { p } = await start({ budget: { perDayUsd: '0.0012' } }, {}, 1_200);
    const other = 'input/b.jsonl';
    try {
      await p.drop(KEY, lines(30));
      await p.drop(other, lines(30));
      await p.run(10 * 24);
      for (const key of [KEY, other])
        expect(await p.receipt(key)).toMatchObject({ result: 'succeeded', counts: { succeeded: 30 } });
      const [one, two] = [await p.receipt(KEY), await p.receipt(other)];
      const days = [...one.batches, ...two.batches].flatMap(
        ({ submittedAt }) => submittedAt?.slice(0, 10) ?? [],
      );
      expect(new Set(days).size).toBeGreaterThan(1);
      let used = 0;
      for (const day of new Set(days)) {
        const ledger = await p.deps.quota.getLedger(dayBudgetLedgerOf('nightly', Date.parse(day)));
        expect(ledger!.reserved).toBe(0);
        used += ledger!.used;
      }
      expect(used).toBeGreaterThanOrEqual(bookedOf(one) + bookedOf(two));
    } finally {
      await p.stop();
    }
  });

  test('of a day in a time zone waits for midnight there, and its receipt says which zone that is', async () => {
    const budget = { perDayUsd: '0.0012', timeZone: 'Asia/Tokyo' };
    const { p } = await start({ budget }, {}, 1_200);
    try {
      await p.drop(KEY, lines(60));
      await p.run(10 * 24);
      const receipt = await p.receipt(KEY);
      expect(receipt).toMatchObject({ result: 'succeeded', counts: { succeeded: 60 }, terms: { budget } });
      const times = receipt.batches.flatMap(({ submittedAt }) =>
        submittedAt === undefined ? [] : [Date.parse(submittedAt)],
      );
      const days = new Set(times.map((time) => dayIn('Asia/Tokyo', time)));
      expect(days.size).toBeGreaterThan(1);
      for (const day of days) {
        const ledger = await p.deps.quota.getLedger(`budget/day/nightly/${day}`);
        expect(ledger!.reserved).toBe(0);
        expect(ledger!.used).toBeGreaterThan(0);
        // The first of the day goes with the poll after midnight in Tokyo, which is 15:00 UTC.
        const first = Math.min(...times.filter((time) => dayIn('Asia/Tokyo', time) === day));
        if (first !== Math.min(...times)) expect(new Date(first).toISOString()).toMatch(/T15:0\d:/);
      }
    } finally {
      await p.stop();
    }
  });

  test('runs nothing that has no price, unless its route lets that count as nothing', async () => {
    for (const allowUnpriced of [false, true]) {
      const { p } = await start({ budget: { perJobUsd: '1' }, allowUnpriced }, {}, 1_000_000);
      try {
        await p.drop(KEY, `${lines(2)}\n${line('x', 'gpt-5-search-api')}`);
        await p.run();
        const { counts, errorsByCode, cost } = await p.receipt(KEY);
        expect([counts.succeeded, errorsByCode, cost.unpriced]).toEqual(
          allowUnpriced ? [3, {}, 1] : [2, { unpriced_model: 1 }, 0],
        );
      } finally {
        await p.stop();
      }
    }
  });

  test('that is cancelled while its batches are being cut ends as cancelled', async () => {
    const { p } = await start({ budget: { perJobUsd: '0.00036' } }, {}, 360);
    try {
      await p.drop(KEY, lines(10));
      const { jobId } = await jobOf(p);
      expect((await p.deps.jobs.listBatches(jobId))[0]).toMatchObject({ recut: { microdollars: 90 } });
      await cancelJob(p.deps, jobId);
      await p.run();
      expect((await p.receipt(KEY)).errorsByCode).toEqual({ cancelled: 10 });
    } finally {
      await p.stop();
    }
  });
});

test('tokens that OpenAI reports for a batch and that its lines do not have are reported, and change no sum', async () => {
  const warnings: string[] = [];
  for (const more of [0, 1]) {
    const p = await startPipeline({
      settings: settingsOf({}),
      async intercept(call, effect) {
        const result = await effect();
        if (call !== 'batches.listBatches') return result;
        for (const { usage } of (result as { batches: RemoteBatch[] }).batches)
          if (usage !== undefined) usage.inputTokens += more;
        return result;
      },
      telemetry: telemetryTo(({ name }) => {
        if (EVENTS[name].level === 'warn') warnings.push(name);
      }),
    });
    try {
      await p.drop(KEY, lines(3));
      await p.run();
      const { cost, usage } = await p.receipt(KEY);
      expect(cost.usageDiffers).toBe(more);
      expect(cost.byTier.batch?.usage).toEqual(usage);
    } finally {
      await p.stop();
    }
  }
  expect(warnings).toEqual(['usage.mismatched']);
});

describe('money and accidents', () => {
  test('two dispatchers at once never go over the last cent', async () => {
    const { p } = await start({ budget: { perDayUsd: '0.00106' } }, {}, 1_060);
    try {
      const hold = await p.deps.jobs.acquireLease('dispatch', 0, Number.MAX_SAFE_INTEGER);
      for (const name of ['a', 'b', 'c']) await p.drop(`input/${name}.jsonl`, lines(10));
      await p.deps.jobs.releaseLease('dispatch', hold!);
      // As if each held the lease.
      const jobs = new Proxy(p.deps.jobs, {
        get(target, property) {
          if (property === 'acquireLease') return async () => 1;
          if (property === 'releaseLease') return async () => {};
          return (Reflect.get(target, property) as () => unknown).bind(target);
        },
      });
      await Promise.all([1, 2, 3, 4].map(() => dispatch({ ...p.deps, jobs })));
      const day = await p.deps.quota.getLedger(dayBudgetLedgerOf('nightly', p.deps.ambient.now()));
      // Two of the three, each with some 465.
      expect(day).toMatchObject({ used: 0, reserved: expect.closeTo(930, -1) });
      expect(await Array.fromAsync(p.deps.quota.listReservations())).toHaveLength(2);
    } finally {
      await p.stop();
    }
  });

  class KilledError extends Error {}

  /** One killed call, and what came of it. */
  async function runKilled(at: number, when: 'before' | 'after', redeliver: boolean) {
    let isDead = false;
    const calls: string[] = [];
    const watched = watch({ most: 1_440 });
    const intercept: Interceptor = async (call, effect) => {
      if (isDead) throw new KilledError(call);
      const isOfMoney = call.startsWith('quota.') || call === 'jobs.moveBatch';
      if (isOfMoney) calls.push(call);
      if (!isOfMoney || calls.length - 1 !== at) return watched.intercept(call, effect);
      if (when === 'after') await watched.intercept(call, effect);
      isDead = true;
      throw new KilledError(call);
    };
    const p = await startPipeline({
      settings: settingsOf({ budget: { perJobUsd: '0.00144' } }),
      limits: { requests: 6 },
      intercept,
      redeliver,
      onInvocation: () => {
        isDead = false;
      },
      emulator: {
        faults: [
          { match: { custom_id: '^r001$' }, times: 1, effect: { kind: 'line.status', status: 500 } },
          { match: { custom_id: '^r002$' }, times: 1, effect: { kind: 'line.status', status: 0 } },
        ],
      },
    });
    watched.of(p);
    try {
      await p.deps.objects.put(KEY, Buffer.from(lines(18)));
      for (let handled = false; !handled; ) {
        isDead = false;
        handled = await p.notify(KEY).then(
          () => true,
          () => false,
        );
      }
      const { jobId } = await jobOf(p);
      await p.run(8 * 24);
      const receipt = await p.receipt(KEY);
      const ledger = await p.deps.quota.getLedger(jobBudgetLedgerOf(jobId));
      const executed = await p.emulator.ledger.all();
      return {
        calls,
        result: receipt.result,
        executions: executed.length,
        reserved: ledger?.reserved,
        isBooked:
          ledger!.used >= bookedOf(receipt) && ledger!.used < bookedOf(receipt) + receipt.batches.length,
        held: await Array.fromAsync(p.deps.quota.listReservations()),
      };
    } finally {
      await p.stop();
    }
  }

  for (const [when, redeliver] of [
    ['before', true],
    ['after', false],
  ] as const) {
    test(`a process killed ${when} any write of money books everything once, and holds nothing in the end`, {
      timeout: 400_000,
    }, async () => {
      const { calls, ...calm } = await runKilled(-1, when, redeliver);
      expect(calm).toEqual({ result: 'succeeded', executions: 20, reserved: 0, isBooked: true, held: [] });
      for (const [at, call] of calls.entries()) {
        const { calls: _, ...result } = await runKilled(at, when, redeliver);
        expect(result, `killed ${when} call ${at}, ${call}`).toEqual(calm);
      }
    });
  }
});
