/** What must not be paid twice, lost, or waited for without end in background windows: attacks, over the emulator. */
import { describe, expect, it } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/emulator.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import { toHurried } from '../../../src/core/lifecycle/batch-transitions.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import type { BatchRecord } from '../../../src/core/model/batch.ts';
import { call } from '../../../src/core/steps/call/call.ts';
import {
  arrive,
  customIds,
  fileOf,
  idsOf,
  KEY,
  paidFor,
  requestAt,
  responseIds,
  sliceIn,
  startRoute,
} from '../../support/background.ts';
import type { PipelineOptions } from '../../support/pipeline.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

/** Begins in the window; standard is for what is late. */
const LADDER = { tiers: ['background-2h', 'standard'], deadline: '4h' };

const WINDOW = { tiers: ['background-2h'] };
/** A project that keeps answers for ten minutes. */
const SHORT = { ...WINDOW, responseRetention: '10m' };

const faultsOf = (...rules: FaultRule[]): PipelineOptions => ({ emulator: { faults: { rules } } });

it('what a worker did not send is not said to be unsent once another worker has the slice and sends it', async () => {
  const windowless = {
    message: 'No background.',
    type: 'invalid_request_error',
    param: 'background',
    code: null,
  };
  const refuse: FaultRule = {
    match: { route: 'POST /v1/responses' },
    times: 32,
    effect: { kind: 'http.status', status: 400, body: { error: windowless } },
  };
  const p = await startRoute(LADDER, faultsOf(refuse));
  const ids = idsOf(40);
  const { create } = p.deps.background;
  let creates = 0;
  p.deps.background.create = async (request) => {
    const answer = await create(request);
    creates++;
    if (creates !== 32) return answer;
    // This worker stands still for longer than its lease holds, and learns of the refusals when another has the slice.
    p.emulator.clock.advance(4 * MINUTE_MS);
    await call(p.deps, await sliceIn(p));
    return answer;
  };
  await p.drop(KEY, fileOf(ids));
  await p.run();
  expect(customIds(await p.output(KEY))).toEqual(ids);
  const paid = await paidFor(p);
  expect(paid.times.filter((times) => times > 1)).toEqual([]);
});

it('answers that OpenAI keeps for minutes are not gone because creates are slow', async () => {
  const rule: FaultRule = {
    match: { route: 'POST /v1/responses' },
    share: 0.8,
    effect: { kind: 'http.status', status: 429, headers: { 'retry-after': '30' } },
  };
  const p = await startRoute(SHORT, {
    emulator: { faults: { rules: [rule] }, background: { retention: 'zdr' } },
  });
  await p.drop(KEY, fileOf(idsOf(100)));
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
});

it('answers that OpenAI keeps for minutes are not gone because webhooks stop, which nobody knows at once', async () => {
  const routes = [{ name: 'r', prefix: 'input/', budget: 'unlimited', ...SHORT }];
  const p = await startTestPipeline({
    settings: settingsSchema.parse({ routes, webhooks: { apiKeys: ['default'] } }),
    emulator: { background: { retention: 'zdr' } },
  });
  await p.deps.webhooks.changeHealth('default', () => ({ v: 1, arrivedAt: p.emulator.clock.now() }));
  await p.drop(KEY, fileOf(idsOf(3)));
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
});

it('a slice does not create one response after the other of which nobody gets the ids', async () => {
  const ids = idsOf(300);
  const down: FaultRule = {
    match: { route: 'POST /v1/responses' },
    times: 45,
    effect: { kind: 'http.status', status: 503 },
  };
  const p = await startRoute(WINDOW, faultsOf(down));
  await p.drop(KEY, fileOf(ids));
  await p.drain();
  expect(p.emulator.calls()['POST /v1/responses']).toBe(32);
  // One by one after a rest, until there is an answer again.
  await p.run(2);
  expect(p.emulator.calls()['POST /v1/responses']).toBeLessThan(45);
  await p.run();
  expect(p.failures).toEqual([]);
  expect(customIds(await p.output(KEY))).toEqual(ids);
  expect((await paidFor(p)).times).toEqual(ids.map(() => 1));
});

it('a slice that rests because OpenAI has no room creates nothing sooner because something has arrived', async () => {
  const p = await startRoute(WINDOW);
  const { create } = p.deps.background;
  let creates = 0;
  let hasRoom = false;
  p.deps.background.create = async (request) => {
    creates++;
    if (creates === 1 || hasRoom) return create(request);
    return {
      status: 429,
      body: JSON.stringify({ error: { message: 'No room.', code: 'rate_limit_exceeded' } }),
    };
  };
  const ids = idsOf(3);
  await p.drop(KEY, fileOf(ids));
  await p.drain();
  const refused = creates;
  const slice = await sliceIn(p);
  expect(slice.calls!.restUntil! - p.emulator.clock.now()).toBeGreaterThan(10 * SECOND_MS);
  const now = p.deps.ambient.now();
  await p.deps.jobs.moveBatch(slice, toHurried(slice, now), now);
  await call(p.deps, await sliceIn(p));
  expect(creates).toBe(refused);
  const rested = await sliceIn(p);
  expect(rested.calls).toMatchObject({ restUntil: slice.calls!.restUntil, refusals: slice.calls!.refusals });
  hasRoom = true;
  await p.run();
  expect(p.failures).toEqual([]);
  expect(customIds(await p.output(KEY))).toEqual(ids);
  expect((await paidFor(p)).times).toEqual([1, 1, 1]);
});

it('a slice whose worker may not create goes on at once, whatever else it waits for', async () => {
  const p = await startRoute(WINDOW);
  const { getJob, leaseBatch } = p.deps.jobs;
  let first: 'to come' | 'leased' | 'late' = 'to come';
  p.deps.jobs.leaseBatch = (batch, state, ...rest) => {
    if (state === 'admitted' && first === 'to come') first = 'leased';
    return leaseBatch.call(p.deps.jobs, batch, state, ...rest);
  };
  // Its lease is about to run out, because it could not be renewed.
  p.deps.jobs.getJob = (jobId) => {
    if (first === 'leased') {
      p.emulator.clock.advance(2.5 * MINUTE_MS);
      first = 'late';
    }
    return getJob.call(p.deps.jobs, jobId);
  };
  await p.drop(KEY, fileOf(idsOf(5)));
  let slice: BatchRecord | undefined;
  const { call: send } = p.deps.outbox;
  p.deps.outbox.call = async (...message) => {
    slice = await sliceIn(p);
    return send.apply(p.deps.outbox, message);
  };
  await p.drain();
  expect(first).toBe('late');
  expect(slice?.wait?.notBefore ?? 0).toBeLessThan(Number.POSITIVE_INFINITY);
  await p.run();
  expect(p.failures).toEqual([]);
  expect((await paidFor(p)).times).toEqual([1, 1, 1, 1, 1]);
});

it('a response that cannot be read is given up after a day in which no look succeeded, and counted', async () => {
  const p = await startRoute(WINDOW);
  const { get } = p.deps.background;
  let unreadable: string | undefined;
  p.deps.background.get = async (id, ...rest) => {
    unreadable ??= id;
    if (id === unreadable) throw new Error('500');
    return get(id, ...rest);
  };
  await p.drop(KEY, fileOf(idsOf(3)));
  await p.run(60);
  const receipt = await p.receipt(KEY);
  expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: { request_timeout: 1 } });
});

it('one answer that there is no such response says nothing, also of one that OpenAI keeps for minutes only', async () => {
  const p = await startRoute(SHORT, {
    emulator: { background: { retention: 'zdr', queuedShare: 0, runShare: 0.5 } },
  });
  const { get } = p.deps.background;
  const since = p.emulator.clock.now();
  const missed = new Set<string>();
  p.deps.background.get = async (id, ...rest) => {
    const isMissed = p.emulator.clock.now() - since > 30 * MINUTE_MS && !missed.has(id);
    if (isMissed) missed.add(id);
    return isMissed ? undefined : get(id, ...rest);
  };
  const ids = idsOf(3);
  await p.drop(KEY, fileOf(ids));
  await p.run();
  expect(missed.size).toBe(3);
  expect(customIds(await p.output(KEY))).toEqual(ids);
  expect((await paidFor(p)).times).toEqual([1, 1, 1]);
  expect((await p.receipt(KEY)).possiblyBilledTwice).toEqual({});
});

it('responses that come and go leave no file for each time, and are waited for', async () => {
  const p = await startRoute(SHORT, {
    emulator: { background: { retention: 'zdr', queuedShare: 0, runShare: 0.9 } },
  });
  const { get } = p.deps.background;
  let looks = 0;
  p.deps.background.get = async (id, ...rest) => {
    looks++;
    if (looks % 3 === 1) return undefined;
    if (looks % 3 === 2) throw new Error('500');
    return get(id, ...rest);
  };
  await p.drop(KEY, fileOf(idsOf(1)));
  let segments = 0;
  const { put } = p.deps.objects;
  p.deps.objects.put = (key, ...rest) => {
    if (key.includes('/created/')) segments++;
    return put.call(p.deps.objects, key, ...rest);
  };
  await p.run();
  expect(looks).toBeGreaterThan(20);
  expect(segments).toBe(1);
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
});

it('a job is cancelled at OpenAI within two polls, however long its slice was to rest', async () => {
  const late: FaultRule = { effect: { kind: 'response.stuck', state: 'in_progress' } };
  const p = await startRoute({ tiers: ['background-8h'] }, faultsOf(late));
  await p.drop(KEY, fileOf(idsOf(3)));
  await p.run(4);
  const { jobId, wait } = await sliceIn(p);
  const since = p.emulator.clock.now();
  expect(wait!.notBefore! - since).toBeGreaterThan(HOUR_MS);
  await cancelJob(p.deps, jobId);
  await p.run();
  expect((p.emulator.clock.now() - since) / MINUTE_MS).toBeLessThanOrEqual(15);
  expect((await p.receipt(KEY)).errorsByCode).toEqual({ background_cancelled: 3 });
});

it('a response that began after a cancel was sent, and ends by it, may have been charged', async () => {
  const stuck: FaultRule = {
    match: requestAt(0),
    effect: { kind: 'response.stuck', state: 'queued' },
  };
  const p = await startRoute({ ...LADDER, onLate: 'wait' }, faultsOf(stuck));
  const { get, cancel } = p.deps.background;
  const cancelled = new Set<string>();
  p.deps.background.get = async (id, ...rest) => {
    const response = await get(id, ...rest);
    if (!cancelled.delete(id)) return response;
    // The cancel comes to it after this look.
    await cancel(id, ...rest);
    return { ...response!, status: 'in_progress', begun: 'yes' };
  };
  p.deps.background.cancel = async (id) => {
    cancelled.add(id);
    throw new Error('no answer');
  };
  await p.drop(KEY, fileOf(idsOf(3)));
  await p.run();
  expect((await p.receipt(KEY)).possiblyBilledTwice).toEqual({ background_cancelled: 1 });
});

it('a response that began between its look and its cancel may have been charged, if the cancel shows nothing', async () => {
  const stuck: FaultRule = {
    match: requestAt(0),
    effect: { kind: 'response.stuck', state: 'in_progress' },
  };
  const p = await startRoute(LADDER, {
    emulator: { faults: { rules: [stuck] }, background: { cancelledInProgress: 'unbilled' } },
  });
  const { get } = p.deps.background;
  // As it was right before.
  p.deps.background.get = async (id, ...rest) => {
    const response = await get(id, ...rest);
    return response?.status === 'in_progress' ? { ...response, status: 'queued', begun: 'no' } : response;
  };
  await p.drop(KEY, fileOf(idsOf(3)));
  await p.run();
  const { possiblyBilledTwice, cost } = await p.receipt(KEY);
  expect(possiblyBilledTwice).toEqual({ background_left: 1 });
  expect(Number(cost.possibleUsd)).toBeGreaterThan(0);
});

describe('a response whose status is a word that nobody knows', () => {
  const strange: FaultRule = {
    match: requestAt(0),
    times: 1,
    effect: {
      kind: 'response.patch',
      while: ['queued', 'in_progress'],
      operations: [{ op: 'replace', path: '/status', value: 'paused' }],
    },
  };
  const stuck: FaultRule = { ...strange, effect: { kind: 'response.stuck', state: 'in_progress' } };

  it('is cancelled after a day, runs again and is counted, where there is no deadline', async () => {
    const p = await startRoute(WINDOW, faultsOf(strange, stuck));
    const ids = idsOf(3);
    const since = p.emulator.clock.now();
    await p.drop(KEY, fileOf(ids));
    await p.run(60);
    expect(customIds(await p.output(KEY))).toEqual(ids);
    expect((await p.receipt(KEY)).possiblyBilledTwice).toEqual({ background_cancelled: 1 });
    expect(p.emulator.clock.now() - since).toBeGreaterThan(24 * HOUR_MS);
  });

  it('is waited for no longer if its cancel says the same', async () => {
    const p = await startRoute(WINDOW, faultsOf(strange, stuck));
    const { get } = p.deps.background;
    let cancels = 0;
    p.deps.background.cancel = async (...of) => {
      cancels++;
      return get(...of);
    };
    await p.drop(KEY, fileOf(idsOf(3)));
    await p.run(60);
    expect(cancels).toBe(1);
    expect((await p.receipt(KEY)).possiblyBilledTwice).toEqual({ background_cancelled: 1 });
  });

  it('is not run again because one cancel fails', async () => {
    const p = await startRoute(WINDOW, faultsOf(strange, stuck));
    const { cancel } = p.deps.background;
    let cancels = 0;
    p.deps.background.cancel = async (...of) => {
      cancels++;
      if (cancels === 1) throw new Error('503');
      return cancel(...of);
    };
    await p.drop(KEY, fileOf(idsOf(3)));
    await p.run(80);
    expect(cancels).toBe(2);
    expect((await p.receipt(KEY)).possiblyBilledTwice).toEqual({ background_cancelled: 1 });
  });

  it('is taken once it is completed', async () => {
    const p = await startRoute(WINDOW, faultsOf(strange));
    await p.drop(KEY, fileOf(idsOf(3)));
    await p.run();
    expect((await p.receipt(KEY)).possiblyBilledTwice).toEqual({});
  });
});

describe('a response that does not end', () => {
  const stuckIn = (state: 'queued' | 'in_progress'): FaultRule => ({
    match: requestAt(0),
    times: 1,
    effect: { kind: 'response.stuck', state },
  });

  it.each([
    ['and its request runs again, without a deadline', {}, { background_cancelled: 1 }],
    [
      'and its request runs again, however late a route waits for it',
      { deadline: '4h', onLate: 'wait' },
      { background_cancelled: 1 },
    ],
    ['and its request fails if that was its last try', { deadline: '4h', maxTries: 1 }, {}],
  ])('is cancelled two days after its create, %s', async (_, route, counted) => {
    const p = await startRoute({ ...WINDOW, ...route }, faultsOf(stuckIn('in_progress')));
    const ids = idsOf(3);
    const since = p.emulator.clock.now();
    await p.drop(KEY, fileOf(ids));
    await p.run(100);
    const answered = 'maxTries' in route ? ids.slice(1) : ids;
    expect(customIds(await p.output(KEY))).toEqual(answered);
    expect((await p.receipt(KEY)).possiblyBilledTwice).toEqual(counted);
    expect(p.emulator.clock.now() - since).toBeGreaterThan(48 * HOUR_MS);
  });

  it('is cancelled two days after its create while it is queued, and runs again', async () => {
    const p = await startRoute(WINDOW, faultsOf(stuckIn('queued')));
    const ids = idsOf(3);
    await p.drop(KEY, fileOf(ids));
    await p.run(100);
    expect(customIds(await p.output(KEY))).toEqual(ids);
  });

  it('is given up a day later if it goes on although it is cancelled, and runs again', async () => {
    const p = await startRoute(WINDOW, faultsOf(stuckIn('in_progress')));
    const { get } = p.deps.background;
    let cancels = 0;
    p.deps.background.cancel = async (...of) => {
      cancels++;
      return get(...of);
    };
    const ids = idsOf(3);
    const since = p.emulator.clock.now();
    await p.drop(KEY, fileOf(ids));
    await p.run(400);
    expect(customIds(await p.output(KEY))).toEqual(ids);
    expect((await p.receipt(KEY)).possiblyBilledTwice).toEqual({ background_cancelled: 1 });
    expect(p.emulator.clock.now() - since).toBeGreaterThan(72 * HOUR_MS);
    expect(cancels).toBeLessThan(200);
  });
});

it('an answer that a webhook brings while a worker gives its slice back is taken in at once, not at the next look', async () => {
  const p = await startRoute(WINDOW, { emulator: { background: { queuedShare: 0, runShare: 0.001 } } });
  const moveBatch = p.deps.jobs.moveBatch.bind(p.deps.jobs);
  const transitions: string[] = [];
  p.deps.jobs.moveBatch = async (batch, transition, ...rest) => {
    const isFirst = transition.name === 'callsPaused' && !transitions.includes(transition.name);
    transitions.push(transition.name);
    if (isFirst) {
      // Between the worker's last look and its pause: the one that writes it down finds the slice leased, and informs nobody.
      p.emulator.clock.advance(2.5 * MINUTE_MS);
      for (const id of await responseIds(p)) await arrive(p, id);
    }
    return moveBatch(batch, transition, ...rest);
  };
  await p.drop(KEY, fileOf(idsOf(1)));
  await p.drain();
  expect(transitions.slice(transitions.indexOf('callsPaused')).slice(0, 2)).toEqual([
    'callsPaused',
    'hurried',
  ]);
  expect(customIds(await p.output(KEY))).toEqual(idsOf(1));
});
