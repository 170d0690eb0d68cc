/** Calls that take minutes, against workers that live for 15: over the whole pipeline, on a virtual clock. */

import { afterEach, describe, expect, it } from 'vitest';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { MINUTE_MS } from '../../../src/contract/time.ts';
import { CallUnansweredError } from '../../../src/core/base/errors.ts';
import { chatLine, type Pipeline, startPipeline } from '../../support/pipeline.ts';

const KEY = 'input/a.jsonl';
const LIFE_MS = 15 * MINUTE_MS;
const BODY =
  '{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":5}}';

let pipeline: Pipeline;
/** How often OpenAI executed each request: an answer that nobody waited for counts as well. */
let executed: Map<string, number>;
let tiersOf: Map<string, string[]>;
/** When the current worker is ended. */
let endsAt: number;
/** The most calls that were under way before the first answer. */
let probes: number;
afterEach(() => pipeline.stop());

const now = (): number => pipeline?.emulator.clock.now() ?? 0;

/** Spreads evenly over ±20 %, in an order that is the same in every run. */
const around = (meanMs: number, seed: number): number =>
  Math.round(meanMs * (0.8 + 0.4 * ((Math.imul(seed + 1, 0x9e3779b1) >>> 0) / 2 ** 32)));

async function start(
  route: Record<string, unknown>,
  latencyOf: (call: { id: string; tier: string; nth: number }) => number,
): Promise<void> {
  executed = new Map();
  tiersOf = new Map();
  probes = 0;
  pipeline = await startPipeline({
    settings: settingsSchema.parse({
      routes: [{ name: 'r', prefix: 'input/', budget: 'unlimited', ...route }],
    }),
    onInvocation: () => {
      endsAt = now() + LIFE_MS;
    },
    deadline: { remainingMs: () => endsAt - now() },
  });
  endsAt = now() + LIFE_MS;
  let calls = 0;
  let underWay = 0;
  let isAnswered = false;
  pipeline.deps.calls.call = async ({ body, timeoutMs }) => {
    const { messages, service_tier: tier } = JSON.parse(body);
    const id = messages[0].content.replace('question of ', '');
    const latencyMs = latencyOf({ id, tier, nth: calls++ });
    executed.set(id, (executed.get(id) ?? 0) + 1);
    tiersOf.set(id, [...(tiersOf.get(id) ?? []), tier]);
    underWay++;
    if (!isAnswered) probes = Math.max(probes, underWay);
    await pipeline.deps.sleep(Math.min(latencyMs, timeoutMs));
    underWay--;
    if (latencyMs > timeoutMs) throw new CallUnansweredError('no answer in time', true);
    isAnswered = true;
    return { status: 200, requestId: 'req_1', body: BODY };
  };
}

async function drop(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, index) => `id-${index}`);
  await pipeline.drop(KEY, ids.map((id) => chatLine(id)).join('\n'));
  await pipeline.run(72);
  expect(pipeline.failures).toEqual([]);
  return ids;
}

const runTwice = (): number => [...executed.values()].filter((times) => times > 1).length;

describe('calls that take minutes', () => {
  it.each([
    ['standard', 3],
    ['standard', 6],
    ['standard', 9],
    ['flex', 3],
    ['flex', 6],
    ['flex', 9],
  ])(
    'are begun only if their worker lives long enough to hear the answer: %s, %d minutes',
    async (tier, minutes) => {
      await start({ tiers: [tier] }, ({ nth }) => around(minutes * MINUTE_MS, nth));
      const ids = await drop(200);
      expect((await pipeline.output(KEY)).map(({ custom_id }) => custom_id)).toEqual(ids);
      expect(runTwice()).toBeLessThanOrEqual(2);
      expect(await pipeline.receipt(KEY)).toMatchObject({ result: 'succeeded', counts: { succeeded: 200 } });
    },
  );

  it('are begun a few at a time while nothing is known of how long they take', async () => {
    await start({ tiers: ['standard'] }, ({ nth }) => around(MINUTE_MS, nth));
    await drop(100);
    expect(probes).toBeLessThanOrEqual(4);
  });

  it('of which one in ten is slow lose none of the slow ones to the end of a worker', async () => {
    await start({ tiers: ['standard'] }, ({ id }) => (id.endsWith('7') ? 9 * MINUTE_MS : 1_000));
    const ids = await drop(500);
    expect((await pipeline.output(KEY)).map(({ custom_id }) => custom_id)).toEqual(ids);
    expect(runTwice()).toBe(0);
  });
});

describe('calls that take longer than a worker lives', () => {
  it('continue in the next tier after a few have shown it', async () => {
    await start({ tiers: ['flex', 'standard'], deadline: '12h' }, ({ tier }) =>
      tier === 'flex' ? 20 * MINUTE_MS : 1_000,
    );
    const ids = await drop(100);
    expect((await pipeline.output(KEY)).map(({ custom_id }) => custom_id)).toEqual(ids);
    const inFlex = [...tiersOf.values()].filter((tiers) => tiers.includes('flex')).length;
    expect(inFlex).toBeLessThanOrEqual(4);
    expect(await pipeline.receipt(KEY)).toMatchObject({ possiblyBilledTwice: { request_timeout: inFlex } });
  });

  it('are not tried in flex by the next file, and are again a day later', async () => {
    let flexMs = 20 * MINUTE_MS;
    await start({ tiers: ['flex', 'standard'], deadline: '12h' }, ({ tier }) =>
      tier === 'flex' ? flexMs : 1_000,
    );
    await drop(10);
    tiersOf.clear();
    await pipeline.drop('input/b.jsonl', chatLine('next'));
    await pipeline.run();
    expect(tiersOf.get('next')).toEqual(['default']);
    flexMs = 1_000;
    pipeline.emulator.clock.advance(24 * 60 * MINUTE_MS);
    endsAt = now() + LIFE_MS;
    await pipeline.drop('input/c.jsonl', chatLine('later'));
    await pipeline.run();
    expect(tiersOf.get('later')).toEqual(['flex']);
  });

  it('get one try of a whole worker each in the last tier, then an error that says so', async () => {
    await start({ tiers: ['standard'] }, () => 20 * MINUTE_MS);
    await drop(40);
    const receipt = await pipeline.receipt(KEY);
    expect(receipt).toMatchObject({ result: 'failed', errorsByCode: { answer_too_slow: 40 } });
    // Before three calls have shown that the model is slow, each may just have hung.
    expect(runTwice()).toBeLessThanOrEqual(2);
    // Nobody knows whether OpenAI charged them.
    expect(Number(receipt.cost!.possibleUsd)).toBeGreaterThan(0);
    const [error] = await pipeline.errors(KEY);
    expect(error.error.message).toMatch(/13 minutes.*may have been charged/);
  });

  it('do not fail a lone request because its first call hung', async () => {
    await start({ tiers: ['standard'] }, ({ nth }) => (nth === 0 ? 60 : 1) * MINUTE_MS);
    await drop(1);
    expect((await pipeline.receipt(KEY)).result).toBe('succeeded');
  });

  it('at 12 minutes each are answered once where they can be, and named where they cannot', async () => {
    await start({ tiers: ['standard'] }, ({ nth }) => around(12 * MINUTE_MS, nth));
    const ids = await drop(100);
    const succeeded = (await pipeline.output(KEY)).length;
    const failed = await pipeline.errors(KEY);
    expect(succeeded + failed.length).toBe(ids.length);
    expect(new Set(failed.map(({ error }) => error.code))).toEqual(new Set(['answer_too_slow']));
    expect(runTwice()).toBe(0);
  });
});
