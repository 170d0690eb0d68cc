/**
 * A dispatch of what was just recorded costs as much with many others as alone, and lets nobody overtake what waits.
 */

import { expect, test } from 'vitest';
import { settingsSchema } from '../../../../src/contract/settings.ts';
import { MINUTE_MS } from '../../../../src/contract/time.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import { Prices } from '../../../../src/core/pricing/prices.ts';
import { type DispatchDeps, dispatch } from '../../../../src/core/scheduling/dispatch.ts';
import { budgetsOf, createTurnsOf, tokensLedgerOf } from '../../../../src/core/scheduling/scopes.ts';
import { OPENAI_PRICES } from '../../../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';
import { MemoryJobs } from '../../../support/memory/jobs.ts';
import { MemoryOutbox } from '../../../support/memory/outbox.ts';
import { MemoryPauses } from '../../../support/memory/pauses.ts';
import { MemoryQuota } from '../../../support/memory/quota.ts';
import { MemoryShutdowns } from '../../../support/memory/shutdowns.ts';
import { MemorySuspensions } from '../../../support/memory/suspensions.ts';
import { batchOf } from '../../../support/records.ts';
import { BATCH_ONLY } from '../../../support/routes.ts';
import { expectListedEvents, noTelemetry } from '../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const NOW = 1_790_000_000_000;
const LEDGER = tokensLedgerOf(batchOf('x'));

/** @param options.room the limit of enqueued tokens; a batch has 100. */
function stackWith(options: { room?: number; createsPerHour?: number; budget?: object } = {}) {
  const { room = 1_000, createsPerHour = 2_000, budget = {} } = options;
  const clock = { now: NOW };
  let nonces = 0;
  const jobs = new MemoryJobs();
  const deps = {
    settings: settingsSchema.parse({
      routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/', ...budget }],
      quota: { enqueuedTokens: { [batchOf('x').model]: room, 'gpt-5.4-mini': 1_500 }, createsPerHour },
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
  const submitted = () =>
    deps.outbox.messages
      .splice(0)
      .filter(({ queue }) => queue === 'submit')
      .map(({ message }) => ('batchId' in message ? message.jobId : ''))
      .sort();
  /** Records a batch of a job, and dispatches it as ingest does. */
  const arrive = async (jobId: string, changes: Partial<BatchRecord> = {}) => {
    const batch = batchOf(jobId, 0, { tokens: 100, jobCreatedAt: clock.now, ...changes });
    await jobs.createBatch(batch);
    await dispatch(deps, [batch]);
    return submitted();
  };
  const end = async (jobId: string) => {
    const { admission } = (await jobs.getBatch(jobId, batchOf(jobId).batchId))!;
    await deps.quota.settle(admission!.reservation, clock.now);
  };
  return { deps, clock, arrive, end, submitted };
}

test('a new job goes at once where nothing waits, without a look at the others', async () => {
  const { deps, arrive } = stackWith();
  deps.jobs.listWaiting = () => {
    throw new Error('looked at all that waits');
  };
  deps.quota.listReservations = () => {
    throw new Error('looked at all that is reserved');
  };
  expect(await arrive('a')).toEqual(['a']);
  expect(await arrive('b')).toEqual(['b']);
});

test('a job that comes later does not take the room of one that waits: the next poll gives it to the older', async () => {
  const { deps, clock, arrive, end, submitted } = stackWith({ room: 150 });
  expect(await arrive('a')).toEqual(['a']);
  clock.now++;
  expect(await arrive('old')).toEqual([]);
  expect(await deps.quota.getBacklog()).toEqual([LEDGER]);
  await end('a');
  clock.now++;
  expect(await arrive('young')).toEqual([]);
  await dispatch(deps);
  expect(submitted()).toEqual(['old']);
  await end('old');
  await dispatch(deps);
  expect(submitted()).toEqual(['young']);
  // Nothing waits any more, so what comes next goes at once again.
  await end('young');
  await dispatch(deps);
  expect(await deps.quota.getBacklog()).toEqual([]);
  expect(await arrive('next')).toEqual(['next']);
});

test('what waits on one model holds up no other model', async () => {
  const { arrive } = stackWith({ room: 150 });
  await arrive('a');
  expect(await arrive('waits')).toEqual([]);
  expect(await arrive('other', { model: 'gpt-5.4-mini' })).toEqual(['other']);
});

test('what waits for turns at creating holds up all of its key, and no batch of another key', async () => {
  const { deps, arrive } = stackWith({ createsPerHour: 1 });
  await deps.quota.takeTurn(createTurnsOf('default'), 1, NOW);
  expect(await arrive('waits')).toEqual([]);
  expect(await deps.quota.getBacklog()).toEqual([createTurnsOf('default')]);
  expect(await arrive('other', { model: 'gpt-5.4-mini' })).toEqual([]);
  expect(await arrive('team', { apiKey: 'team' })).toEqual(['team']);
});

test('what waits for a budget holds up its route, whatever the model', async () => {
  const { deps, arrive, clock } = stackWith({ budget: { budget: { perDayUsd: '0.001' } } });
  const ofRoute = { route: 'all', model: 'gpt-5.4-mini', outputTokens: 100 };
  expect(await arrive('a', ofRoute)).toEqual(['a']);
  const costly = { ...ofRoute, outputTokens: 400, requests: 1 };
  expect(await arrive('waits', costly)).toEqual([]);
  expect(await deps.quota.getBacklog()).toEqual([budgetsOf('all')]);
  clock.now++;
  expect(await arrive('young', { ...ofRoute, outputTokens: 1, model: 'gpt-5.4-nano' })).toEqual([]);
  expect(await arrive('other route', { ...ofRoute, route: 'other' })).toEqual(['other route']);
});

test('two workers that leave something behind at once both say so, and a look at all takes nothing of it back', async () => {
  const { deps, arrive, clock } = stackWith({ room: 150 });
  await arrive('a');
  const list = deps.jobs.listWaiting.bind(deps.jobs);
  // While all that waits is looked at, a job of another model comes and has to wait.
  await arrive('b', { model: 'gpt-5.4-mini', tokens: 1_000 });
  deps.jobs.listWaiting = async function* () {
    yield* list();
    deps.jobs.listWaiting = list;
    clock.now += MINUTE_MS;
    expect(await arrive('c', { model: 'gpt-5.4-mini', tokens: 1_000 })).toEqual([]);
  };
  await arrive('d');
  await dispatch(deps);
  expect(await deps.quota.getBacklog()).toEqual([tokensLedgerOf({ model: 'gpt-5.4-mini' }), LEDGER]);
});

test('reservations are read only where not all may go', async () => {
  const { deps, arrive } = stackWith({ room: 250 });
  let reads = 0;
  const list = deps.quota.listReservations.bind(deps.quota);
  deps.quota.listReservations = () => {
    reads++;
    return list();
  };
  await deps.jobs.createBatch(batchOf('found', 0, { tokens: 100 }));
  await dispatch(deps);
  expect(reads).toBe(0);
  await arrive('fits');
  await arrive('waits');
  await dispatch(deps);
  expect(reads).toBe(1);
});
