/**
 * Files below `work/` live as long as their job, however long it waits, and go some time after it has ended. The
 * bucket's lifecycle rules are those of the template, applied once a day.
 */

import { afterEach, describe, expect, test } from 'vitest';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { CreateRefusedError } from '../../../src/core/base/errors.ts';
import { cleanWork } from '../../../src/core/steps/poll/clean-work.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import type { LifecycleRule } from '../../support/memory/objects.ts';
import { chatLine, type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { onlyResource, synthesize } from '../../support/synthesize.ts';
import { expectListedEvents } from '../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const DAY_HOURS = 24;
const RULES: LifecycleRule[] = onlyResource(synthesize(), 'AWS::S3::Bucket').Properties.LifecycleConfiguration
  .Rules;

const running: Pipeline[] = [];
afterEach(async () => {
  for (const started of running.splice(0)) await started.stop();
});

/** Days pass: the schedule runs every few hours, the lifecycle rules once a day. */
async function pass(pipeline: Pipeline, days: number): Promise<void> {
  const { emulator, deps } = pipeline;
  for (let hour = 0; hour < days * DAY_HOURS; hour += 6) {
    emulator.clock.advance(6 * HOUR_MS);
    await poll(pipeline.seen);
    await pipeline.drain();
    if (hour % DAY_HOURS === 0) deps.objects.applyLifecycle(RULES);
  }
}

const workOf = ({ deps }: Pipeline) => deps.objects.keys().filter((key) => /^work\/[^/]+\//.test(key));

interface Suspended extends Pipeline {
  /** The model that was refused is refused no more. */
  release(): void;
}

/** A job of two models, one of them refused: half of it is answered and paid, the rest waits. */
async function startSuspended(isVersioned: boolean): Promise<Suspended> {
  let creates = 0;
  let isRefused = true;
  const pipeline = await startPipeline({
    isVersioned,
    intercept: (call, effect) => {
      if (call === 'batches.createBatch' && isRefused && creates++ > 0)
        throw new CreateRefusedError('no access', 403, 'model_not_found');
      return effect();
    },
  });
  running.push(pipeline);
  await pipeline.drop(
    KEY,
    [chatLine('a'), chatLine('b'), chatLine('c', { model: 'gpt-5.4-mini' })].join('\n'),
  );
  await pipeline.drain();
  return Object.assign(pipeline, {
    release: () => {
      isRefused = false;
    },
  });
}

describe.each([true, false])('with versions in the bucket: %j', (isVersioned) => {
  test('a job that waits for 60 days ends with every answer, each bought once', async () => {
    const pipeline = await startSuspended(isVersioned);
    await pass(pipeline, 60);
    expect((await Array.fromAsync(pipeline.deps.jobs.listWaiting())).length).toBe(1);
    pipeline.release();
    await pipeline.run();
    expect((await pipeline.receipt(KEY)).result).toBe('succeeded');
    expect((await pipeline.output(KEY)).map(({ custom_id }) => custom_id)).toEqual(['a', 'b', 'c']);
    expect(await pipeline.emulator.ledger.boughtTwice()).toEqual([]);
  });

  test('what an ended job left below work/ stays for 30 days and is gone a day later, and nothing else is', async () => {
    const pipeline = await startSuspended(isVersioned);
    await pass(pipeline, 40);
    pipeline.release();
    await pipeline.run();
    const left = workOf(pipeline);
    expect(left.length).toBeGreaterThan(5);
    await pass(pipeline, 29);
    expect(workOf(pipeline)).toEqual(left);
    await pass(pipeline, 3);
    expect(workOf(pipeline)).toEqual([]);
    expect(pipeline.deps.objects.keys().filter((key) => !key.startsWith('work/'))).toEqual([
      KEY,
      'output/a.jsonl',
      'receipts/a.json',
    ]);
    const { versions } = await pipeline.deps.objects.listVersions('work/');
    expect(versions.filter(({ key }) => /^work\/[^/]+\//.test(key))).toEqual([]);
    expect(await Array.fromAsync(pipeline.deps.jobs.listEnded(Number.MAX_SAFE_INTEGER))).toEqual([]);
  });

  test('a duplicate leaves nothing behind either', async () => {
    const pipeline = await startPipeline({ isVersioned });
    running.push(pipeline);
    await pipeline.drop(KEY, chatLine('a'));
    await pipeline.run();
    pipeline.emulator.clock.advance(HOUR_MS);
    await pipeline.drop(KEY, chatLine('a'));
    await pipeline.run();
    await pass(pipeline, 33);
    expect(workOf(pipeline)).toEqual([]);
  });
});

test('a removal that stops midway is taken up by the next run, and one that fails holds up no other job', async () => {
  let isBroken = true;
  const pipeline = await startPipeline({
    intercept: async (call, effect) => {
      if (call !== 'objects.removeBelow' || !isBroken) return effect();
      // Half of what there is, and the process dies before it is on record.
      await effect();
      throw new Error('killed');
    },
  });
  running.push(pipeline);
  for (const key of [KEY, 'input/b.jsonl']) await pipeline.drop(key, chatLine('a'));
  await pipeline.run();
  pipeline.emulator.clock.advance(31 * DAY_HOURS * HOUR_MS);
  const { seen } = pipeline;
  await expect(poll(seen)).rejects.toThrow('killed');
  expect(workOf(pipeline).length).toBeGreaterThan(0);
  isBroken = false;
  await poll(seen);
  expect(workOf(pipeline)).toEqual([]);
});

test('a job that a restored table knows as live keeps its files, although an index that lags names it', async () => {
  const pipeline = await startSuspended(true);
  const { deps } = pipeline;
  const restore = deps.jobs.snapshot();
  pipeline.release();
  await pipeline.run();
  const [ended] = await Array.fromAsync(deps.jobs.listEnded(Number.MAX_SAFE_INTEGER));
  restore();
  pipeline.emulator.clock.advance(32 * DAY_HOURS * HOUR_MS);
  const left = workOf(pipeline);
  await cleanWork({
    ...deps,
    jobs: {
      listEnded: async function* () {
        yield ended!;
      },
      getJob: (jobId) => deps.jobs.getJob(jobId),
      moveJob: (...move) => deps.jobs.moveJob(...move),
    },
  });
  expect(workOf(pipeline)).toEqual(left);
  expect(left.length).toBeGreaterThan(5);
});
