/**
 * Workers that see the clock late: what an account without free concurrency keeps the poll from doing, they do first.
 */

import { expect, test } from 'vitest';
import { EVENTS } from '../../../../../src/contract/events.ts';
import { defaultSettings } from '../../../../../src/contract/settings.ts';
import { MINUTE_MS } from '../../../../../src/contract/time.ts';
import { LateSweep } from '../../../../../src/core/steps/poll/late-sweep.ts';
import { POLL_LEASE } from '../../../../../src/core/steps/poll/sweep.ts';
import { COMMON_RULES } from '../../../../../src/providers/openai/common-rules.ts';
import { MemoryJobs } from '../../../../support/memory/jobs.ts';
import { MemoryOutbox } from '../../../../support/memory/outbox.ts';
import { MemoryPauses } from '../../../../support/memory/pauses.ts';
import { MemoryQuota } from '../../../../support/memory/quota.ts';
import { batchOf } from '../../../../support/records.ts';
import { expectListedEvents, telemetryTo } from '../../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const START = 1_790_000_000_000;
const INTERVAL_MS = 5 * MINUTE_MS;

/** Batches whose messages were lost, a poll that ran last at {@link START}, and workers that look at the clock. */
async function start({ batches = 1, remainingMs = 15 * MINUTE_MS, hasPolled = true } = {}) {
  let now = START;
  const jobs = new MemoryJobs();
  for (let index = 0; index < batches; index += 1) {
    const ended = { state: 'ended', status: 'completed', createdAt: START, updatedAt: START } as const;
    await jobs.createBatch(batchOf('job', index, ended));
  }
  const outbox = new MemoryOutbox();
  let reads = 0;
  const looked: string[] = [];
  const deps = {
    settings: defaultSettings(),
    jobs: Object.assign(jobs, {
      leaseTakenAt: async (name: string) => {
        reads += 1;
        return MemoryJobs.prototype.leaseTakenAt.call(jobs, name);
      },
    }),
    quota: new MemoryQuota(jobs),
    pauses: new MemoryPauses(),
    rules: COMMON_RULES,
    outbox,
    ambient: { now: () => now },
    deadline: { remainingMs: () => remainingMs },
    telemetry: telemetryTo(({ name }) => {
      if (EVENTS[name].level === 'warn') looked.push(name);
    }),
  };
  if (hasPolled) await jobs.acquireLease(POLL_LEASE, START, START + MINUTE_MS);
  return {
    deps,
    jobs,
    worker: () => new LateSweep(INTERVAL_MS),
    at: (minutes: number) => {
      now = START + minutes * MINUTE_MS;
    },
    warnings: looked,
    reads: () => reads,
    /** Messages sent since the last call. */
    sent: () => outbox.messages.splice(0).length,
  };
}

test('a worker sweeps first once the poll has not run for more than two intervals, and not before', async () => {
  const { deps, worker, at, sent, warnings } = await start();
  at(10);
  await worker().run(deps);
  expect(sent()).toBe(0);
  at(10.1);
  await worker().run(deps);
  expect(sent()).toBe(1);
  expect(warnings).toEqual(['poll.delayed']);
});

test('a poll that has never run is late, too', async () => {
  const { deps, worker, at, sent } = await start({ hasPolled: false });
  at(3);
  await worker().run(deps);
  expect(sent()).toBe(1);
});

test('of all workers one sweeps in each interval', async () => {
  const { deps, worker, at, warnings } = await start();
  at(20);
  for (let index = 0; index < 10; index += 1) await worker().run(deps);
  expect(warnings).toHaveLength(1);
  at(25);
  await worker().run(deps);
  expect(warnings).toHaveLength(2);
});

test('a process looks at the clock once in a minute, with one read', async () => {
  const { deps, worker, at, reads } = await start();
  const one = worker();
  for (let second = 0; second < 180; second += 1) {
    at(second / 60);
    await one.run(deps);
  }
  expect(reads()).toBe(3);
});

test('a late sweep is bounded; what it leaves is swept next time', async () => {
  const { deps, worker, at, sent } = await start({ batches: 130 });
  at(20);
  await worker().run(deps);
  expect(sent()).toBe(100);
  at(25);
  await worker().run(deps);
  expect(sent()).toBeGreaterThanOrEqual(30);
});

test('a worker that has little time left does its own step only', async () => {
  const { deps, worker, at, reads } = await start({ remainingMs: 4 * MINUTE_MS });
  at(20);
  await worker().run(deps);
  expect(reads()).toBe(0);
});

test('what fails in a late sweep does not keep the worker from its own step', async () => {
  const { deps, jobs, worker, at, warnings } = await start();
  at(20);
  Object.assign(jobs, {
    leaseTakenAt: async () => {
      throw new Error('the table is busy');
    },
  });
  await worker().run(deps);
  expect(warnings).toEqual(['sweep.failed']);
});
