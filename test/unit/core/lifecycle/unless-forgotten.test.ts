/** A worker that stands still while its job ends and is forgotten records nothing of it, and fails nothing. */
import { expect, test } from 'vitest';
import { unlessForgotten } from '../../../../src/core/lifecycle/unless-forgotten.ts';
import { jobIdOf } from '../../../../src/core/model/job-id.ts';
import { collect } from '../../../../src/core/steps/collect/collect.ts';
import { finalize } from '../../../../src/core/steps/finalize/finalize.ts';
import { ingest } from '../../../../src/core/steps/ingest/ingest.ts';
import { poll } from '../../../../src/core/steps/poll/poll.ts';
import { chatLine, type Pipeline, type PipelineOptions } from '../../../support/pipeline.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../../support/telemetry.ts';
import { startTestPipeline } from '../../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const BODY = ['a', 'b', 'c'].map((id) => chatLine(id)).join('\n');
const OBJECT = { bucket: 'bucket', key: KEY };
const FIRST_BATCH = '0-00000';
/** The first batch expires half done, so that a second round follows. */
const TWO_ROUNDS: PipelineOptions = {
  emulator: { faults: [{ times: 1, effect: { kind: 'batch.expire', done: 1 } }] },
};

/** Gives `stopAt`: `meanwhile` is all that others do while a worker stands still right before its next such call. */
async function start(options: PipelineOptions = {}) {
  const events: SeenEvent[] = [];
  let still: { call: string; meanwhile: () => Promise<void> } | undefined;
  const p = await startTestPipeline({
    ...options,
    telemetry: telemetryTo((event) => events.push(event)),
    intercept: async (call, effect) => {
      if (still?.call === call) {
        const { meanwhile } = still;
        still = undefined;
        await meanwhile();
      }
      return effect();
    },
  });
  return {
    p,
    gone: () => events.filter(({ name }) => name === 'job.unrecorded').length,
    stopAt: (call: string, meanwhile: () => Promise<void>) => {
      still = { call, meanwhile };
    },
    isStopped: () => still === undefined,
  };
}

/** Everything that is left to do of the job, its end, and its removal. */
async function endAndForget(p: Pipeline, jobId: string): Promise<void> {
  await p.run();
  p.emulator.clock.advance(10 * 60_000);
  expect(await p.operate({ action: 'forget', jobId })).toMatchObject({ state: 'forgotten' });
}

async function expectNothingOf(p: Pipeline, jobId: string, batches: number): Promise<void> {
  await p.run();
  expect(await p.deps.jobs.getJob(jobId)).toBeUndefined();
  expect(await p.deps.jobs.listBatches(jobId)).toEqual([]);
  expect((await p.client.batches.list()).data.length, 'batches at OpenAI').toBe(batches);
  expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  expect(p.failures).toEqual([]);
}

test('a worker that ingests and read the object before the job ended and was forgotten does not record the job again', async () => {
  const { p, gone, stopAt, isStopped } = await start();
  let jobId = '';
  stopAt('jobs.createJob', async () => {
    jobId = jobIdOf((await p.deps.objects.head('bucket', KEY))!);
    await ingest(p.deps, OBJECT);
    await endAndForget(p, jobId);
  });
  await p.drop(KEY, BODY);
  expect(isStopped()).toBe(true);
  await expectNothingOf(p, jobId, 1);
  expect(gone()).toBe(1);
});

test('a worker that ingests and stands still at the first batch records it for no job that was forgotten', async () => {
  const { p, gone, stopAt, isStopped } = await start();
  let jobId = '';
  stopAt('jobs.createBatch', async () => {
    jobId = jobIdOf((await p.deps.objects.head('bucket', KEY))!);
    p.emulator.clock.advance(30 * 60_000);
    await ingest(p.deps, { v: 1, jobId });
    await endAndForget(p, jobId);
  });
  await p.drop(KEY, BODY);
  expect(isStopped()).toBe(true);
  await expectNothingOf(p, jobId, 1);
  expect(gone()).toBe(1);
});

test('a poll that takes up a job after a restore does not record it again once it has ended and was forgotten', async () => {
  const { p, gone, stopAt, isStopped } = await start();
  const restore = p.deps.jobs.snapshot();
  await p.drop(KEY, BODY);
  await p.run();
  const { jobId } = await p.receipt(KEY);
  await poll(p.deps);
  restore();
  stopAt('jobs.createJob', async () => {
    await ingest(p.deps, OBJECT);
    await endAndForget(p, jobId);
  });
  await poll(p.seen);
  expect(isStopped()).toBe(true);
  expect(await p.deps.jobs.getJob(jobId)).toBeUndefined();
  expect(await p.deps.jobs.listBatches(jobId)).toEqual([]);
  expect(gone()).toBe(1);
});

test('a worker that collects and stands still over the end and the removal of its job records no round that has run', async () => {
  const { p, gone, stopAt, isStopped } = await start(TWO_ROUNDS);
  await p.drop(KEY, BODY);
  const jobId = jobIdOf((await p.deps.objects.head('bucket', KEY))!);
  stopAt('jobs.createBatch', async () => {
    await collect(p.deps, { v: 1, jobId, batchId: FIRST_BATCH });
    await endAndForget(p, jobId);
  });
  await p.run();
  expect(isStopped()).toBe(true);
  await expectNothingOf(p, jobId, 2);
  expect(gone()).toBe(1);
});

test('nor does one that finalizes, and finds the round missing', async () => {
  const { p, gone, stopAt, isStopped } = await start(TWO_ROUNDS);
  await p.drop(KEY, BODY);
  const jobId = jobIdOf((await p.deps.objects.head('bucket', KEY))!);
  stopAt('jobs.createBatch', async () => {
    // This worker collects, and does not come to the round before the one that finalizes.
    stopAt('jobs.createBatch', async () => {
      await collect(p.deps, { v: 1, jobId, batchId: FIRST_BATCH });
      await endAndForget(p, jobId);
    });
    await finalize(p.seen, { v: 1, jobId });
  });
  await p.run();
  expect(isStopped()).toBe(true);
  await expectNothingOf(p, jobId, 2);
  // The one that finalizes, and the one that collects.
  expect(gone()).toBe(2);
});

test('another error is thrown as it is', async () => {
  const { p } = await start();
  const error = new Error('the table is gone');
  await expect(unlessForgotten(p.deps, () => Promise.reject(error))).rejects.toBe(error);
});
