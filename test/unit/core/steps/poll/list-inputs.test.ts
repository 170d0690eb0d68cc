/** Inputs whose event was lost are found by the hourly listing; nothing else becomes a job by it. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Settings, settingsSchema } from '../../../../../src/contract/settings.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../../../src/contract/time.ts';
import { jobIdOf } from '../../../../../src/core/model/job-id.ts';
import type { ObjectHead } from '../../../../../src/core/model/objects.ts';
import { listInputs } from '../../../../../src/core/steps/poll/list-inputs.ts';
import { poll } from '../../../../../src/core/steps/poll/poll.ts';
import { MemoryJobs } from '../../../../support/memory/jobs.ts';
import { MemoryListing } from '../../../../support/memory/listing.ts';
import { MemoryObjects } from '../../../../support/memory/objects.ts';
import { MemoryOutbox } from '../../../../support/memory/outbox.ts';
import { MemoryOwners } from '../../../../support/memory/owners.ts';
import { chatLine, startPipeline } from '../../../../support/pipeline.ts';
import { propertyRuns } from '../../../../support/property-runs.ts';
import { jobOf } from '../../../../support/records.ts';
import { BATCH_ONLY } from '../../../../support/routes.ts';
import { expectListedEvents, noTelemetry } from '../../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const BUCKET = 'bucket';
const START = 1_790_000_000_000;
const POLL_MS = 5 * MINUTE_MS;

/** A bucket that has been listed for the first time, and a clock. */
async function start(options: { settings?: Settings; isVersioned?: boolean } = {}) {
  const clock = { now: START };
  const ambient = { now: () => clock.now };
  const { isVersioned = true } = options;
  const objects = new MemoryObjects({ bucket: BUCKET, isVersioned, pageSize: 2 }, ambient);
  const jobs = new MemoryJobs();
  const outbox = new MemoryOutbox();
  const budget = { pages: Number.POSITIVE_INFINITY };
  const calls = { pages: 0, lookUps: 0 };
  const deps = {
    stackId: 'stack-1',
    stackName: 'stack-1',
    owners: new MemoryOwners(),
    settings:
      options.settings ??
      settingsSchema.parse({ layout: {}, routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }] }),
    inputs: {
      listVersions: (...parameters: Parameters<MemoryObjects['listVersions']>) => {
        calls.pages += 1;
        budget.pages -= 1;
        return objects.listVersions(...parameters);
      },
    },
    jobs: {
      getJob: (jobId: string) => {
        calls.lookUps += 1;
        return jobs.getJob(jobId);
      },
    },
    listing: new MemoryListing(),
    outbox,
    ambient,
    deadline: { remainingMs: () => (budget.pages > 0 ? 5 * MINUTE_MS : 0) },
    telemetry: noTelemetry,
  };
  const poll = () => listInputs(deps);
  return {
    deps,
    clock,
    objects,
    budget,
    calls,
    poll,
    /** Puts an object of which nobody is told. */
    async put(key: string, body = key): Promise<ObjectHead> {
      await objects.put(key, Buffer.from(body));
      return (await objects.head(BUCKET, key))!;
    },
    /** Does what ingest does of an object. */
    async record(input: ObjectHead): Promise<void> {
      await jobs.createJob(jobOf(jobIdOf(input), { input, source: input }));
    },
    async wait(ms: number): Promise<void> {
      for (const end = clock.now + ms; clock.now < end; ) {
        clock.now += POLL_MS;
        await poll();
      }
    },
    /** What ingest was told since this was asked last. */
    told: () => outbox.messages.splice(0).map(({ message }) => message),
  };
}

const messageOf = ({ bucket, key, versionId }: ObjectHead) =>
  versionId === undefined ? { v: 1, bucket, key } : { v: 1, bucket, key, versionId };

test('an object without a job is handed to ingest within an hour and a quarter, by its version', async () => {
  const { poll, put, wait, told } = await start();
  await poll();
  await wait(20 * MINUTE_MS);
  const lost = await put('input/nightly/a.jsonl');
  await wait(75 * MINUTE_MS);
  expect(told()).toEqual([messageOf(lost)]);
});

test('in a bucket without versions an object is named by its key, and found by its etag and time', async () => {
  const { poll, put, record, wait, told } = await start({ isVersioned: false });
  await poll();
  const lost = await put('input/a.jsonl');
  await record(await put('input/b.jsonl'));
  await wait(2 * HOUR_MS);
  expect(told()).toContainEqual(messageOf(lost));
  expect(lost.versionId).toBeUndefined();
});

test('every version of a key has its own job, also one that was overwritten before anybody looked', async () => {
  const { poll, clock, put, wait, told } = await start();
  await poll();
  const first = await put('input/a.jsonl', 'one');
  clock.now += MINUTE_MS;
  const second = await put('input/a.jsonl', 'two');
  await wait(HOUR_MS);
  expect(told()).toEqual([messageOf(second), messageOf(first)]);
});

test('what lay there before the deployment first ran is never run, and costs no look-up', async () => {
  const { poll, clock, put, wait, told, calls } = await start();
  await put('input/old.jsonl');
  clock.now += 2_000;
  await poll();
  await wait(2 * DAY_MS);
  expect(told()).toEqual([]);
  expect(calls.lookUps).toBe(0);
  expect(calls.pages).toBeGreaterThan(40);
});

test('what has a job is left alone, and is looked up at two listings at most', async () => {
  const { poll, put, record, wait, told, calls } = await start();
  await poll();
  for (const name of ['a', 'b', 'c']) await record(await put(`input/${name}.jsonl`));
  await wait(DAY_MS);
  expect(told()).toEqual([]);
  expect(calls.lookUps).toBeLessThanOrEqual(6);
});

test('an empty marker of a folder is sent to no function', async () => {
  const { poll, put, wait, told } = await start();
  await poll();
  await put('input/nightly_$folder$', '');
  await wait(2 * HOUR_MS);
  expect(told()).toEqual([]);
});

test('an object that is a few minutes old is left to its event', async () => {
  const { poll, clock, put, told } = await start();
  await poll();
  clock.now += 59 * MINUTE_MS;
  await put('input/a.jsonl');
  clock.now += MINUTE_MS;
  await poll();
  expect(told()).toEqual([]);
});

test('an object that ingest cannot take is sent to ingest again every hour, for a week', async () => {
  const { poll, put, wait, told, record } = await start();
  await poll();
  const lost = await put('input/a.jsonl');
  await wait(DAY_MS);
  expect(told()).toHaveLength(24);
  await wait(6 * DAY_MS);
  expect(told()).toHaveLength(6 * 24);
  await wait(3 * HOUR_MS);
  told();
  await wait(2 * DAY_MS);
  expect(told()).toEqual([]);
  await record(lost);
});

test('an upload that took days, and says when it began, is found when it appears', async () => {
  const { poll, clock, put, wait, told, deps, objects } = await start();
  await poll();
  await wait(HOUR_MS);
  clock.now -= 30 * MINUTE_MS;
  const whole = await put('input/whole.jsonl');
  const inParts = await put('input/parts.jsonl');
  clock.now += 30 * MINUTE_MS;
  // Neither is listed before the third day.
  deps.inputs.listVersions = async () => ({ versions: [] });
  await wait(3 * DAY_MS);
  deps.inputs.listVersions = async () => ({ versions: [whole, { ...inParts, etag: '"abc-17"' }] });
  await wait(2 * HOUR_MS);
  expect(told()).toContainEqual(messageOf(inParts));
  expect(await objects.head(BUCKET, 'input/whole.jsonl')).toBeDefined();
});

test('only what a route takes is sent to ingest, and prefixes that no route has are not listed', async () => {
  const settings = settingsSchema.parse({
    layout: {},
    routes: [
      { ...BATCH_ONLY, name: 'a', prefix: 'input/a/', match: ['**/*.jsonl'] },
      { ...BATCH_ONLY, name: 'deep', prefix: 'input/a/deep/' },
      { ...BATCH_ONLY, name: 'b', prefix: 'input/b/' },
    ],
  });
  const { poll, put, wait, told, deps } = await start({ settings });
  const listed = new Set<string>();
  const { listVersions } = deps.inputs;
  deps.inputs.listVersions = (prefix, after) => {
    listed.add(prefix);
    return listVersions(prefix, after);
  };
  await poll();
  for (const key of [
    'input/a/1.jsonl',
    'input/a/2.txt',
    'input/a/deep/_3',
    'input/a/deep/4',
    'input/b/5',
    'input/6.jsonl',
  ])
    await put(key);
  await wait(HOUR_MS);
  expect(told().map((message) => ('key' in message ? message.key : ''))).toEqual([
    'input/a/1.jsonl',
    'input/a/deep/4',
    'input/b/5',
  ]);
  expect([...listed]).toEqual(['input/a/', 'input/b/']);
});

test('a listing that takes many runs continues where it was, and looks at every object once', async () => {
  const { poll, put, wait, clock, told, budget, calls } = await start();
  await poll();
  const puts: ObjectHead[] = [];
  for (let index = 0; index < 21; index++)
    puts.push(await put(`input/${String(index).padStart(2, '0')}.jsonl`));
  await wait(55 * MINUTE_MS);
  const runs: number[] = [];
  while (runs.length < 50) {
    clock.now += POLL_MS;
    budget.pages = 3;
    const before = calls.pages;
    await poll();
    if (calls.pages === before) break;
    runs.push(calls.pages - before);
  }
  expect(told()).toEqual(puts.map(messageOf));
  expect(runs).toEqual([3, 3, 3, 2]);
});

test('a run that dies anywhere leaves a listing that finds everything', async () => {
  const KEYS = ['input/a', 'input/b', 'input/c', 'input/d', 'input/e'];
  for (const fatal of ['getListing', 'putListing', 'listVersions', 'getJob', 'ingest']) {
    for (let occurrence = 0; occurrence < 6; occurrence++) {
      for (const moment of ['before', 'after']) {
        const { deps, poll, put, wait, told } = await start();
        await poll();
        for (const key of KEYS) await put(key);
        let seen = 0;
        for (const port of [deps.listing, deps.inputs, deps.jobs, deps.outbox] as Record<
          string,
          (...of: unknown[]) => Promise<unknown>
        >[]) {
          const method = port[fatal];
          if (typeof method !== 'function') continue;
          port[fatal] = async (...parameters) => {
            const isFatal = seen++ === occurrence;
            if (isFatal && moment === 'before') throw new Error('died');
            const result = await method.apply(port, parameters);
            if (isFatal) throw new Error('died');
            return result;
          };
        }
        for (let polls = 0; polls < 60; polls++) await wait(POLL_MS).catch(() => {});
        const keys = new Set(told().map((message) => ('key' in message ? message.key : '')));
        expect([...keys].sort(), `${moment} ${fatal} ${occurrence}`).toEqual(KEYS);
      }
    }
  }
});

test('a poller that was overtaken writes over nothing', async () => {
  const { deps, poll, clock } = await start();
  await poll();
  clock.now += HOUR_MS;
  const stale = {
    ...deps,
    listing: {
      ...deps.listing,
      getListing: () => deps.listing.getListing(),
      putListing: async (next: Parameters<MemoryListing['putListing']>[0]) => {
        await poll();
        return deps.listing.putListing(next);
      },
    },
  };
  await listInputs(stale);
  expect(await deps.listing.getListing()).toMatchObject({
    generation: 2,
    watermark: clock.now - 15 * MINUTE_MS,
  });
});

test('whatever is dropped whenever, and whichever events get lost: everything since the first run has a job a day later', async () => {
  const drops = fc.array(
    fc.record({
      after: fc.nat({ max: 3 * HOUR_MS }),
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      isReported: fc.boolean(),
    }),
    { maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(
      drops,
      fc.boolean(),
      fc.integer({ min: 1, max: 3 }),
      async (made, isVersioned, pages) => {
        const world = await start({ isVersioned });
        await world.poll();
        const current = new Map<string, ObjectHead>();
        const run = async (ms: number): Promise<void> => {
          for (const end = world.clock.now + ms; world.clock.now < end; ) {
            world.clock.now = Math.min(end, world.clock.now + POLL_MS);
            world.budget.pages = pages;
            await world.poll();
            for (const message of world.told()) {
              if (!('key' in message)) continue;
              const head = await world.objects.head(message.bucket, message.key, message.versionId);
              if (head !== undefined) await world.record(head);
            }
          }
        };
        for (const { after, key, isReported } of made) {
          await run(after);
          const head = await world.put(`input/${key}`, `${key} at ${world.clock.now}`);
          current.set(isVersioned ? head.versionId! : key, head);
          if (isReported) await world.record(head);
        }
        await run(DAY_MS);
        for (const head of current.values())
          expect(await world.deps.jobs.getJob(jobIdOf(head))).toBeDefined();
      },
    ),
    { numRuns: propertyRuns(60) },
  );
});

test('a file whose event was lost is found by the poll and runs to its receipt', async () => {
  const p = await startPipeline();
  try {
    // The first run of the deployment.
    await p.drop('input/first.jsonl', chatLine('a'));
    await p.run();
    await p.deps.objects.put('input/lost.jsonl', Buffer.from([chatLine('b'), chatLine('c')].join('\n')));
    for (let minutes = 0; minutes < 120; minutes += 5) {
      p.emulator.clock.advance(POLL_MS);
      await poll(p.deps);
      await p.drain();
    }
    await p.run();
    expect(await p.receipt('input/lost.jsonl')).toMatchObject({
      result: 'succeeded',
      counts: { succeeded: 2 },
    });
  } finally {
    await p.stop();
  }
});
