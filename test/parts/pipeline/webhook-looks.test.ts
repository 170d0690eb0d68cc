/** While webhooks arrive, the poll looks at OpenAI less often, and at nothing else. */
import { expect, test } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/emulator.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import { toStopping } from '../../../src/core/lifecycle/batch-transitions.ts';
import { observe } from '../../../src/core/steps/observe/observe.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { chatLine, type PipelineOptions } from '../../support/pipeline.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const POLL_MS = 5 * MINUTE_MS;

/** A stack with webhooks, and one file whose batch is at OpenAI. */
async function started({ route = {}, ...options }: PipelineOptions & { route?: object } = {}) {
  const events: SeenEvent[] = [];
  let looks = 0;
  const settings = settingsSchema.parse({
    routes: [{ name: 'a', prefix: 'input/', tiers: ['batch'], budget: 'unlimited', ...route }],
    webhooks: { apiKeys: ['default'] },
  });
  const p = await startTestPipeline({
    settings,
    telemetry: telemetryTo((event) => events.push(event)),
    intercept: (call, effect) => {
      if (call === 'batches.listBatches' || call === 'batches.getBatch') looks += 1;
      return effect();
    },
    ...options,
  });
  const drop = async (key: string) => {
    await p.drop(key, chatLine('a'));
    await p.drain();
    return (await p.client.batches.list()).data[0]!.id;
  };
  const tell = async (objectId: string, webhookId: string) => {
    const names = { webhookId, type: 'batch.completed', objectId } as const;
    await observe(p.deps, { v: 1, ...names, apiKey: 'default', receivedAt: p.deps.ambient.now() });
    await p.drain();
  };
  return {
    p,
    drop,
    tell,
    /** So many polls, five minutes apart; how many of them looked at OpenAI. */
    async polls(count: number): Promise<number> {
      let looked = 0;
      for (let index = 0; index < count; index += 1) {
        p.emulator.clock.advance(POLL_MS);
        looks = 0;
        await poll(p.seen);
        if (looks > 0) looked += 1;
      }
      return looked;
    },
    missed: () => events.filter(({ name }) => name === 'webhook.missed').length,
  };
}

/** A stack of which a webhook has told, so that webhooks are relied on. */
async function relying(options?: Parameters<typeof started>[0]) {
  const stack = await started(options);
  const first = await stack.drop('input/first.jsonl');
  stack.p.emulator.clock.advance(2 * HOUR_MS);
  await stack.tell(first, 'wh_first');
  expect((await stack.p.receipt('input/first.jsonl')).counts.succeeded).toBe(1);
  return stack;
}

/** OpenAI works on batches for most of a day. */
const SLOW: FaultRule[] = [{ effect: { kind: 'batch.stuck', state: 'in_progress', seconds: 80_000 } }];

test('the poll looks each time until the first webhook of ours has arrived', async () => {
  const { p, drop, polls } = await started();
  p.emulator.setFaults(SLOW);
  await drop('input/a.jsonl');
  expect(await polls(6)).toBe(6);
});

test('while webhooks arrive, one poll of six looks at OpenAI', async () => {
  const { p, drop, polls } = await relying();
  p.emulator.setFaults(SLOW);
  await drop('input/a.jsonl');
  expect(await polls(12)).toBe(2);
});

test('a batch of which no webhook tells is found within six polls, and then each poll looks until the next webhook', async () => {
  const { p, drop, polls, tell, missed } = await relying();
  await drop('input/lost.jsonl');
  p.emulator.clock.advance(HOUR_MS);
  let needed = 0;
  while (missed() === 0 && needed < 7) {
    needed += 1;
    await polls(1);
  }
  expect(needed).toBeLessThanOrEqual(6);
  await p.drain();
  expect((await p.receipt('input/lost.jsonl')).counts.succeeded).toBe(1);
  // Silent for longer than two minutes by now: the next batch is seen by the next poll.
  const next = await drop('input/next.jsonl');
  p.emulator.clock.advance(HOUR_MS);
  expect(await polls(1)).toBe(1);
  await p.drain();
  expect((await p.receipt('input/next.jsonl')).counts.succeeded).toBe(1);
  expect(missed()).toBe(1);
  // The webhook comes after all: webhooks are relied on again.
  await tell(next, 'wh_next');
  await drop('input/last.jsonl');
  expect(await polls(12)).toBeLessThanOrEqual(2);
});

test('a batch that is to be cancelled is looked at by every poll', async () => {
  const { p, drop, polls } = await relying();
  p.emulator.setFaults(SLOW);
  await drop('input/a.jsonl');
  await polls(6);
  const [batch] = await Array.fromAsync(p.deps.jobs.listAtOpenAI());
  await p.deps.jobs.moveBatch(batch!, toStopping(batch!, p.deps.ambient.now()), p.deps.ambient.now());
  expect(await polls(1)).toBe(1);
  expect((await p.client.batches.list()).data[0]!.status).toMatch(/^cancell/);
});

test('a batch that validates is looked at by every poll while others wait for what is learned by it', async () => {
  const { p, drop, polls } = await relying();
  p.emulator.setFaults([{ effect: { kind: 'batch.stuck', state: 'validating', seconds: 80_000 } }]);
  await drop('input/a.jsonl');
  expect(await polls(6)).toBe(1);
  await p.deps.quota.changeBacklog(() => ['tokens/default/gpt-6-luna']);
  expect(await polls(1)).toBe(1);
});
