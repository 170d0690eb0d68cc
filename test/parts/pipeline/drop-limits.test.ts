/** Floods of files: what a route does not let start waits, is not read, and starts by itself in the order of its drop. */
import { describe, expect, test } from 'vitest';
import { type Settings, settingsSchema } from '../../../src/contract/settings.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { type Crash, expectSameAtEachCrash, notifyUntilHandled, withoutCrash } from '../../support/crash.ts';
import { chatLine, type Pipeline, type PipelineOptions } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const BUCKET = 'bucket';
const KEYS = ['input/a.jsonl', 'input/b.jsonl', 'input/c.jsonl', 'input/d.jsonl'];

const withDrops = (drops: Settings['routes'][number]['drops']): Settings =>
  settingsSchema.parse({
    routes: [
      { ...BATCH_ONLY, name: 'all', prefix: 'input/', drops },
      { ...BATCH_ONLY, name: 'other', prefix: 'input/other/' },
    ],
  });

async function start(drops: Settings['routes'][number]['drops'], options: PipelineOptions = {}) {
  const events: SeenEvent[] = [];
  const p = await startTestPipeline({
    settings: withDrops(drops),
    telemetry: telemetryTo((event) => events.push(event)),
    ...options,
  });
  return { p, events };
}

const jobAt = async (p: Pipeline, key: string) =>
  p.deps.jobs.getJob(jobIdOf((await p.deps.objects.head(BUCKET, key))!));

/** When each of the files could start, in the order of their keys; `undefined`: it waits. */
const startsOf = async (p: Pipeline, keys = KEYS) =>
  Promise.all(keys.map(async (key) => (await jobAt(p, key))?.turn?.takenAt));

/** Drops each file a second after the one before. */
async function flood(p: Pipeline, keys = KEYS): Promise<void> {
  for (const key of keys) {
    p.emulator.clock.advance(1_000);
    await p.drop(key, chatLine('a'));
  }
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

describe('files above the limits of their route', () => {
  test('wait, are not read, and start by themselves in the order of their drop', async () => {
    const { p, events } = await start({ perHour: 2 });
    const startedAt = p.emulator.clock.now();
    await flood(p);
    const waiting = await jobAt(p, KEYS[2]!);
    expect(waiting).toMatchObject({ state: 'ingesting', turn: { waitsFor: 'perHour' } });
    expect(waiting?.ingest).toBeUndefined();
    expect(events.filter(({ name }) => name === 'drop.deferred').map(({ fields }) => fields)).toEqual([
      {
        jobId: waiting!.jobId,
        route: 'all',
        waitsFor: 'perHour',
        nextAt: new Date(waiting!.turn!.nextAt!).toISOString(),
      },
      expect.objectContaining({ route: 'all', waitsFor: 'perHour' }),
    ]);
    await p.run();
    for (const key of KEYS) expect((await p.receipt(key)).result).toBe('succeeded');
    const starts = (await startsOf(p)) as number[];
    expect(starts).toEqual(starts.toSorted((one, other) => one - other));
    expect(starts[1]! - startedAt).toBeLessThan(MINUTE_MS);
    expect(starts[2]! - startedAt).toBeGreaterThan(HOUR_MS);
    expect(starts[3]! - startedAt).toBeLessThan(1.5 * HOUR_MS);
    const started = events.filter(({ name }) => name === 'drops.started').map(({ fields }) => fields);
    expect(started).toEqual([{ route: 'all', drops: 2 }]);
    expect(p.failures).toEqual([]);
  });

  test('of a day start on the next one, and other routes do not wait for them', async () => {
    const { p } = await start({ perDay: 2 });
    await flood(p);
    await p.drop('input/other/a.jsonl', chatLine('a'));
    expect((await jobAt(p, 'input/other/a.jsonl'))?.turn).toBeUndefined();
    const today = Math.floor(p.emulator.clock.now() / DAY_MS);
    await p.run(60);
    const days = (await startsOf(p)).map((at) => Math.floor(at! / DAY_MS) - today);
    expect(days).toEqual([0, 0, 1, 1]);
  });

  test('start when the limits are raised or removed', async () => {
    const { p } = await start({ perDay: 1 });
    await flood(p);
    p.deps.settings.routes[0]!.drops = { perDay: 2 };
    await play(p, 10);
    expect((await startsOf(p)).filter((at) => at !== undefined)).toHaveLength(2);
    p.deps.settings.routes[0]!.drops = undefined;
    await play(p, 10);
    expect((await startsOf(p)).filter((at) => at !== undefined)).toHaveLength(4);
  });

  test('start when their route is gone', async () => {
    const { p } = await start({ perDay: 1 });
    await flood(p);
    p.deps.settings.routes.splice(0, 1);
    await play(p, 10);
    expect((await startsOf(p)).filter((at) => at !== undefined)).toHaveLength(4);
  });

  test('go before files that are dropped later, also when there is room', async () => {
    const { p } = await start({ perHour: 1 });
    await flood(p, KEYS.slice(0, 2));
    p.emulator.clock.advance(2 * HOUR_MS);
    await p.drop(KEYS[2]!, chatLine('a'));
    expect(await jobAt(p, KEYS[2]!)).toMatchObject({ turn: { waitsFor: 'earlierDrops' } });
    await play(p, 5);
    const [, second, third] = await startsOf(p, KEYS.slice(0, 3));
    expect(second).toBeDefined();
    expect(third).toBeUndefined();
  });

  test('that are cancelled while they wait end, and take no turn', async () => {
    const { p } = await start({ perDay: 1 });
    await flood(p, KEYS.slice(0, 3));
    const { jobId } = (await jobAt(p, KEYS[1]!))!;
    await cancelJob(p.deps, jobId);
    await play(p, 60);
    expect((await p.deps.jobs.getJob(jobId))?.receiptKey).toBeDefined();
    expect(await p.emulator.ledger.all()).toHaveLength(1);
    p.emulator.clock.advance(DAY_MS);
    await play(p, 10);
    expect((await startsOf(p, KEYS.slice(0, 3)))[2]).toBeDefined();
  });

  test('whose events come twice are counted once, and said once', async () => {
    const { p, events } = await start({ perDay: 2 }, { twice: true });
    await flood(p, KEYS.slice(0, 3));
    const [first, second, third] = await startsOf(p, KEYS.slice(0, 3));
    expect([first, second].every((at) => at !== undefined)).toBe(true);
    expect(third).toBeUndefined();
    expect(events.filter(({ name }) => name === 'drop.deferred')).toHaveLength(1);
  });

  test('of the same content again wait for their own turn, and are answered by the first', async () => {
    const { p } = await start({ perDay: 1 });
    await p.drop(KEYS[0]!, chatLine('a'));
    p.emulator.clock.advance(1_000);
    await p.drop(KEYS[0]!, chatLine('a'));
    expect(await jobAt(p, KEYS[0]!)).toMatchObject({ turn: { waitsFor: 'perDay' } });
    await p.run(60);
    expect(await jobAt(p, KEYS[0]!)).toMatchObject({ state: 'duplicate', result: 'duplicate' });
  });
});

test.each(['before', 'after'] as const)(
  'a worker or a poll that dies %s the count of a turn, or the message after it, loses no file and counts none twice',
  async (when) => {
    const counts = (call: string): boolean =>
      call === 'drops.takeDropTurn' || call === 'drops.noteNoneWaits' || call === 'outbox.ingest';
    const run = async (crash: Crash) => {
      const p = await startTestPipeline({
        settings: withDrops({ perDay: 1 }),
        intercept: crash.intercept,
        onInvocation: crash.onInvocation,
        redeliver: true,
      });
      for (const key of KEYS.slice(0, 3)) {
        p.emulator.clock.advance(1_000);
        await p.deps.objects.put(key, Buffer.from(chatLine('a')));
        await notifyUntilHandled(p, key, crash);
      }
      await p.run(90, HOUR_MS);
      // A worker that died keeps its file leased, and the next file may be the first.
      const days = (await startsOf(p, KEYS.slice(0, 3))).map((at) => Math.floor(at! / DAY_MS));
      const results = await Promise.all(KEYS.slice(0, 3).map(async (key) => (await p.receipt(key)).result));
      const executed = (await p.emulator.ledger.all()).length;
      days.sort((one, other) => one - other);
      return { results, days: days.map((day) => day - days[0]!), executed };
    };
    const { result, calls } = await withoutCrash(run, counts);
    expect(result).toEqual({
      results: ['succeeded', 'succeeded', 'succeeded'],
      days: [0, 1, 2],
      executed: 3,
    });
    expect(calls.filter((call) => call === 'drops.takeDropTurn').length).toBeGreaterThan(5);
    // What the poll asks in vain, again and again, is the same each time.
    await expectSameAtEachCrash({ calls: calls.slice(0, 8), when, counts }, run, result);
  },
);
