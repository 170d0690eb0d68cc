/** What a webhook about a batch leads to, whenever and however often it comes, with the real emulator behind it. */
import { describe, expect, test } from 'vitest';
import type { ObserveMessage } from '../../../src/contract/messages.ts';
import { HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import { isHealthy } from '../../../src/core/scheduling/webhook-health.ts';
import { observe } from '../../../src/core/steps/observe/observe.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { chatLine, type Pipeline, type PipelineOptions } from '../../support/pipeline.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const IDS = ['a', 'b', 'c'];

/** A pipeline with one batch at OpenAI, and what it asks OpenAI. */
async function submitted(options: PipelineOptions = {}) {
  const events: SeenEvent[] = [];
  const asked: string[] = [];
  const p = await startTestPipeline({
    telemetry: telemetryTo((event) => events.push(event)),
    intercept: (call, effect) => {
      if (call.startsWith('batches.')) asked.push(call);
      return effect();
    },
    ...options,
  });
  await p.drop(KEY, IDS.map((id) => chatLine(id)).join('\n'));
  await p.drain();
  const { id } = (await p.client.batches.list()).data[0]!;
  return {
    p,
    id,
    asked,
    names: () => events.map(({ name }) => name).filter((name) => name.startsWith('webhook.')),
    /** The webhook that says that the batch has ended. */
    message: (parts: Partial<ObserveMessage> = {}): ObserveMessage => ({
      v: 1,
      webhookId: 'wh_1',
      type: 'batch.completed',
      objectId: id,
      apiKey: 'default',
      receivedAt: p.deps.ambient.now(),
      ...parts,
    }),
  };
}

/** Time enough for the emulator to end a batch. */
async function endAtOpenAI(p: Pipeline): Promise<void> {
  p.emulator.clock.advance(2 * HOUR_MS);
}

async function expectEveryAnswerOnce(p: Pipeline): Promise<void> {
  const receipt = await p.receipt(KEY);
  expect(receipt.counts.succeeded).toBe(IDS.length);
  expect(receipt.possiblyBilledTwice ?? {}).toEqual({});
  expect((await p.output(KEY)).map(({ custom_id }) => custom_id)).toEqual(IDS);
}

/** What has been created at OpenAI: each request was paid for once. */
async function expectOneBatch(p: Pipeline): Promise<void> {
  expect((await p.client.batches.list()).data).toHaveLength(1);
}

const healthOf = (p: Pipeline) => p.deps.webhooks.getHealth('default');

describe('a webhook about a batch of ours', () => {
  test('brings its results without a poll, with one request to OpenAI', async () => {
    const { p, asked, message, names } = await submitted();
    await endAtOpenAI(p);
    asked.length = 0;
    await p.deps.outbox.observe(message());
    await p.drain();
    await expectEveryAnswerOnce(p);
    await expectOneBatch(p);
    expect(asked.filter((call) => call !== 'batches.readFile' && call !== 'batches.deleteFile')).toEqual([
      'batches.getBatch',
    ]);
    expect(names()).toEqual(['webhook.observed']);
    expect(isHealthy(await healthOf(p), p.deps.ambient.now())).toBe(true);
  });

  test('that comes twice is dealt with once, and asks OpenAI once', async () => {
    const { p, asked, message, names } = await submitted({ twice: true });
    await endAtOpenAI(p);
    asked.length = 0;
    await p.deps.outbox.observe(message());
    await p.deps.outbox.observe(message());
    await p.drain();
    await expectEveryAnswerOnce(p);
    expect(asked.filter((call) => call === 'batches.getBatch')).toHaveLength(1);
    expect(names()).toEqual(['webhook.observed', ...Array(3).fill('webhook.repeated')]);
  });

  test('that is lost changes nothing: the poll finds the batch, and webhooks are not relied on', async () => {
    const { p } = await submitted();
    await p.run();
    await expectEveryAnswerOnce(p);
    await expectOneBatch(p);
    expect(isHealthy(await healthOf(p), p.deps.ambient.now())).toBe(false);
  });

  test('that comes days after the job is finished changes nothing', async () => {
    const { p, message, names } = await submitted();
    await p.run();
    p.emulator.clock.advance(72 * HOUR_MS);
    const before = await p.deps.jobs.listBatches((await p.deps.jobs.getJob(await jobOf(p)))!.jobId);
    await observe(p.deps, message());
    expect(await p.deps.jobs.listBatches(await jobOf(p))).toEqual(before);
    expect(p.deps.outbox.messages).toEqual([]);
    expect(names()).toEqual(['webhook.observed']);
    await expectEveryAnswerOnce(p);
  });

  test.each([['batch.failed'], ['batch.expired'], ['batch.cancelled']] as const)(
    'that says %s while OpenAI shows it completed is not believed',
    async (type) => {
      const { p, message } = await submitted();
      await endAtOpenAI(p);
      await observe(p.deps, message({ type }));
      await p.drain();
      await expectEveryAnswerOnce(p);
      await expectOneBatch(p);
    },
  );

  test('at the same time as the poll, or before or after it, leads to one collect that counts', async () => {
    for (const order of ['first', 'last', 'at once'] as const) {
      const { p, message } = await submitted();
      await endAtOpenAI(p);
      const look = () => observe(p.deps, message());
      if (order === 'first') await look();
      await Promise.all([poll(p.deps), ...(order === 'at once' ? [look()] : [])]);
      if (order === 'last') await look();
      const collects = p.deps.outbox.messages.filter(({ queue }) => queue === 'collect');
      expect(collects, order).toHaveLength(1);
      await p.drain();
      await expectEveryAnswerOnce(p);
      await expectOneBatch(p);
    }
  });

  test('that comes before OpenAI shows the end is looked at again, five times, then left to the poll', async () => {
    const { p, message, names } = await submitted();
    await p.deps.outbox.observe(message());
    await p.drain();
    for (let step = 0; step < 6; step += 1) {
      p.emulator.clock.advance(10_000 * 2 ** step);
      if (step < 1) continue;
      await p.drain();
    }
    expect(names().at(0)).toBe('webhook.deferred');
    await p.run();
    await expectEveryAnswerOnce(p);
    await expectOneBatch(p);
  });

  test('whose end never shows is given up after five tries', async () => {
    const { p, message, names } = await submitted();
    await observe(p.deps, message({ tries: 5 }));
    expect(names()).toEqual(['webhook.abandoned']);
    expect(p.deps.outbox.messages).toEqual([]);
    await p.run();
    await expectEveryAnswerOnce(p);
  });

  test('that comes before the answer to its create is recorded waits for the record, and nothing is created again', async () => {
    let isLost = false;
    const { p, message, names } = await submitted({
      intercept: async (call, effect) => {
        const result = await effect();
        if (call === 'batches.createBatch' && !isLost) {
          isLost = true;
          throw new Error('the answer got lost');
        }
        return result;
      },
    });
    await observe(p.deps, message());
    expect(names()).toEqual(['webhook.deferred']);
    await p.run();
    await expectEveryAnswerOnce(p);
    await expectOneBatch(p);
  });

  test('whose worker dies at any call of a port changes nothing that the next one does not', async () => {
    for (let deadly = 0; deadly < 12; deadly += 1) {
      let calls = Number.NEGATIVE_INFINITY;
      const { p, message } = await submitted({
        intercept: async (_call, effect) => {
          const result = await effect();
          calls += 1;
          if (calls === deadly) throw new Error('the worker died');
          return result;
        },
      });
      await endAtOpenAI(p);
      calls = 0;
      const died = await observe(p.seen, message()).then(
        () => false,
        () => true,
      );
      calls = Number.NEGATIVE_INFINITY;
      await observe(p.seen, message());
      await p.run();
      await expectEveryAnswerOnce(p);
      await expectOneBatch(p);
      if (!died) return;
    }
    throw new Error('observe makes more calls than this test tries');
  });
});

describe('a webhook about work of others', () => {
  test('is read once, recorded nowhere, and no sign that ours arrive', async () => {
    const { p, asked, message, names } = await submitted();
    const file = await p.client.files.create({
      purpose: 'batch',
      file: new File([`${chatLine('x')}\n`], 'theirs.jsonl'),
    });
    const theirs = await p.client.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: { batchdrop_stack: 'another-stack', batchdrop_job: 'j', batchdrop_batch: '0-00000' },
    });
    asked.length = 0;
    for (let times = 0; times < 3; times += 1) await observe(p.seen, message({ objectId: theirs.id }));
    expect(asked).toEqual(['batches.getBatch']);
    expect(names()).toEqual(['webhook.dismissed', 'webhook.repeated', 'webhook.repeated']);
    expect(await p.deps.webhooks.wasObserved('wh_1')).toBe(false);
    expect(await healthOf(p)).toBeUndefined();
  });

  test('five thousand an hour are read, then none for an hour; the poll still brings what is ours', async () => {
    let asked = 0;
    let isUnknown = true;
    const { p, message, names } = await submitted({
      intercept: async (call, effect) => {
        if (call !== 'batches.getBatch' || !isUnknown) return effect();
        asked += 1;
        // As OpenAI's 404.
        return undefined as never;
      },
    });
    for (let index = 0; index < 5_100; index += 1)
      await observe(p.seen, message({ webhookId: `wh_${index}`, objectId: `batch_unknown_${index}` }));
    expect(asked).toBe(5_000);
    expect(names().filter((name) => name === 'webhook.skipped')).toHaveLength(100);
    isUnknown = false;
    await p.run();
    await expectEveryAnswerOnce(p);
    p.emulator.clock.advance(61 * MINUTE_MS);
    await observe(p.seen, message({ webhookId: 'wh_later' }));
    expect(names().at(-1)).toBe('webhook.observed');
  });

  test('of a project whose key does not see the batch does nothing to it', async () => {
    const keys = { read: async () => ({ key: 'sk-b', versionId: '1' }) };
    const otherKeys = {
      'team-b': { ...keys, readAgain: keys.read, readVersion: keys.read },
    };
    const { p, message, names } = await submitted({
      otherKeys,
      emulator: { apiKeys: { 'sk-test': 'ours', 'sk-b': 'theirs' } },
    });
    await endAtOpenAI(p);
    await observe(p.seen, message({ apiKey: 'team-b' }));
    // For that project it may be there in a moment.
    expect(names()).toEqual(['webhook.deferred']);
    await observe(p.seen, message({ apiKey: 'team-b', tries: 5 }));
    expect(names().at(-1)).toBe('webhook.dismissed');
    await p.run();
    await expectEveryAnswerOnce(p);
  });
});

test('a webhook whose API key has no secret any more is left to the poll', async () => {
  const { p, message, names } = await submitted();
  await observe(p.deps, message({ apiKey: 'gone' }));
  expect(names()).toEqual(['webhook.postponed']);
});

async function jobOf(p: Pipeline): Promise<string> {
  return (await p.receipt(KEY)).jobId;
}
