/** Slices in background windows over the emulator: real HTTP, the real client, a virtual clock. */
import { describe, expect, it } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/emulator.ts';
import { HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import { markOf } from '../../../src/core/lifecycle/response-marks.ts';
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
  responseLine,
  sliceIn,
  startRoute,
} from '../../support/background.ts';
import type { Pipeline, PipelineOptions } from '../../support/pipeline.ts';
import { expectListedEvents, telemetryTo } from '../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const WINDOW = { tiers: ['background-2h'] };
/** Begins in the window; standard is for what is late. */
const LADDER = { tiers: ['background-2h', 'standard'], deadline: '4h' };

const faultsOf = (...rules: FaultRule[]): PipelineOptions => ({ emulator: { faults: { rules } } });

/** Drops requests and plays the job to its end. @returns its receipt. */
async function played(p: Pipeline, file: string) {
  await p.drop(KEY, file);
  await p.run();
  expect(p.failures).toEqual([]);
  return p.receipt(KEY);
}

/** Every request was paid for once, in these tiers, and has its answer. */
async function expectPaidOnce(
  p: Pipeline,
  ids: readonly string[],
  tiers: Record<string, number>,
  possiblyBilledTwice: Record<string, number> = {},
) {
  expect(customIds(await p.output(KEY))).toEqual(ids);
  const paid = await paidFor(p);
  expect(new Set(paid.times)).toEqual(new Set([1]));
  expect(paid.tiers).toEqual(tiers);
  const receipt = await p.receipt(KEY);
  expect(receipt.result).toBe('succeeded');
  expect(receipt.possiblyBilledTwice).toEqual(possiblyBilledTwice);
}

const minutesOf = (p: Pipeline, since: number): number => (p.emulator.clock.now() - since) / MINUTE_MS;

describe('a route of one window', () => {
  it.each(['background-8h', 'background-2h'])(
    'has every request answered once in %s, and gives the results in input order',
    async (tier) => {
      const p = await startRoute({ tiers: [tier] });
      const ids = idsOf(70);
      await played(p, fileOf(ids));
      await expectPaidOnce(p, ids, { [tier]: 70 });
    },
  );

  it('does nothing twice where every message comes twice', async () => {
    const p = await startRoute(WINDOW, { twice: true });
    const ids = idsOf(40);
    await played(p, fileOf(ids));
    await expectPaidOnce(p, ids, { 'background-2h': 40 });
  });

  it('marks each response in its metadata, beside what its line has there, and leaves full metadata alone', async () => {
    const p = await startRoute(WINDOW);
    const full = Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`k${index}`, 'v']));
    const lines = [
      responseLine('plain'),
      responseLine('own', { metadata: { a: 'b' } }),
      responseLine('full', { metadata: full }),
    ];
    await played(p, lines.join('\n'));
    const [plain, own, unmarked] = (await p.output(KEY)).map(({ response }) => response.body);
    expect(markOf('stack-1', plain.metadata)).toMatchObject({ request: 0 });
    expect(markOf('stack-1', own.metadata)).toMatchObject({ request: 1 });
    expect(own.metadata).toMatchObject({ a: 'b' });
    expect(unmarked.metadata).toEqual(full);
    expect(plain).toMatchObject({ background: true, service_tier: 'default' });
  });

  it('asks for its own window, in standard, whatever the lines ask for; a continuation_id stays', async () => {
    const p = await startRoute(WINDOW);
    const bodies: Record<string, unknown>[] = [];
    const { create } = p.deps.background;
    p.deps.background.create = (request) => {
      bodies.push(JSON.parse(request.body));
      return create(request);
    };
    const own = { background_options: { completion_window: '8h', continuation_id: 'c' } };
    await played(p, responseLine('own', { background: false, service_tier: 'flex', ...own }));
    expect(bodies).toEqual([
      expect.objectContaining({
        background: true,
        service_tier: 'default',
        background_options: { completion_window: '2h', continuation_id: 'c' },
      }),
    ]);
  });

  it('looks at each response 6 times at most on average, however their ends are spread over the window', async () => {
    // One after the other, so that the last one ends with its window.
    const p = await startRoute(
      { tiers: ['background-8h'] },
      { emulator: { background: { capacity: 1, queuedShare: 0, runShare: 1 / 40 } } },
    );
    let looks = 0;
    const { get } = p.deps.background;
    p.deps.background.get = (...of) => {
      looks++;
      return get(...of);
    };
    const ids = idsOf(40);
    await played(p, fileOf(ids));
    await expectPaidOnce(p, ids, { 'background-8h': 40 });
    expect(looks / 40).toBeGreaterThan(3);
    expect(looks / 40).toBeLessThanOrEqual(6);
  });

  it('has its answers billed as the window that they say they were made in', async () => {
    const p = await startRoute({ tiers: ['background-8h'] });
    const receipt = await played(p, fileOf(idsOf(4)));
    expect(Object.keys(receipt.cost.byTier)).toEqual(['background-8h']);
  });

  it('judges responses that are cut or fail as any results are', async () => {
    const p = await startRoute(
      WINDOW,
      faultsOf(
        { match: { ...requestAt(0), via: 'background' }, effect: { kind: 'line.incomplete' } },
        { match: requestAt(1), effect: { kind: 'response.fail', code: 'invalid_prompt', message: 'no' } },
      ),
    );
    const receipt = await played(p, fileOf(idsOf(3)));
    expect(receipt).toMatchObject({
      result: 'partial',
      counts: { succeeded: 2, failed: 1 },
      errorsByCode: { invalid_prompt: 1 },
    });
    expect((await paidFor(p)).times).toHaveLength(2);
  });

  it('waits for room, and creates nothing twice, where OpenAI has none for half of the creates', async () => {
    const refuse = { kind: 'http.status', status: 429, headers: { 'retry-after': '5' } } as const;
    const rule = { match: { route: 'POST /v1/responses' }, share: 0.5, effect: refuse };
    const p = await startRoute(WINDOW, faultsOf(rule));
    const ids = idsOf(70);
    await played(p, fileOf(ids));
    await expectPaidOnce(p, ids, { 'background-2h': 70 });
  });
});

describe('a response whose create got no answer', () => {
  const lose = (index: number): FaultRule => ({
    match: requestAt(index),
    times: 1,
    effect: { kind: 'response.lose_create' },
  });

  it('is taken from an arrival, by its marks, so that nothing runs again', async () => {
    const p = await startRoute(WINDOW, faultsOf(lose(1)));
    const ids = idsOf(3);
    await p.drop(KEY, fileOf(ids));
    await p.drain();
    p.emulator.clock.advance(10 * MINUTE_MS);
    for (const id of await responseIds(p)) await arrive(p, id);
    await p.run();
    expect(p.failures).toEqual([]);
    await expectPaidOnce(p, ids, { 'background-2h': 3 });
  });

  it('runs again in the last tier, no sooner than that one needs, and is counted, where no webhook tells', async () => {
    const p = await startRoute(LADDER, faultsOf(lose(1)));
    const since = p.emulator.clock.now();
    const receipt = await played(p, fileOf(idsOf(3)));
    expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: { no_response: 1 } });
    expect((await paidFor(p)).tiers).toEqual({ 'background-2h': 3, default: 1 });
    const called = (await p.emulator.ledger.all()).find(({ tier }) => tier === 'default')!;
    expect((called.at_ms - since) / MINUTE_MS).toBeGreaterThan(3.5 * 60);
    expect((called.at_ms - since) / MINUTE_MS).toBeLessThan(4 * 60);
  });

  it('runs again after two windows where there is no deadline', async () => {
    const p = await startRoute(WINDOW, faultsOf(lose(0)));
    const since = p.emulator.clock.now();
    const receipt = await played(p, fileOf(idsOf(2)));
    expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: { no_response: 1 } });
    expect(minutesOf(p, since)).toBeGreaterThan(4 * 60);
    expect((await paidFor(p)).tiers).toEqual({ 'background-2h': 3 });
  });
});

describe('a response that is late for its deadline', () => {
  const stuck = (state: 'queued' | 'in_progress', seconds?: number): FaultRule => ({
    match: requestAt(0),
    effect: { kind: 'response.stuck', state, ...(seconds === undefined ? {} : { seconds }) },
  });

  it.each([
    ['and counted, as its cancel does not say that it had not begun', 'null', { background_left: 1 }],
    ['and not counted where its cancel says that nothing was used', 'zeros', {}],
  ] as const)(
    'is cancelled while it is queued, runs in the next tier without a try lost, %s',
    async (_, cancelledQueued, counted) => {
      const rules = [stuck('queued')];
      const p = await startRoute(
        { ...LADDER, maxTries: 1 },
        { emulator: { faults: { rules }, background: { cancelledQueued } } },
      );
      const since = p.emulator.clock.now();
      const ids = idsOf(3);
      const receipt = await played(p, fileOf(ids));
      await expectPaidOnce(p, ids, { 'background-2h': 2, default: 1 }, counted);
      expect(Number(receipt.cost.possibleUsd) > 0).toBe(cancelledQueued === 'null');
      expect(minutesOf(p, since)).toBeLessThan(4 * 60);
    },
  );

  it('is cancelled while it is being made only when the last tier needs the time, and counted', async () => {
    const p = await startRoute(LADDER, faultsOf(stuck('in_progress')));
    const since = p.emulator.clock.now();
    const receipt = await played(p, fileOf(idsOf(3)));
    expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: { background_cancelled: 1 } });
    expect((await paidFor(p)).tiers).toEqual({ 'background-2h': 3, default: 1 });
    const called = (await p.emulator.ledger.all()).find(({ tier }) => tier === 'default')!;
    expect((called.at_ms - since) / MINUTE_MS).toBeGreaterThan(3.5 * 60);
    expect(minutesOf(p, since)).toBeLessThan(4 * 60);
  });

  it('is taken where its cancel finds it completed', async () => {
    const race: FaultRule = { match: requestAt(0), effect: { kind: 'response.cancel_race' } };
    const p = await startRoute(LADDER, faultsOf(stuck('in_progress'), race));
    const ids = idsOf(3);
    await played(p, fileOf(ids));
    await expectPaidOnce(p, ids, { 'background-2h': 3 });
  });

  it.each([
    ['the route says so', { onLate: 'wait' }],
    ['its request may not be tried again', { maxTries: 1 }],
  ])('is waited for, however late, where %s', async (_, route) => {
    const p = await startRoute({ ...LADDER, ...route }, faultsOf(stuck('in_progress', 6 * 3_600)));
    const since = p.emulator.clock.now();
    const ids = idsOf(3);
    await played(p, fileOf(ids));
    await expectPaidOnce(p, ids, { 'background-2h': 3 });
    expect(p.emulator.clock.now() - since).toBeGreaterThan(6 * HOUR_MS);
  });

  it('goes from a window of 8 hours to one of 2, while there is time for that', async () => {
    const p = await startRoute(
      { tiers: ['background-8h', 'background-2h', 'standard'], deadline: '13h' },
      faultsOf({ match: { window: '8h' }, effect: { kind: 'response.stuck', state: 'queued' } }),
    );
    const since = p.emulator.clock.now();
    const ids = idsOf(40);
    await played(p, fileOf(ids));
    await expectPaidOnce(p, ids, { 'background-2h': 40 }, { background_left: 40 });
    expect(minutesOf(p, since)).toBeLessThan(13 * 60);
  });
});

describe('a response that OpenAI does not give', () => {
  it('is waited for while it is new, and 404 says nothing yet', async () => {
    const p = await startRoute(WINDOW, faultsOf({ effect: { kind: 'response.late', seconds: 1_800 } }));
    const ids = idsOf(3);
    await played(p, fileOf(ids));
    await expectPaidOnce(p, ids, { 'background-2h': 3 });
  });

  it('runs again after two windows, and is counted', async () => {
    const vanish: FaultRule = {
      match: { response: 1 },
      effect: { kind: 'response.vanish', since: 'create' },
    };
    const p = await startRoute(WINDOW, faultsOf(vanish));
    const receipt = await played(p, fileOf(idsOf(3)));
    expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: { response_gone: 1 } });
  });

  it.each([
    ['its project keeps none, as the route says', { responseRetention: '10m' }, {}],
    ['its line says store: false', {}, { store: false }],
  ])('after 10 minutes is read before that, because %s', async (_, route, members) => {
    const p = await startRoute(
      { ...WINDOW, ...route },
      { emulator: { background: { retention: 'zdr', queuedShare: 0.3, runShare: 0.05, capacity: 1 } } },
    );
    const ids = idsOf(12);
    await played(p, fileOf(ids, members));
    await expectPaidOnce(p, ids, { 'background-2h': 12 });
  });

  it('after 10 minutes is gone where nobody knew of that, runs again, and is counted', async () => {
    const p = await startRoute(LADDER, {
      emulator: { background: { retention: 'zdr', queuedShare: 0.3, runShare: 0 } },
    });
    const receipt = await played(p, fileOf(idsOf(3)));
    expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: { response_gone: 3 } });
  });
});

describe('responses whose answers are safe', () => {
  const exists = async (p: Pipeline, id: string): Promise<boolean> =>
    (await p.deps.background.get(id)) !== undefined;

  it('are deleted at OpenAI, but for those whose lines say store: true', async () => {
    const p = await startRoute(WINDOW);
    const lines = [
      responseLine('a'),
      responseLine('kept', { store: true }),
      responseLine('b', { store: null }),
    ];
    await played(p, lines.join('\n'));
    const kept = (await p.output(KEY)).map(({ response }) => exists(p, response.body.id));
    expect(await Promise.all(kept)).toEqual([false, true, false]);
  });

  it('are reported, and the job is done all the same, where they cannot be deleted', async () => {
    const seen: unknown[] = [];
    const p = await startRoute(WINDOW, {
      ...faultsOf({
        match: { route: 'DELETE /v1/responses/*' },
        effect: { kind: 'http.status', status: 400 },
      }),
      telemetry: telemetryTo(({ name, fields }) => {
        if (name === 'responses.retained') seen.push(fields.responses);
      }),
    });
    const ids = idsOf(3);
    await played(p, fileOf(ids));
    await expectPaidOnce(p, ids, { 'background-2h': 3 });
    expect(seen).toEqual([3]);
  });

  it('are not deleted while a slice is not at its end', async () => {
    const stuck: FaultRule = {
      match: requestAt(0),
      effect: { kind: 'response.stuck', state: 'queued', seconds: 3_600 },
    };
    const p = await startRoute(WINDOW, faultsOf(stuck));
    const removed: number[] = [];
    const { remove } = p.deps.background;
    p.deps.background.remove = (...of) => {
      removed.push(p.emulator.clock.now());
      return remove(...of);
    };
    const since = p.emulator.clock.now();
    await played(p, fileOf(idsOf(3)));
    expect(removed).toHaveLength(3);
    expect(Math.min(...removed) - since).toBeGreaterThan(HOUR_MS);
  });
});

describe('a slice that ends before all of it is created', () => {
  it('goes on in the next tier where the model has no windows, without a try lost', async () => {
    const p = await startRoute({ ...LADDER, maxTries: 1 });
    const ids = idsOf(40);
    const lines = ids.map((id) => responseLine(id, {}, 'gpt-6-luna'));
    await played(p, lines.join('\n'));
    await expectPaidOnce(p, ids, { default: 40 });
  });

  it('fails as tier_not_offered where the window is the last tier', async () => {
    const p = await startRoute(WINDOW);
    const receipt = await played(p, responseLine('a', {}, 'gpt-6-luna'));
    expect(receipt.errorsByCode).toEqual({ tier_not_offered: 1 });
    expect((await p.errors(KEY))[0].error.message).toMatch(/in background-2h.*Add "standard"/);
  });

  it('cancels what is open once its job is cancelled, and counts what may have been charged', async () => {
    const stuck = (index: number, state: 'queued' | 'in_progress'): FaultRule => ({
      match: requestAt(index),
      effect: { kind: 'response.stuck', state },
    });
    const p = await startRoute(WINDOW, faultsOf(stuck(0, 'queued'), stuck(1, 'in_progress')));
    await p.drop(KEY, fileOf(idsOf(3)));
    await p.drain();
    p.emulator.clock.advance(10 * MINUTE_MS);
    await cancelJob(p.deps, (await sliceIn(p)).jobId);
    await p.run();
    expect(p.failures).toEqual([]);
    expect(await p.receipt(KEY)).toMatchObject({
      counts: { succeeded: 1, failed: 2 },
      errorsByCode: { cancelled: 1, background_cancelled: 1 },
    });
  });

  it('looks at what is open to its end where the key is refused meanwhile, and nothing is paid twice', async () => {
    const refuse: FaultRule = {
      match: { route: 'POST /v1/responses' },
      skip: 32,
      times: 38,
      effect: {
        kind: 'http.status',
        status: 429,
        body: { error: { message: 'quota', type: 'insufficient_quota', code: 'insufficient_quota' } },
      },
    };
    const p = await startRoute(WINDOW, faultsOf(refuse));
    const ids = idsOf(70);
    await p.drop(KEY, fileOf(ids));
    await p.run(100);
    await expectPaidOnce(p, ids, { 'background-2h': 70 });
  });
});

it('leaves a slice to its new worker where a lease ran out between two waves', async () => {
  const p = await startRoute(WINDOW);
  const ids = idsOf(70);
  const { create } = p.deps.background;
  let creates = 0;
  p.deps.background.create = async (request) => {
    const answer = await create(request);
    creates++;
    if (creates !== 33) return answer;
    // The lease is for three minutes, and this worker did not renew it.
    p.emulator.clock.advance(4 * MINUTE_MS);
    await call(p.deps, await sliceIn(p));
    return answer;
  };
  await p.drop(KEY, fileOf(ids));
  await p.run();
  expect(customIds(await p.output(KEY))).toEqual(ids);
  const { possiblyBilledTwice } = await p.receipt(KEY);
  const twice = (await paidFor(p)).times.filter((times) => times > 1).length;
  expect(twice).toBeLessThanOrEqual(possiblyBilledTwice.no_response ?? 0);
  expect(possiblyBilledTwice.no_response ?? 0).toBeLessThanOrEqual(32);
});
