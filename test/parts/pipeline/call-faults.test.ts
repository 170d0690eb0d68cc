/** What goes wrong around the calls of a slice: slow writes, long refusals, a deadline that nears meanwhile. */

import { afterEach, describe, expect, it } from 'vitest';
import { readDuration } from '../../../src/contract/durations.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import type { CallAnswer } from '../../../src/core/ports/provider.ts';
import { chatLine, type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { expectListedEvents } from '../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';

const REFUSED: CallAnswer = {
  status: 429,
  body: '{"error":{"message":"Resource Unavailable","code":"resource_unavailable"}}',
};
const ANSWER: CallAnswer = {
  status: 200,
  requestId: 'req_1',
  body: '{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":5}}',
};

interface Request {
  id: string;
  tier: string;
  /** How often it was called before. */
  times: number;
}

let pipeline: Pipeline;
/** Calls that were executed, by request. */
let executed: Map<string, number>;
/** When the worker that runs now is ended. */
let endsAt: number;
afterEach(() => pipeline.stop());

/** A pipeline whose workers live for 15 minutes of its clock, and whose calls are answered by `answer`. */
async function start(
  route: Record<string, unknown>,
  answer: (request: Request) => Promise<CallAnswer> | CallAnswer,
): Promise<void> {
  executed = new Map();
  pipeline = await startPipeline({
    settings: settingsSchema.parse({
      routes: [{ name: 'r', prefix: 'input/', budget: 'unlimited', ...route }],
    }),
    onInvocation: () => {
      endsAt = now() + 15 * MINUTE_MS;
    },
    deadline: { remainingMs: () => endsAt - now() },
  });
  endsAt = now() + 15 * MINUTE_MS;
  const called = new Map<string, number>();
  pipeline.deps.calls.call = async ({ body }) => {
    const { messages, service_tier: tier } = JSON.parse(body);
    const id = messages[0].content.replace('question of ', '');
    const times = called.get(id) ?? 0;
    called.set(id, times + 1);
    const answered = await answer({ id, tier, times });
    if (answered.status === 200) executed.set(id, (executed.get(id) ?? 0) + 1);
    return answered;
  };
}

const now = (): number => pipeline?.emulator.clock.now() ?? 0;
const sleep = (ms: number): Promise<void> => pipeline.deps.sleep(ms);

async function drop(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, index) => `id-${index}`);
  await pipeline.drop(KEY, ids.map((id) => chatLine(id)).join('\n'));
  return ids;
}

/** Every request was executed once and has its answer. */
async function expectPaidOnce(ids: readonly string[]): Promise<void> {
  expect(new Set(executed.values())).toEqual(new Set([1]));
  expect((await pipeline.output(KEY)).map(({ custom_id }) => custom_id)).toEqual(ids);
  expect((await pipeline.receipt(KEY)).possiblyBilledTwice).toEqual({});
}

/** Every request has its answer by then, and was paid for once. */
async function expectPaidOnceWithin(deadline: string): Promise<void> {
  const droppedAt = now();
  const ids = await drop(40);
  await pipeline.run();
  await expectPaidOnce(ids);
  const { completedAt } = (await pipeline.receipt(KEY)).timings;
  expect(Date.parse(completedAt)).toBeLessThanOrEqual(droppedAt + readDuration(deadline)!);
}

describe('answers', () => {
  it('that come while others are being kept are kept, too, for the worker that continues', async () => {
    await start({ tiers: ['standard'] }, async ({ id }) => {
      await sleep(60 * SECOND_MS + Number(id.slice(3)) * 97);
      return ANSWER;
    });
    const { objects } = pipeline.deps;
    const { put } = objects;
    objects.put = async (key, ...rest) => {
      if (key.includes('/calls/')) await sleep(2 * SECOND_MS);
      return put.call(objects, key, ...rest);
    };
    const ids = await drop(500);
    await pipeline.run();
    await expectPaidOnce(ids);
  });

  it('are kept although what they say of the pace cannot be', async () => {
    await start({ tiers: ['standard'] }, () => ANSWER);
    const { quota } = pipeline.deps;
    const { changeLedger } = quota;
    quota.changeLedger = async (name, ...rest) => {
      if (name.startsWith('calls/')) throw new Error('throttled');
      return changeLedger.call(quota, name, ...rest);
    };
    const ids = await drop(40);
    await pipeline.run();
    await expectPaidOnce(ids);
  });

  it('are not asked for again by the record of a restored table that was still to call them', async () => {
    let hasRoom = false;
    await start({ tiers: ['standard'] }, () => (hasRoom ? ANSWER : REFUSED));
    const ids = await drop(40);
    await pipeline.drain();
    const restores = [pipeline.deps.jobs.snapshot(), pipeline.deps.quota.snapshot()];
    hasRoom = true;
    await pipeline.run();
    for (const restore of restores) restore();
    await pipeline.run();
    await expectPaidOnce(ids);
  });
});

describe('refusals', () => {
  it.each([
    ['20 minutes', 20 * MINUTE_MS],
    ['30 days', 30 * 24 * 60 * MINUTE_MS],
  ])('that ask to come again in %s let the worker end in good order', async (_, retryAfterMs) => {
    let isFirst = true;
    await start({ tiers: ['standard'] }, () => (isFirst ? { ...REFUSED, retryAfterMs } : ANSWER));
    const ids = await drop(40);
    await pipeline.drain();
    expect(endsAt - now()).toBeGreaterThan(0);
    isFirst = false;
    await pipeline.run();
    await expectPaidOnce(ids);
  });

  it.each(['60m', '80m', '100m', '120m', '140m'])(
    'of flex never keep a slice so long that standard cannot meet a deadline of %s',
    async (deadline) => {
      await start({ tiers: ['flex', 'standard'], deadline }, ({ tier }) =>
        tier === 'flex' ? REFUSED : ANSWER,
      );
      await expectPaidOnceWithin(deadline);
    },
  );
});

describe('errors', () => {
  it('of a request that is larger than the whole limit end it, whatever their code', async () => {
    const error = {
      message: 'Request too large for gpt-6-luna on tokens per min (TPM): Limit 30000, Requested 36055.',
      type: 'tokens',
      param: null,
      code: 'rate_limit_exceeded',
    };
    await start({ tiers: ['standard'] }, ({ id }) =>
      id === 'id-1' ? { status: 429, body: JSON.stringify({ error }) } : ANSWER,
    );
    await drop(3);
    await pipeline.run();
    const receipt = await pipeline.receipt(KEY);
    expect(receipt).toMatchObject({ counts: { succeeded: 2 }, errorsByCode: { rate_limit_exceeded: 1 } });
  });

  it('of a service that is down for a few minutes end no request', async () => {
    const upAt = { time: Number.POSITIVE_INFINITY };
    await start({ tiers: ['standard'] }, () =>
      now() < upAt.time ? { status: 503, body: '{"error":{"message":"Overloaded","code":null}}' } : ANSWER,
    );
    upAt.time = now() + 4 * MINUTE_MS;
    const ids = await drop(40);
    await pipeline.run();
    await expectPaidOnce(ids);
  });
});

it('calls a request that is nested beyond all depth as its line has it', async () => {
  const bodies: string[] = [];
  await start({ tiers: ['standard'] }, () => ANSWER);
  const answered = pipeline.deps.calls.call;
  pipeline.deps.calls.call = (request) => {
    bodies.push(request.body);
    return answered(request);
  };
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
  await pipeline.drop(KEY, chatLine('deep').replace('"model"', `"metadata":${deep},"model"`));
  await pipeline.run();
  expect(await pipeline.receipt(KEY)).toMatchObject({ result: 'succeeded', errorsByCode: {} });
  expect(bodies).toEqual([expect.stringContaining(`{"metadata":${deep},"model":`)]);
});

it('has a response that is to be made in the background made at once, so that its answer is there', async () => {
  let called: unknown;
  await start({ tiers: ['standard'] }, () => ANSWER);
  pipeline.deps.calls.call = async ({ body }) => {
    called = JSON.parse(body);
    return { ...ANSWER, body: '{"status":"completed","error":null,"output":[{"type":"message"}]}' };
  };
  const own = '"background":true,"background_options":{"completion_window":"8h"},"model"';
  const line = chatLine('b', { url: '/v1/responses' }).replace('"model"', own);
  await pipeline.drop(KEY, line);
  await pipeline.run();
  expect(called).toEqual({ model: expect.any(String), input: expect.any(String), service_tier: 'default' });
});

describe('a batch that cannot be sent', () => {
  it.each([
    ['90m', 'uploadFile'],
    ['3h', 'uploadFile'],
    ['6h', 'uploadFile'],
    ['90m', 'createBatch'],
    ['3h', 'createBatch'],
  ] as const)('goes on in standard in time for a deadline of %s: no %s', async (deadline, step) => {
    await start({ tiers: ['batch', 'standard'], deadline }, () => ANSWER);
    pipeline.deps.batches[step] = async () => {
      throw new Error('down');
    };
    await expectPaidOnceWithin(deadline);
  });
});

it('names no tier to an endpoint that knows of none', async () => {
  const bodies: unknown[] = [];
  await start({ tiers: ['standard'] }, () => ANSWER);
  pipeline.deps.calls.call = async ({ body }) => {
    bodies.push(JSON.parse(body));
    return {
      ...ANSWER,
      body: '{"object":"list","data":[{"index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":5,"total_tokens":5}}',
    };
  };
  const model = 'text-embedding-3-small';
  await pipeline.drop(KEY, chatLine('e', { url: '/v1/embeddings', model, content: 'x' }));
  await pipeline.run();
  expect(bodies).toEqual([{ model, input: 'x' }]);
});
