/** Pauses: nothing new is sent, what is live is collected, and what waits is sent when the pause ends. */
import { describe, expect, test } from 'vitest';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { MINUTE_MS } from '../../../src/contract/time.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { fileOf } from '../../support/background.ts';
import { chatLine, OPERATOR, type Pipeline, type PipelineOptions } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { type SeenEvent, telemetryTo } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

const IDS = ['a', 'b', 'c', 'd'];
const body = IDS.map((id) => chatLine(id)).join('\n');
const TWO_ROUTES = settingsSchema.parse({
  routes: [
    { ...BATCH_ONLY, name: 'one', prefix: 'input/one/' },
    { ...BATCH_ONLY, name: 'two', prefix: 'input/two/' },
  ],
});

async function start(options: PipelineOptions = {}) {
  const events: SeenEvent[] = [];
  const p = await startTestPipeline({ telemetry: telemetryTo((event) => events.push(event)), ...options });
  return { p, events };
}

/** Plays queues and polls for so long, whatever is left. */
async function play(p: Pipeline, minutes: number): Promise<void> {
  for (let at = 0; at < minutes; at += 5) {
    expect(await p.drain()).toEqual([]);
    p.emulator.clock.advance(5 * MINUTE_MS);
    await poll(p.seen);
  }
  expect(await p.drain()).toEqual([]);
}

const sentTo = async (p: Pipeline) => (await p.client.batches.list()).data.length;

describe('while a route is paused', () => {
  test('its files are read and wait, others are sent, and it is sent when the pause ends', async () => {
    const { p, events } = await start({ settings: TWO_ROUTES });
    await p.operate({ action: 'pause', route: 'one', reason: 'bad prompts' });
    await p.drop('input/one/a.jsonl', body);
    await p.drop('input/two/a.jsonl', body);
    await play(p, 60);
    expect(await sentTo(p)).toBe(1);
    expect(await p.receipt('input/two/a.jsonl')).toMatchObject({ result: 'succeeded' });
    const waits = events.findLast(({ name }) => name === 'dispatch.completed');
    expect(waits?.fields.waitingFor).toEqual({ paused: 1 });
    await p.operate({ action: 'unpause', route: 'one' });
    await p.run();
    expect(await p.receipt('input/one/a.jsonl')).toMatchObject({ result: 'succeeded' });
    expect(await p.emulator.ledger.all()).toHaveLength(8);
  });

  test('a batch that is on its way to OpenAI is not sent either, and gives back what was reserved', async () => {
    const { p } = await start();
    await p.drop('input/a.jsonl', body);
    expect(p.deps.outbox.messages.map(({ queue }) => queue)).toEqual(['submit']);
    await p.operate({ action: 'pause' });
    await play(p, 30);
    expect(await sentTo(p)).toBe(0);
    expect((await p.client.files.list()).data).toEqual([]);
    expect(await Array.fromAsync(p.deps.quota.listReservations())).toEqual([]);
    await p.operate({ action: 'unpause' });
    await p.run();
    expect(await p.receipt('input/a.jsonl')).toMatchObject({ result: 'succeeded' });
  });

  test('a batch whose long upload was under way when the pause began is not created before it ends', async () => {
    let whileUploading: (() => Promise<unknown>) | undefined;
    const { p } = await start({
      intercept: async (call, effect) => {
        const result = await effect();
        if (call === 'batches.uploadFile') await whileUploading?.();
        return result;
      },
    });
    whileUploading = async () => {
      p.emulator.clock.advance(10_000);
      await p.operate({ action: 'pause' });
    };
    await p.drop('input/a.jsonl', body);
    await play(p, 30);
    expect(await sentTo(p)).toBe(0);
    expect((await p.client.files.list()).data).toHaveLength(1);
    whileUploading = undefined;
    await p.operate({ action: 'unpause' });
    await p.run();
    expect(await p.receipt('input/a.jsonl')).toMatchObject({ result: 'succeeded' });
    expect(await p.emulator.ledger.all()).toHaveLength(4);
  });

  test('what is live at OpenAI is collected', async () => {
    const { p } = await start();
    await p.drop('input/a.jsonl', body);
    await p.drain();
    expect(await sentTo(p)).toBe(1);
    await p.operate({ action: 'pause' });
    await p.run();
    expect(await p.receipt('input/a.jsonl')).toMatchObject({ result: 'succeeded' });
  });

  test('the deadline goes on and the ladder sends nothing: the time that is left decides when the pause ends', async () => {
    const settings = settingsSchema.parse({
      routes: [
        { ...BATCH_ONLY, name: 'all', prefix: 'input/', tiers: ['batch', 'standard'], deadline: '2h' },
      ],
    });
    const { p } = await start({ settings });
    await p.operate({ action: 'pause' });
    await p.drop('input/a.jsonl', body);
    await play(p, 180);
    expect(await sentTo(p)).toBe(0);
    expect(await p.emulator.ledger.all()).toEqual([]);
    await p.operate({ action: 'unpause' });
    await p.run();
    expect(await p.receipt('input/a.jsonl')).toMatchObject({
      result: 'succeeded',
      tiers: { standard: { succeeded: 4 } },
    });
    expect(await p.emulator.ledger.all()).toHaveLength(4);
  });

  test.each(['standard', 'background-2h'])(
    'a slice in %s begins no call, and nothing is paid for twice',
    async (tier) => {
      const settings = settingsSchema.parse({
        routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/', tiers: [tier], deadline: '12h' }],
      });
      let isPaused = false;
      const { p } = await start({
        settings,
        // The slice is on its way to its worker by then.
        intercept: async (call, effect) => {
          const result = await effect();
          if (call !== 'outbox.call' || isPaused) return result;
          isPaused = true;
          await p.deps.pauses.pause({ v: 1, by: OPERATOR, at: p.emulator.clock.now() });
          return result;
        },
      });
      await p.drop('input/a.jsonl', fileOf(IDS));
      await play(p, 60);
      expect(isPaused).toBe(true);
      expect(await p.emulator.ledger.all()).toEqual([]);
      expect(await Array.fromAsync(p.deps.quota.listReservations())).toEqual([]);
      await p.operate({ action: 'unpause' });
      await p.run();
      expect(await p.receipt('input/a.jsonl')).toMatchObject({
        result: 'succeeded',
        possiblyBilledTwice: {},
      });
      expect(await p.emulator.ledger.all()).toHaveLength(4);
    },
  );
});
