/** Who reads a file: one worker at a time, the next one when that one is dead, nobody any more after four deaths. */

import { expect, test } from 'vitest';
import type { IngestMessage } from '../../../../../src/contract/messages.ts';
import { defaultSettings } from '../../../../../src/contract/settings.ts';
import { readCheckpoint } from '../../../../../src/core/files/checkpoint.ts';
import { LeaseLostError } from '../../../../../src/core/lifecycle/lease.ts';
import { Prices } from '../../../../../src/core/pricing/prices.ts';
import { ingest } from '../../../../../src/core/steps/ingest/ingest.ts';
import type { IngestDeps } from '../../../../../src/core/steps/ingest/ingest-run.ts';
import type { ScanState } from '../../../../../src/core/steps/ingest/scan-state.ts';
import { OPENAI_LIMITS } from '../../../../../src/providers/openai/limits.ts';
import { OPENAI_PRICES } from '../../../../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../../../../src/providers/openai/rules.ts';
import { MemoryDropTurns } from '../../../../support/memory/drop-turns.ts';
import { noHeartbeat } from '../../../../support/memory/heartbeat.ts';
import { MemoryIgnoredDrops } from '../../../../support/memory/ignored-drops.ts';
import { MemoryJobs } from '../../../../support/memory/jobs.ts';
import { MemoryListing } from '../../../../support/memory/listing.ts';
import { MemoryObjects } from '../../../../support/memory/objects.ts';
import { MemoryEvents, MemoryOutbox } from '../../../../support/memory/outbox.ts';
import { MemoryOwners } from '../../../../support/memory/owners.ts';
import { MemoryPauses } from '../../../../support/memory/pauses.ts';
import { MemoryQuota } from '../../../../support/memory/quota.ts';
import { MemoryShutdowns } from '../../../../support/memory/shutdowns.ts';
import { MemorySuspensions } from '../../../../support/memory/suspensions.ts';
import { BUCKET } from '../../../../support/memory-store.ts';
import { requestLine } from '../../../../support/request-lines.ts';
import { expectListedEvents, noTelemetry } from '../../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const NOW = 1_790_000_000_000;
const LIFETIME_MS = 60_000;
/** A worker's claim holds a little longer than its worker lives. */
const DEAD_AFTER_MS = LIFETIME_MS + 5_000;
const KEY = 'input/a.jsonl';

/** Ingest on memory, one file dropped. */
async function start(text = requestLine('a')) {
  let nonces = 0;
  const clock = { now: NOW };
  const ambient = { now: () => clock.now, nonce: () => String(nonces++) };
  const jobs = new MemoryJobs();
  const objects = new MemoryObjects({ bucket: BUCKET }, ambient);
  const deps = {
    stackId: 'stack',
    stackName: 'stack',
    owners: new MemoryOwners(),
    events: new MemoryEvents(),
    settings: defaultSettings(),
    objects,
    inputs: objects,
    listing: new MemoryListing(),
    jobs,
    drops: new MemoryDropTurns(jobs),
    quota: new MemoryQuota(jobs),
    prices: new Prices(OPENAI_PRICES),
    suspensions: new MemorySuspensions(),
    ignoredDrops: new MemoryIgnoredDrops(),
    pauses: new MemoryPauses(),
    shutdowns: new MemoryShutdowns(),
    outbox: new MemoryOutbox(),
    ambient,
    deadline: { remainingMs: () => LIFETIME_MS },
    heartbeat: noHeartbeat,
    telemetry: noTelemetry,
    rules: OPENAI_RULES,
    limits: OPENAI_RULES.limits,
    tokenizerOf: async () => (text: string) => text.length / 4,
  } satisfies IngestDeps;
  await deps.objects.put(KEY, Buffer.from(text));
  const head = await deps.objects.head(BUCKET, KEY);
  const location = { bucket: BUCKET, key: KEY, versionId: head!.versionId! };
  return {
    deps,
    clock,
    run: (changes: Partial<IngestDeps> = {}) => ingest({ ...deps, ...changes }, location),
  };
}

/** A worker that is stopped for ever when it reads the file. */
function dying(deps: IngestDeps): Partial<IngestDeps> {
  const objects = new Proxy(deps.objects, {
    get: (target, property) =>
      property === 'read' ? () => new Promise(() => {}) : Reflect.get(target, property).bind(target),
  });
  return { objects };
}

/** Lets whatever can go on go on; a worker that is stopped stays behind. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < 500; turns++) await Promise.resolve();
}

test('a second worker leaves a file alone while the first reads it', async () => {
  const { deps, clock, run } = await start();
  void run(dying(deps));
  await settle();
  clock.now += LIFETIME_MS;
  await run();
  expect(deps.outbox.messages).toEqual([]);
});

test('a worker takes over when the first must be dead, and what that one does late changes nothing', async () => {
  const { deps, clock, run } = await start();
  const opened = Promise.withResolvers<void>();
  const objects = new Proxy(deps.objects, {
    get: (target, property) =>
      property === 'read'
        ? async (...parameters: Parameters<typeof target.read>) => {
            await opened.promise;
            return target.read(...parameters);
          }
        : Reflect.get(target, property).bind(target),
  });
  const late = run({ objects });
  await settle();
  clock.now += DEAD_AFTER_MS;
  await run();
  const [job] = await jobsOf(deps);
  expect(job).toMatchObject({ state: 'running', ingest: { starts: 2 } });
  expect(deps.outbox.messages).toHaveLength(1);
  opened.resolve();
  await expect(late).rejects.toThrow(LeaseLostError);
  expect(await jobsOf(deps)).toEqual([job]);
  expect(deps.outbox.messages).toHaveLength(1);
});

test('a file is rejected after four workers have died while they read it', async () => {
  const { deps, clock, run } = await start();
  for (let deaths = 0; deaths < 4; deaths++) {
    void run(dying(deps));
    await settle();
    clock.now += DEAD_AFTER_MS;
  }
  await run();
  expect(await jobsOf(deps)).toMatchObject([{ state: 'rejected', rejection: { code: 'ingest_failed' } }]);
});

test('a file is rejected after four deaths in one step at its end, however far it was read before', async () => {
  const { deps, clock, run } = await start(LONG);
  const isAtEnd = async (key: string): Promise<boolean> =>
    ((await readCheckpoint(deps.objects, key, 'ingest')) as ScanState).phase === 'duplicates';
  await run(HASTY);
  let [job] = await jobsOf(deps);
  for (; !(await isAtEnd(job!.ingest!.checkpoint!.key)); [job] = await jobsOf(deps))
    await ingest({ ...deps, ...HASTY }, await next(deps));
  const message = await next(deps);
  for (let deaths = 0; deaths < 4; deaths++) {
    void ingest({ ...deps, ...dying(deps) }, message);
    await settle();
    clock.now += DEAD_AFTER_MS;
    expect(await jobsOf(deps)).toMatchObject([{ state: 'ingesting', ingest: { starts: deaths + 1 } }]);
  }
  await ingest(deps, message);
  expect(await jobsOf(deps)).toMatchObject([{ state: 'rejected', rejection: { code: 'ingest_failed' } }]);
});

test('a worker that fails releases the job at once, and its run does not count: the queue brings it back three times, then the sweep does', async () => {
  const { deps, run } = await start();
  const objects = new Proxy(deps.objects, {
    get: (target, property) =>
      property === 'read'
        ? async () => {
            throw new Error('S3 is away');
          }
        : Reflect.get(target, property).bind(target),
  });
  for (let failures = 0; failures < 3; failures++)
    await expect(run({ objects })).rejects.toThrow('S3 is away');
  for (let failures = 3; failures < 6; failures++) await run({ objects });
  expect(await jobsOf(deps)).toMatchObject([
    { state: 'ingesting', ingest: { starts: 0 }, failing: { tries: 6, reason: 'Error' } },
  ]);
  await run();
  expect(await jobsOf(deps)).toMatchObject([{ state: 'running', ingest: { starts: 1 } }]);
});

/** A file of a few megabytes: several blocks of the scanner. */
const LONG = Array.from({ length: 3_000 }, (_, index) =>
  requestLine(`id-${index % 2_999}`, { body: { model: 'm', input: 'x'.repeat(1_000) } }),
).join('\n');

/** A worker that has next to no time: it saves whatever it has read. */
const HASTY = { deadline: { remainingMs: () => -1 } };

/** Takes the next message off the queue. */
async function next(deps: { outbox: MemoryOutbox }): Promise<IngestMessage> {
  const queued = deps.outbox.messages.shift();
  if (queued?.queue !== 'ingest') throw new Error(`an ingest message was expected, not ${queued?.queue}`);
  return queued.message;
}

test('a worker whose time is over saves how far it got, releases the job and sends its own message', async () => {
  const { deps, run } = await start(LONG);
  await run(HASTY);
  const [job] = await jobsOf(deps);
  expect(job).toMatchObject({ state: 'ingesting', ingest: { starts: 0, checkpoint: { generation: 1 } } });
  expect(job!.lease).toBeUndefined();
  expect(deps.outbox.messages).toEqual([{ queue: 'ingest', message: { v: 1, jobId: job!.jobId } }]);
});

test('a file goes through as many workers as it takes, each further than the one before', async () => {
  const { deps, run } = await start(LONG);
  await run(HASTY);
  const positions: number[] = [];
  for (let job = (await jobsOf(deps))[0]; job?.state === 'ingesting'; job = (await jobsOf(deps))[0]) {
    const { generation, offset } = job.ingest!.checkpoint!;
    expect(generation).toBe(positions.push(offset));
    await ingest({ ...deps, ...HASTY }, await next(deps));
  }
  expect(positions.length).toBeGreaterThan(3);
  expect(positions).toEqual([...positions].sort((one, other) => one - other));
  expect(deps.outbox.messages).toHaveLength(1);
});

test('batches are recorded over several workers where time is short, each once, and the job runs after the last', async () => {
  const { deps, run } = await start(Array.from({ length: 5 }, (_, id) => requestLine(`id-${id}`)).join('\n'));
  const limits = { ...OPENAI_LIMITS, requests: 1 };
  await run({ ...HASTY, limits });
  const recorded: number[] = [];
  for (let job = (await jobsOf(deps))[0]; job?.state === 'ingesting'; job = (await jobsOf(deps))[0]) {
    recorded.push((await deps.jobs.listBatches(job.jobId)).length);
    await ingest({ ...deps, ...HASTY, limits }, await next(deps));
  }
  // The first worker read, the second found the end.
  expect([...new Set(recorded)]).toEqual([0, 1, 2, 3, 4]);
  expect(await jobsOf(deps)).toMatchObject([{ state: 'running' }]);
  expect(deps.outbox.messages).toHaveLength(5);
});

/** Tokens of all batches of the one job. */
async function tokensOf(deps: Pick<IngestDeps, 'jobs'> & { jobs: MemoryJobs }) {
  const [job] = await jobsOf(deps);
  expect(job!.state).toBe('running');
  return (await deps.jobs.listBatches(job!.jobId)).map(({ tokens }) => tokens);
}

test('batches have the same tokens whether one worker records them or many', async () => {
  const limits = { ...OPENAI_LIMITS, requests: 700 };
  const messages = [{ role: 'user', content: 'x'.repeat(996) }];
  const file = Array.from({ length: 1_500 }, (_, index) =>
    requestLine(`id-${index}`, { body: { model: 'm', messages } }),
  ).join('\n');
  const one = await start(file);
  await one.run({ limits });
  const tokens = await tokensOf(one.deps);
  // 4 characters a token, 6 for what is around a message.
  expect(tokens).toEqual([700 * 256, 700 * 256, 100 * 256]);
  const many = await start(file);
  await many.run({ ...HASTY, limits });
  while ((await jobsOf(many.deps))[0]!.state === 'ingesting')
    await ingest({ ...many.deps, ...HASTY, limits }, await next(many.deps));
  expect(await tokensOf(many.deps)).toEqual(tokens);
});

test('batches are recorded without tokens after four workers have died while they recorded them', async () => {
  const { deps, clock, run } = await start();
  for (let deaths = 0; deaths < 4; deaths++) {
    void run({ tokenizerOf: () => new Promise(() => {}) });
    await settle();
    clock.now += DEAD_AFTER_MS;
  }
  await run({ tokenizerOf: () => Promise.reject(new Error('nobody asks')) });
  expect(await tokensOf(deps)).toEqual([undefined]);
});

test('a file that is deleted before its tokens were counted still gets its batches', async () => {
  const { deps, run } = await start();
  await run({
    tokenizerOf: async () => {
      deps.objects.destroy(KEY);
      return () => 1;
    },
  });
  expect(await tokensOf(deps)).toEqual([undefined]);
});

test('deaths count only since the last checkpoint: a long file may cost as many workers as it likes', async () => {
  const { deps, clock, run } = await start(LONG);
  await run(HASTY);
  for (let hops = 0; hops < 3; hops++) {
    const message = await next(deps);
    for (let deaths = 0; deaths < 3; deaths++) {
      void ingest({ ...deps, ...dying(deps) }, message);
      await settle();
      clock.now += DEAD_AFTER_MS;
    }
    await ingest({ ...deps, ...HASTY }, message);
  }
  expect(await jobsOf(deps)).toMatchObject([{ state: 'ingesting', ingest: { starts: 0 } }]);
});

test('an unusable checkpoint costs a new start, and after four the file is rejected', async () => {
  const { deps, run } = await start(LONG);
  for (let losses = 0; losses < 4; losses++) {
    await run(HASTY);
    deps.outbox.messages.length = 0;
    const [job] = await jobsOf(deps);
    deps.objects.destroy(job!.ingest!.checkpoint!.key);
    await expect(run(HASTY)).rejects.toThrow('is missing');
    expect((await jobsOf(deps))[0]!.ingest).toEqual({ starts: 0, restarts: losses + 1 });
  }
  await run(HASTY);
  expect(await jobsOf(deps)).toMatchObject([{ state: 'rejected', rejection: { code: 'ingest_failed' } }]);
});

async function jobsOf({ jobs }: { jobs: MemoryJobs }) {
  const found = [];
  for await (const item of jobs.listOverdue(Number.POSITIVE_INFINITY))
    if (item.kind === 'job') found.push(await jobs.getJob(item.jobId));
  return found;
}
