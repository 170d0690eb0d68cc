/** A merge that takes many invocations, each of which may die at any call: the same files come out. */
import { expect, test } from 'vitest';
import { defaultSettings, settingsSchema } from '../../../src/contract/settings.ts';
import { chatLine, type Interceptor, startPipeline } from '../../support/pipeline.ts';
import { expectListedEvents } from '../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
/** Two models that take turns, so that the runs of their batches do, too; the fifth line is broken. */
const IDS = Array.from({ length: 7 }, (_, index) => `id-${index}`);
const TEXT = IDS.map((id, index) =>
  index % 5 === 4 ? 'broken' : chatLine(id, { model: index % 2 === 0 ? 'gpt-6-luna' : 'gpt-5.4-mini' }),
).join('\n');

class KilledError extends Error {}

/**
 * Runs the job; workers that have taken a job have little time, and the one that makes call `at` of those dies there.
 */
async function run(at: number, when: 'before' | 'after', isHurried: boolean, settings = defaultSettings()) {
  let hasTaken = false;
  let isDead = false;
  let checkpoints = 0;
  const calls: string[] = [];
  const intercept: Interceptor = async (call, effect) => {
    if (isDead) throw new KilledError(call);
    if (call === 'jobs.acquirePublication') hasTaken = false;
    if (hasTaken) calls.push(call);
    const isLast = hasTaken && calls.length - 1 === at;
    const isTaking = call === 'jobs.leaseJob';
    if (isLast && when === 'before') isDead = true;
    if (isDead) throw new KilledError(call);
    const result = await effect();
    if (isTaking) hasTaken = true;
    if (isLast) {
      isDead = true;
      throw new KilledError(call);
    }
    return result;
  };
  const p = await startPipeline({
    settings,
    intercept,
    onInvocation: () => {
      isDead = false;
      hasTaken = false;
    },
    deadline: { remainingMs: () => (isHurried && hasTaken ? 0 : 900_000) },
    redeliver: true,
  });
  try {
    await p.deps.objects.put(KEY, Buffer.from(TEXT));
    for (let isHandled = false; !isHandled; ) {
      isDead = false;
      hasTaken = false;
      isHandled = await p.notify(KEY).then(
        () => true,
        () => false,
      );
    }
    await p.run();
    const { counts, files, jobId } = await p.receipt(KEY);
    checkpoints = p.deps.objects.keys().filter((key) => /merged\/.*checkpoint$/.test(key)).length;
    return {
      calls,
      checkpoints,
      left: p.deps.objects.keys().filter((key) => /merged\/.*jsonl$/.test(key)).length,
      job: await p.deps.jobs.getJob(jobId),
      result: {
        counts,
        files,
        output: (await p.output(KEY)).map((line) => line.custom_id),
        errors: (await p.errors(KEY)).map((line) => line.line),
        retry: await p.retry(KEY),
      },
    };
  } finally {
    await p.stop();
  }
}

test('a merge over many invocations gives the files of one in one invocation, and leaves none of its own', async () => {
  const atOnce = await run(-1, 'before', false);
  expect(atOnce.result.output).toHaveLength(6);
  expect(atOnce.result.errors).toEqual([5]);
  expect(atOnce.checkpoints).toBe(0);
  const hurried = await run(-1, 'before', true);
  expect(hurried.result).toEqual(atOnce.result);
  expect(hurried.checkpoints).toBeGreaterThan(5);
  expect(hurried.left).toBe(0);
  expect(hurried.job).not.toHaveProperty('merge');
  expect(hurried.job).not.toHaveProperty('claim');
});

test('lines with defaults filled in are given back as they were dropped, over many invocations, too', async () => {
  const route = { ...defaultSettings().routes[0]!, defaults: { body: { n: 1 } } };
  const hurried = await run(-1, 'before', true, settingsSchema.parse({ routes: [route] }));
  expect(hurried.result.retry).toBe('broken\n');
  expect(hurried.checkpoints).toBeGreaterThan(5);
});

test.each(['before', 'after'] as const)(
  'a worker killed %s any call of a merge over many invocations changes nothing',
  { timeout: 120_000 },
  async (when) => {
    const calm = await run(-1, 'before', true);
    for (const [at, call] of calm.calls.entries()) {
      const { result } = await run(at, when, true);
      expect(result, `killed ${when} call ${at}, ${call}`).toEqual(calm.result);
    }
  },
);

test('a job ends in time that has more files at OpenAI than can be deleted in an invocation', async () => {
  const deleted: string[] = [];
  const p = await startPipeline({
    intercept: (call, effect) => {
      if (call === 'batches.deleteFile') deleted.push(call);
      return effect();
    },
    deadline: { remainingMs: () => (deleted.length > 0 ? 0 : 900_000) },
  });
  try {
    await p.drop(KEY, TEXT);
    await p.run();
    const { jobId, batches } = await p.receipt(KEY);
    expect(batches).toHaveLength(2);
    // There was no time for another one; the job knows which are left.
    expect(deleted).toHaveLength(1);
    expect(await p.deps.jobs.getJob(jobId)).toMatchObject({ state: 'completed', filesLeft: { length: 3 } });
    expect(p.deps.events.sent).toHaveLength(1);
  } finally {
    await p.stop();
  }
});
