/** Who reads a file: one worker at a time, the next one when that one is dead, nobody any more after four deaths. */
import { expect, test } from 'vitest';
import { MemoryJobs } from '../../src/adapters/memory/jobs.ts';
import { MemoryObjects } from '../../src/adapters/memory/objects.ts';
import { MemoryOutbox } from '../../src/adapters/memory/outbox.ts';
import { defaultSettings } from '../../src/contract/settings.ts';
import { type IngestDeps, ingest } from '../../src/core/ingest/ingest.ts';
import { OPENAI_LIMITS } from '../../src/core/limits.ts';
import { BUCKET } from '../support/memory-store.ts';
import { requestLine } from '../support/request-lines.ts';

const NOW = 1_790_000_000_000;
const LIFETIME_MS = 60_000;
const KEY = 'input/a.jsonl';

/** Ingest on memory, one file dropped. */
async function start() {
  let nonces = 0;
  const clock = { now: NOW };
  const ambient = { now: () => clock.now, nonce: () => String(nonces++) };
  const deps = {
    settings: defaultSettings(),
    objects: new MemoryObjects({ bucket: BUCKET }, ambient),
    jobs: new MemoryJobs(),
    outbox: new MemoryOutbox(),
    ambient,
    deadline: { remainingMs: () => LIFETIME_MS },
    log: { info: () => {}, warn: () => {} },
    limits: OPENAI_LIMITS,
  } satisfies IngestDeps;
  await deps.objects.put(KEY, Buffer.from(requestLine('a')));
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
  for (let turns = 0; turns < 50; turns++) await Promise.resolve();
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
  clock.now += LIFETIME_MS + 5_000;
  await run();
  const [job] = await jobsOf(deps);
  expect(job).toMatchObject({ state: 'running', ingest: { starts: 2 } });
  expect(deps.outbox.messages).toHaveLength(1);
  opened.resolve();
  await late;
  expect(await jobsOf(deps)).toEqual([job]);
  expect(deps.outbox.messages).toHaveLength(1);
});

test('a file that four workers died over is rejected', async () => {
  const { deps, clock, run } = await start();
  for (let deaths = 0; deaths < 4; deaths++) {
    void run(dying(deps));
    await settle();
    clock.now += LIFETIME_MS + 5_000;
  }
  await run();
  expect(await jobsOf(deps)).toMatchObject([{ state: 'rejected', rejection: { code: 'ingest_failed' } }]);
});

test('a worker that fails lets go of the job at once, and its run does not count', async () => {
  const { deps, run } = await start();
  const objects = new Proxy(deps.objects, {
    get: (target, property) =>
      property === 'read'
        ? async () => {
            throw new Error('S3 is away');
          }
        : Reflect.get(target, property).bind(target),
  });
  for (let failures = 0; failures < 6; failures++)
    await expect(run({ objects })).rejects.toThrow('S3 is away');
  await run();
  expect(await jobsOf(deps)).toMatchObject([{ state: 'running', ingest: { starts: 1 } }]);
});

async function jobsOf({ jobs }: { jobs: MemoryJobs }) {
  const found = [];
  for await (const item of jobs.listOverdue(Number.POSITIVE_INFINITY))
    if (item.kind === 'job') found.push(await jobs.getJob(item.jobId));
  return found;
}
