/** What a webhook about a response leads to, against the emulator's responses in the background. */
import { describe, expect, test } from 'vitest';
import type { ObserveMessage } from '../../../src/contract/messages.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import { readArrival } from '../../../src/core/files/arrivals.ts';
import { createdSegment } from '../../../src/core/files/created.ts';
import { workKeys } from '../../../src/core/files/keys.ts';
import { withMarks } from '../../../src/core/lifecycle/response-marks.ts';
import type { BatchRecord } from '../../../src/core/model/batch.ts';
import type { BackgroundApi } from '../../../src/core/ports/provider.ts';
import { isHealthy } from '../../../src/core/scheduling/webhook-health.ts';
import { observe } from '../../../src/core/steps/observe/observe.ts';
import { customIds, fileOf, idsOf, KEY, paidFor, requestAt, responseIds } from '../../support/background.ts';
import type { Pipeline, PipelineOptions } from '../../support/pipeline.ts';
import { batchOf } from '../../support/records.ts';
import { type SeenEvent, telemetryTo } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

const JOB = 'job-1';

/** A slice whose three requests are at OpenAI in the background, and its record as it waits for them. */
async function waiting(changes: Partial<BatchRecord> = {}, options: PipelineOptions = {}) {
  const events: SeenEvent[] = [];
  const p = await startTestPipeline({ telemetry: telemetryTo((event) => events.push(event)), ...options });
  const now = p.deps.ambient.now();
  const wait = { notBefore: now + HOUR_MS };
  const slice = batchOf(JOB, 0, { state: 'admitted', tier: 'background-8h', wait, ...changes });
  await p.deps.jobs.createBatch(slice);
  const create = async (request: number, stackId = 'stack-1', members: object = {}) => {
    const body = JSON.stringify({
      model: 'gpt-6.2-sol',
      input: `question ${request}`,
      background: true,
      background_options: { completion_window: '8h' },
      ...members,
    });
    const marked = withMarks(body, stackId, { jobId: JOB, batchId: slice.batchId, request, nonce: 'n' })!;
    const { response } = await p.deps.background.create({
      endpoint: '/v1/responses',
      body: marked,
      timeoutMs: 10_000,
    });
    return response!.id;
  };
  return {
    p,
    slice,
    create,
    now: () => p.deps.ambient.now(),
    events: () => events.map(({ name }) => name),
    names: () => events.map(({ name }) => name).filter((name) => name.startsWith('webhook.')),
    record: () => p.deps.jobs.getBatch(JOB, slice.batchId),
    arrival: (request: number) => readArrival(p.deps, slice, request),
    tell: (objectId: string, parts: Partial<ObserveMessage> = {}) =>
      observe(p.seen, {
        v: 1,
        webhookId: `wh_${objectId}`,
        type: 'response.completed',
        objectId,
        apiKey: 'default',
        receivedAt: p.deps.ambient.now(),
        ...parts,
      }),
    end: () => p.emulator.clock.advance(HOUR_MS / 2),
  };
}

/** Has some calls of responses answered otherwise. */
function change(p: Pipeline, methods: Partial<BackgroundApi>): void {
  const api = p.deps.background.withKey('default');
  const { create, get, cancel, remove } = api;
  const bound = {
    create: create.bind(api),
    get: get.bind(api),
    cancel: cancel.bind(api),
    remove: remove.bind(api),
  };
  p.seen.background.withKey = () => ({ ...bound, ...methods });
}

test('the response of a slice that waits is written down once, and the slice is looked at two seconds later', async () => {
  const { p, slice, create, tell, arrival, record, now, end, names } = await waiting();
  const ids = [await create(0), await create(1), await create(2)];
  end();
  for (const id of ids) await tell(id);
  for (const [request, id] of ids.entries()) {
    const found = (await arrival(request))!;
    expect(found).toMatchObject({ id, status: 'completed' });
    expect(JSON.parse(found.body).output_text ?? found.body).toContain('[emulated]');
  }
  expect((await record())!.wait?.notBefore).toBe(now() + 2 * SECOND_MS);
  // The first one of a burst moves the slice.
  expect(p.deps.outbox.messages).toEqual([
    { queue: 'call', message: { v: 1, jobId: JOB, batchId: slice.batchId }, delayMs: 2 * SECOND_MS },
  ]);
  expect(names()).toEqual(Array(3).fill('webhook.observed'));
  expect(isHealthy(await p.deps.webhooks.getHealth('default'), now())).toBe(true);
});

test('while a worker has the slice, the response is written down and nothing else', async () => {
  const { p, create, tell, arrival, record, end } = await waiting();
  const id = await create(1);
  end();
  const now = p.deps.ambient.now();
  await p.deps.jobs.leaseBatch((await record())!, 'admitted', 'worker', now + HOUR_MS, now + 2 * HOUR_MS);
  const before = await record();
  await tell(id);
  expect(await arrival(1)).toMatchObject({ id });
  expect(await record()).toEqual(before);
  expect(p.deps.outbox.messages).toEqual([]);
});

test('a slice that is due within two seconds is left as it is', async () => {
  const { p, create, tell, record, end } = await waiting();
  const id = await create(0);
  p.emulator.clock.advance(HOUR_MS - SECOND_MS);
  end();
  const before = await record();
  await tell(id);
  expect(await record()).toEqual(before);
  expect(p.deps.outbox.messages).toEqual([]);
});

test('a response that comes after its slice has ended changes nothing', async () => {
  const { p, create, tell, arrival, record, end, names } = await waiting({ state: 'collected', wait: {} });
  const id = await create(0);
  end();
  const before = await record();
  await tell(id);
  expect(await arrival(0)).toBeUndefined();
  expect(await record()).toEqual(before);
  expect(p.deps.outbox.messages).toEqual([]);
  expect(names()).toEqual(['webhook.observed']);
});

test('of two responses to one request, the first one that arrives counts', async () => {
  const { create, tell, arrival, end } = await waiting();
  const [first, second] = [await create(0), await create(0)];
  end();
  await tell(second);
  await tell(first);
  expect(await arrival(0)).toMatchObject({ id: second });
});

test('a response that is still shown as running is looked at again later', async () => {
  const { p, create, tell, arrival, names } = await waiting();
  const id = await create(0);
  await tell(id);
  expect(names()).toEqual(['webhook.deferred']);
  expect(await arrival(0)).toBeUndefined();
  expect(p.deps.outbox.messages).toMatchObject([{ queue: 'observe', message: { objectId: id, tries: 1 } }]);
});

test.each<[string, (create: (request: number, stackId?: string) => Promise<string>) => Promise<string>]>([
  ['of another stack', (create) => create(0, 'another-stack')],
  ['of a request that the slice does not have', (create) => create(3)],
])('a response %s is not written down', async (_what, idOf) => {
  const { p, slice, create, tell, end, names } = await waiting();
  const id = await idOf(create);
  end();
  await tell(id);
  expect(names()).toEqual(['webhook.dismissed']);
  expect(p.deps.objects.keys()).toEqual([]);
  expect((await p.deps.jobs.getBatch(JOB, slice.batchId))!.updatedAt).toBe(slice.updatedAt);
});

test('a response that OpenAI does not know is looked at again, as it may be there in a moment, and then dismissed', async () => {
  const { p, tell, arrival, create, end, names } = await waiting();
  const id = await create(0);
  end();
  const api = p.deps.background.withKey('default');
  let looks = 0;
  change(p, { get: async (...of) => (looks++ < 2 ? undefined : api.get(...of)) });
  await tell(id);
  await tell(id, { tries: 1 });
  expect(names()).toEqual(['webhook.deferred', 'webhook.deferred']);
  await tell(id, { tries: 2 });
  expect(await arrival(0)).toMatchObject({ id });
  await tell('resp_unknown', { tries: 4 });
  await tell('resp_unknown', { tries: 5 });
  expect(names().slice(2)).toEqual(['webhook.observed', 'webhook.deferred', 'webhook.dismissed']);
});

describe('a response that arrives after its slice has ended', () => {
  const ended = async (line: { id?: string } | undefined, members: object = {}) => {
    const one = await waiting({ state: 'collected', wait: {} });
    const id = await one.create(0, 'stack-1', members);
    one.end();
    const key = workKeys(one.p.deps.settings.layout, JOB).calls(one.slice.batchId).created(0);
    const lines = line === undefined ? [] : [{ custom_id: 'a', request: 0, at: 1, ...line }];
    const known = lines.map((each) => ({ ...each, ...(each.id === 'its own' ? { id } : {}) }));
    await one.p.deps.objects.put(key, createdSegment(known));
    return { ...one, id, exists: async () => (await one.p.deps.background.get(id)) !== undefined };
  };

  test.each([
    ['is deleted where its slice gave its create up', {}, false],
    ['is deleted where its slice could not delete it', { id: 'its own' }, false],
    [
      'is left alone where its slice knows another one of the request: it is a copy',
      { id: 'resp_other' },
      true,
    ],
    ['is left alone where its slice has created nothing for the request', undefined, true],
  ])('%s', async (_what, line, isLeft) => {
    const { tell, id, exists, names } = await ended(line);
    await tell(id);
    expect(await exists()).toBe(isLeft);
    expect(names()).toEqual(['webhook.observed']);
  });

  test('is left alone where its line says that OpenAI is to store it', async () => {
    const { tell, id, exists } = await ended({}, { store: true });
    await tell(id);
    expect(await exists()).toBe(true);
  });

  test('is deleted where its slice ends while it is written down', async () => {
    const { p, slice, tell, create, end } = await waiting();
    const id = await create(0);
    end();
    const key = workKeys(p.deps.settings.layout, JOB).calls(slice.batchId).created(0);
    await p.deps.objects.put(key, createdSegment([{ custom_id: 'a', request: 0, at: 1 }]));
    const { getBatch } = p.deps.jobs;
    let reads = 0;
    p.seen.jobs.getBatch = async (...of) => {
      const batch = await getBatch.apply(p.deps.jobs, of);
      return reads++ === 0 ? batch : batch && { ...batch, state: 'ended' };
    };
    await tell(id);
    expect(await p.deps.background.get(id)).toBeUndefined();
  });

  test('is reported where it cannot be deleted', async () => {
    const { p, tell, id, events } = await ended({});
    const failing = async (): Promise<never> => {
      throw new Error('500');
    };
    change(p, { remove: failing });
    await tell(id);
    expect(events().filter((name) => !name.startsWith('webhook.'))).toEqual(['responses.retained']);
  });
});

test('a job in a window needs no look where webhooks tell, and a create without an answer is not made again', async () => {
  const ids = idsOf(4);
  const settings = settingsSchema.parse({
    routes: [{ name: 'r', prefix: 'input/', budget: 'unlimited', tiers: ['background-2h'] }],
    webhooks: { apiKeys: ['default'] },
  });
  const faults = [{ match: requestAt(1), times: 1, effect: { kind: 'response.lose_create' } as const }];
  const p = await startTestPipeline({ settings, emulator: { faults, lenient: ['shutdowns'] } });
  await p.drop(KEY, fileOf(ids));
  await p.drain();
  p.emulator.clock.advance(4 * MINUTE_MS);
  for (const [index, objectId] of (await responseIds(p)).entries()) {
    const names = { webhookId: `wh_${index}`, type: 'response.completed', objectId } as const;
    await p.deps.outbox.observe({ v: 1, ...names, apiKey: 'default', receivedAt: p.deps.ambient.now() });
  }
  await p.drain();
  p.emulator.clock.advance(2 * SECOND_MS);
  await p.drain();
  expect(customIds(await p.output(KEY))).toEqual(ids);
  expect((await p.receipt(KEY)).possiblyBilledTwice).toEqual({});
  expect((await paidFor(p)).times).toEqual([1, 1, 1, 1]);
  // One for each webhook.
  expect(p.emulator.calls()['GET /v1/responses/*']).toBe(ids.length);
});

test('a worker that dies after any call leaves nothing that the next one does not bring about', async () => {
  for (let deadly = 1; ; deadly += 1) {
    let calls = Number.NEGATIVE_INFINITY;
    const { create, tell, arrival, record, now, end } = await waiting(
      {},
      {
        intercept: async (_call, effect) => {
          const result = await effect();
          calls += 1;
          if (calls === deadly) throw new Error('the worker died');
          return result;
        },
      },
    );
    const id = await create(0);
    end();
    calls = 0;
    const died = await tell(id).then(
      () => false,
      () => true,
    );
    calls = Number.NEGATIVE_INFINITY;
    await tell(id);
    expect(await arrival(0)).toMatchObject({ id });
    expect((await record())!.wait?.notBefore).toBe(now() + 2 * SECOND_MS);
    if (!died) {
      expect(deadly).toBeGreaterThan(5);
      return;
    }
  }
});
