/** Events of rare moments, each recorded by the step that comes to such a moment in production. */
import { expect, test } from 'vitest';
import type { EventName } from '../../../src/contract/events.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { MINUTE_MS } from '../../../src/contract/time.ts';
import type { BatchRecord } from '../../../src/core/model/batch.ts';
import type { Job } from '../../../src/core/model/job.ts';
import { finalize } from '../../../src/core/steps/finalize/finalize.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { chatLine, type Interceptor, type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../support/telemetry.ts';

const KEY = 'input/a.jsonl';
const STANDARD = settingsSchema.parse({
  routes: [{ name: 'r', prefix: 'input/', budget: 'unlimited', tiers: ['standard'] }],
});

const ANSWER =
  '{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}';

expectListedEvents(import.meta.filename);

interface Moment {
  settings?: Pipeline['deps']['settings'];
  /** What else happens as the domain makes a call of a port. */
  intercept?: (p: Pipeline, call: string, effect: () => Promise<unknown>) => Promise<unknown>;
  onInvocation?: (p: Pipeline) => void;
  remainingMs?: () => number;
  act: (p: Pipeline) => Promise<void>;
}

/** What is recorded while `act` runs. */
async function eventsOf({
  act,
  intercept,
  onInvocation,
  remainingMs,
  settings,
}: Moment): Promise<SeenEvent[]> {
  const events: SeenEvent[] = [];
  const p: Pipeline = await startPipeline({
    settings,
    telemetry: telemetryTo((event) => events.push(event)),
    intercept: intercept && (((call, effect) => intercept(p, call, effect)) as Interceptor),
    onInvocation: onInvocation && (() => onInvocation(p)),
    deadline: remainingMs && { remainingMs },
  });
  try {
    await act(p);
  } finally {
    await p.stop();
  }
  return events;
}

const dropAndRun = async (p: Pipeline): Promise<void> => {
  await p.drop(KEY, chatLine('a'));
  await p.run();
};

test('an object that is removed before ingest looks at it is missed', async () => {
  const events = await eventsOf({
    async act(p) {
      await p.notify(KEY);
      const day = new Date(p.deps.ambient.now()).toISOString().slice(0, 10);
      const listed = await Array.fromAsync(p.deps.ignoredDrops.listOn(day, ''));
      expect(listed).toMatchObject([{ key: KEY, why: 'removed', route: 'default' }]);
    },
  });
  expect(events).toContainEqual({ name: 'object.missed', fields: { key: KEY } });
});

test('a worker whose job another one takes while it reads the input stops', async () => {
  const events = await eventsOf({
    async intercept(p, call, effect) {
      const result = await effect();
      if (call === 'jobs.leaseJob') {
        const { jobId, lease } = result as Job;
        await p.deps.jobs.leaseJob(jobId, 'ingesting', 'another', lease!.until + 1, Number.MAX_SAFE_INTEGER);
      }
      return result;
    },
    act: (p) => p.drop(KEY, chatLine('a')),
  });
  expect(namesOf(events)).toContain('ingest.overtaken');
  expect(namesOf(events)).not.toContain('job.planned');
});

test('a file is used of which OpenAI does not say how many bytes it has', async () => {
  const events = await eventsOf({
    async intercept(_p, call, effect) {
      const result = await effect();
      const isAboutSize = call === 'batches.uploadFile' || call === 'batches.fileSize';
      return isAboutSize ? { ...(result as object), bytes: 0 } : result;
    },
    act: dropAndRun,
  });
  expect(namesOf(events)).toEqual(expect.arrayContaining(['upload.unconfirmed', 'job.completed']));
});

test('a list that leads back to an earlier cursor is not read for ever', async () => {
  const events = await eventsOf({
    intercept: async (_p, call, effect) =>
      call === 'batches.listFiles' ? { files: [], next: 'file-1' } : effect(),
    act: (p) => poll(p.seen),
  });
  expect(events).toContainEqual({ name: 'list.repeated', fields: { cursor: 'file-1' } });
});

test('a slice that another worker takes over is left to it', async () => {
  let isTaken = false;
  const events = await eventsOf({
    settings: STANDARD,
    async intercept(p, call, effect) {
      const result = await effect();
      const batch = result as BatchRecord;
      if (call === 'jobs.leaseBatch' && batch.tier === 'standard' && !isTaken) {
        isTaken = true;
        const { state, lease } = batch;
        await p.deps.jobs.leaseBatch(batch, state, 'another', lease!.until + 1, Number.MAX_SAFE_INTEGER);
      }
      return result;
    },
    act: async (p) => {
      await p.drop(KEY, chatLine('a'));
      await p.drain();
    },
  });
  expect(namesOf(events)).toContain('step.skipped');
});

test('answers that cannot be saved between two calls are saved later', async () => {
  let failures = 0;
  const events = await eventsOf({
    settings: STANDARD,
    async act(p) {
      p.deps.calls.call = async () => {
        await p.deps.sleep(3 * MINUTE_MS);
        return { status: 200, requestId: 'req_1', body: ANSWER };
      };
      const { objects } = p.deps;
      const { put } = objects;
      objects.put = async (key, ...rest) => {
        if (/\/calls\/.*\d{5}.jsonl$/.test(key) && failures++ === 0) throw new Error('503 Slow Down');
        return put.call(objects, key, ...rest);
      };
      await p.drop(KEY, Array.from({ length: 60 }, (_, index) => chatLine(`id-${index}`)).join('\n'));
      await p.run();
      expect(await p.output(KEY)).toHaveLength(60);
    },
  });
  expect(events).toContainEqual(
    expect.objectContaining({ name: 'save.failed', fields: expect.objectContaining({ error: 'Error' }) }),
  );
});

test.each([
  [
    'checkpoint cannot be read',
    /merged\/.*checkpoint$/,
    (p: Pipeline, key: string) => p.deps.objects.put(key, Buffer.from('{}')),
  ],
  [
    'files are gone, as after a restore',
    /merged\/.*output\.jsonl$/,
    (p: Pipeline, key: string) => p.deps.objects.remove(key),
  ],
])('a merge whose %s begins again', async (_, spoilt, spoil) => {
  let isHurried = false;
  let isSpoilt = false;
  const events = await eventsOf({
    remainingMs: () => (isHurried ? 0 : 15 * MINUTE_MS),
    async intercept(_p, call, effect) {
      const result = await effect();
      if (call === 'jobs.leaseJob') isHurried = !isSpoilt;
      return result;
    },
    onInvocation(p) {
      isHurried = false;
      const keys = p.deps.objects.keys();
      const key = keys.find((one) => spoilt.test(one));
      if (key === undefined || isSpoilt || !keys.some((one) => one.endsWith('checkpoint'))) return;
      isSpoilt = true;
      void spoil(p, key);
    },
    async act(p) {
      await p.deps.objects.put(KEY, Buffer.from(chatLine('a')));
      // Ingest takes no deadline that is over: only a job that is being merged is hurried.
      isSpoilt = true;
      await p.notify(KEY);
      isSpoilt = false;
      await p.run();
      expect(await p.output(KEY)).toHaveLength(1);
    },
  });
  expect(namesOf(events)).toEqual(expect.arrayContaining(['merge.restarted', 'job.completed']));
});

test('of two workers that finalize a job at once, one leaves it to the other', async () => {
  let isSecond = false;
  const events = await eventsOf({
    async intercept(p, call, effect) {
      if (call === 'jobs.acquirePublication' && !isSecond) {
        isSecond = true;
        const jobId = (await p.deps.jobs.getJob(jobIdOf(p)))!.jobId;
        await finalize(p.seen, { v: 1, jobId });
      }
      return effect();
    },
    act: dropAndRun,
  });
  expect(namesOf(events).filter((name) => name === 'finalize.skipped')).toHaveLength(1);
  expect(namesOf(events)).toContain('job.completed');
});

test('results wait while another worker writes the same names', async () => {
  let isBusy = true;
  const events = await eventsOf({
    async intercept(_p, call, effect) {
      if (call !== 'jobs.acquirePublication' || !isBusy) return effect();
      isBusy = false;
      return 'busy';
    },
    act: dropAndRun,
  });
  expect(namesOf(events)).toEqual(expect.arrayContaining(['finalize.postponed', 'job.completed']));
});

const namesOf = (events: readonly SeenEvent[]): EventName[] => events.map(({ name }) => name);

/** Of the only job. */
function jobIdOf(p: Pipeline): string {
  return /[0-9a-f]{32}/.exec(p.deps.objects.keys().find((key) => key.startsWith('work/'))!)![0];
}
