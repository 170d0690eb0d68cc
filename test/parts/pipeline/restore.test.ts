/**
 * The table is restored to an earlier time, while OpenAI and the bucket are where they are: nothing is bought again,
 * and every result arrives.
 */

import { describe, expect, test } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/emulator.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { chatLine, type Pipeline, type PipelineOptions } from '../../support/pipeline.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const IDS = ['a', 'b', 'c', 'd', 'e'];
const BODY = IDS.map((id) => chatLine(id)).join('\n');

/** Two batches, of which the first expires half done: one round more for what is left of it. */
async function start(options: PipelineOptions = {}) {
  const p = await startTestPipeline({
    limits: { requests: 3 },
    ...options,
    emulator: { faults: [{ times: 1, effect: { kind: 'batch.expire', done: 1 } }], ...options.emulator },
  });
  return p;
}

const snapshot = (p: Pipeline) => {
  const restores = [p.deps.jobs.snapshot(), p.deps.quota.snapshot()];
  return () => {
    for (const restore of restores) restore();
  };
};

/** A restore takes longer than it is from one poll to the next, so one has been since. */
async function restoreTo(p: Pipeline, restore: () => void): Promise<void> {
  await poll(p.deps);
  restore();
}

/** What there is to do, and one poll. */
async function pass(p: Pipeline, ms: number): Promise<void> {
  p.failures.push(...(await p.drain()));
  p.emulator.clock.advance(ms);
  await poll(p.deps).catch((error: Error) => p.failures.push(error));
}

const isDone = (p: Pipeline) =>
  p.receipt(KEY).then(
    () => true,
    () => false,
  );

/** Takes the steps of a job one after the other, `steps` of them at most; gives the table as it was before each one. */
async function play(p: Pipeline, steps = Number.POSITIVE_INFINITY): Promise<(() => void)[]> {
  const before: (() => void)[] = [];
  const taken = async (step: () => Promise<unknown>): Promise<boolean> => {
    if (before.length >= steps || (await isDone(p))) return false;
    before.push(snapshot(p));
    await step();
    return true;
  };
  if (!(await taken(() => p.drop(KEY, BODY)))) return before;
  if (!(await taken(async () => p.failures.push(...(await p.drain()))))) return before;
  for (;;) {
    const look = async () => {
      for (const before = await statesOf(p); (await statesOf(p)) === before && !(await isDone(p)); )
        await pass(p, HOUR_MS);
    };
    if (!(await taken(look))) return before;
  }
}

/** Of the job's batches. */
async function statesOf(p: Pipeline): Promise<string> {
  const [jobId] = p.deps.objects.keys().flatMap((key) => /^work\/([^/]+)\//.exec(key)?.[1] ?? []);
  const batches = await p.deps.jobs.listBatches(jobId!);
  return batches.map(({ batchId, state }) => `${batchId} ${state}`).join();
}

async function made(p: Pipeline): Promise<number> {
  return (await p.client.batches.list({ limit: 100 })).data.length;
}

async function jobOf(p: Pipeline) {
  return p.deps.jobs.getJob((await p.receipt(KEY)).jobId);
}

async function expectDone(p: Pipeline): Promise<void> {
  expect((await p.output(KEY)).map(({ custom_id }) => custom_id)).toEqual(IDS);
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
  expect((await jobOf(p))?.state).toBe('completed');
  expect(await made(p)).toBe(3);
  expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  expect(p.failures).toEqual([]);
}

/** How many steps the job takes, see {@link play}. */
const STEPS = 7;

test('the job takes as many steps as the tests below go back', async () => {
  const p = await start();
  expect((await play(p)).length).toBe(STEPS);
  await expectDone(p);
});

describe.each(Array.from({ length: STEPS }, (_, step) => step))(
  'a table as it was before step %i',
  (step) => {
    test('restored when the job is done, comes to the same end', async () => {
      const p = await start();
      const before = await play(p);
      await restoreTo(p, before[step]!);
      for (let hour = 0; hour < 6; hour++) await pass(p, HOUR_MS / 2);
      await p.run();
      await expectDone(p);
    });

    test.each([1, 2, 3])('restored %i steps later, continues to where it would have come', async (later) => {
      const p = await start();
      const before = await play(p, step + later);
      await restoreTo(p, before[step]!);
      for (let hour = 0; hour < 6; hour++) await pass(p, HOUR_MS / 2);
      await p.run();
      if (await isDone(p)) return expectDone(p);
      // Before anything was at OpenAI: the listing of inputs finds the file again.
      expect(await made(p)).toBe(0);
      await p.notify(KEY);
      await p.run();
      await expectDone(p);
    });
  },
);

describe('the first step to see a restored table', () => {
  test.each([
    [0, 2],
    [0, 3],
    [1, 2],
    [1, 4],
    [1, 7],
  ])('creates nothing again: before step %i, restored after step %i', async (step, later) => {
    const p = await start();
    const before = await play(p, later);
    const batches = await made(p);
    await restoreTo(p, before[step]!);
    // The event once more, and every message, before the poll comes.
    await p.notify(KEY);
    const [jobId] = p.deps.objects.keys().flatMap((key) => /^work\/([^/]+)\//.exec(key)?.[1] ?? []);
    for (const { batchId } of await p.deps.jobs.listBatches(jobId!))
      await p.deps.outbox.submit({ v: 1, jobId: jobId!, batchId });
    p.failures.push(...(await p.drain()));
    expect(await made(p)).toBe(batches);
    await p.run();
    await expectDone(p);
  });

  test('finds a create that followed one which was begun and never written down', async () => {
    const p = await start({ emulator: { faults: [] } });
    await p.drop(KEY, BODY);
    const restore = snapshot(p);
    const { put } = p.deps.objects;
    p.deps.objects.put = async (key, ...rest) => {
      if (key.includes('/attempts/')) throw new Error('dead');
      return put.call(p.deps.objects, key, ...rest);
    };
    await p.drain();
    p.deps.objects.put = put;
    while ((await made(p)) < 2) await pass(p, HOUR_MS / 6);
    restore();
    p.emulator.clock.advance(HOUR_MS / 2);
    const [jobId] = p.deps.objects.keys().flatMap((key) => /^work\/([^/]+)\//.exec(key)?.[1] ?? []);
    for (const { batchId } of await p.deps.jobs.listBatches(jobId!))
      await p.deps.outbox.submit({ v: 1, jobId: jobId!, batchId });
    await p.drain();
    expect(await made(p)).toBe(2);
    await p.run();
    expect((await p.output(KEY)).map(({ custom_id }) => custom_id)).toEqual(IDS);
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  });

  test('takes up the last of several creates of a batch, with an upload of its own in hand', async () => {
    const refused: FaultRule = {
      times: 1,
      effect: {
        kind: 'batch.fail',
        errors: [
          { code: 'token_limit_exceeded', message: 'Enqueued token limit reached.', param: null, line: null },
        ],
      },
    };
    const p = await start({ emulator: { faults: [refused] } });
    await p.drop(KEY, BODY);
    let restore: (() => void) | undefined;
    const { createBatch } = p.deps.batches;
    p.deps.batches.createBatch = (batch) => {
      p.deps.batches.createBatch = createBatch;
      // Admitted and uploaded, and about to be created for the first time.
      restore = snapshot(p);
      return p.deps.batches.createBatch(batch);
    };
    await p.drain();
    // Refused, sent again, and running.
    while ((await made(p)) < 3) await pass(p, HOUR_MS / 6);
    const ofBatch = (await p.client.batches.list()).data.map(({ metadata }) => metadata?.batchdrop_batch);
    expect(ofBatch.toSorted()).toEqual(['0-00000', '0-00000', '0-00001']);
    await restoreTo(p, restore!);
    p.emulator.clock.advance(HOUR_MS / 2);
    const [jobId] = p.deps.objects.keys().flatMap((key) => /^work\/([^/]+)\//.exec(key)?.[1] ?? []);
    await p.deps.outbox.submit({ v: 1, jobId: jobId!, batchId: '0-00000' });
    await p.drain();
    expect((await p.client.batches.list()).data.length).toBe(3);
    expect(await p.deps.jobs.getBatch(jobId!, '0-00000')).toMatchObject({
      state: 'submitted',
      history: { attempts: 2 },
    });
    await p.run();
    expect((await p.output(KEY)).map(({ custom_id }) => custom_id)).toEqual(IDS);
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  });
});

describe('what cannot be taken up', () => {
  async function watched() {
    const p = await start({ emulator: { faults: [] } });
    const events: SeenEvent[] = [];
    p.deps.telemetry = telemetryTo((event) => events.push(event));
    const reports = () =>
      events.filter(({ name }) => name === 'batch.orphaned').map(({ fields }) => fields.reason);
    return { p, reports };
  }

  /** A batch in the project, with any metadata, that has come to run. */
  async function create(p: Pipeline, metadata: Record<string, string>): Promise<string> {
    const file = await p.client.files.create({
      purpose: 'batch',
      file: new File([`${chatLine('x')}\n`], 'theirs.jsonl'),
    });
    const batch = await p.client.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata,
    });
    return batch.id;
  }

  test('is reported and left alone: a batch of a job whose files are gone, and one that says too little', async () => {
    const { p, reports } = await watched();
    const ids = [
      await create(p, {
        batchdrop_stack: 'stack-1',
        batchdrop_job: 'x',
        batchdrop_batch: '0-00000',
        batchdrop_nonce: 'n',
      }),
      await create(p, { batchdrop_stack: 'stack-1' }),
    ];
    await restoreTo(p, snapshot(p));
    await pass(p, HOUR_MS / 6);
    await pass(p, HOUR_MS);
    expect(new Set(reports())).toEqual(
      new Set(['the files of its job are gone', 'its metadata names no job, batch and attempt']),
    );
    for (const id of ids) expect((await p.client.batches.retrieve(id)).status).toBe('completed');
  });

  test('of two batches for one record, the first is taken and the other reported', async () => {
    const { p, reports } = await watched();
    await p.drop(KEY, BODY);
    const restore = snapshot(p);
    await p.drain();
    p.emulator.clock.advance(60_000);
    const [first] = (await p.client.batches.list()).data.filter(
      ({ metadata }) => metadata?.batchdrop_batch === '0-00000',
    );
    await create(p, { ...first!.metadata, batchdrop_nonce: 'another' });
    await restoreTo(p, restore);
    await pass(p, HOUR_MS / 6);
    expect(await p.deps.jobs.getBatch(first!.metadata!.batchdrop_job!, '0-00000')).toMatchObject({
      remote: { openaiBatchId: first!.id },
    });
    expect(reports()).toEqual(['the record is submitted with another batch']);
  });

  test('of other stacks and applications, is neither reported nor touched', async () => {
    const { p, reports } = await watched();
    const ids = [
      await create(p, {}),
      await create(p, {
        batchdrop_stack: 'stack-12',
        batchdrop_job: 'x',
        batchdrop_batch: '0-00000',
        batchdrop_nonce: 'n',
      }),
    ];
    await restoreTo(p, snapshot(p));
    await pass(p, HOUR_MS / 6);
    expect(reports()).toEqual([]);
    for (const id of ids) expect((await p.client.batches.retrieve(id)).status).toBe('completed');
  });
});

describe('input files that nothing needs', () => {
  test('are deleted after a day, and no file of anybody else', async () => {
    const p = await start({ emulator: { faults: [] } });
    const create = async (filename: string) =>
      (await p.client.files.create({ purpose: 'batch', file: new File([`${chatLine('x')}\n`], filename) }))
        .id;
    const nonce = '0'.repeat(32);
    const job = 'a'.repeat(32);
    const orphan = await create(`batchdrop-stack-1-${job}-0-00000-${nonce}.jsonl`);
    const orphanOfPart = await create(`batchdrop-stack-1-${job}-1-00003.1-${nonce}.jsonl`);
    const others = [
      await create('theirs.jsonl'),
      await create(`batchdrop-stack-12-${job}-0-00000-${nonce}.jsonl`),
      await create(`batchdrop-stack-1-staging-${job}-0-00000-${nonce}.jsonl`),
      await create('batchdrop-stack-1-notes.jsonl'),
    ];
    const ids = async () => (await p.client.files.list()).data.map(({ id }) => id);
    await pass(p, 23 * HOUR_MS);
    expect(await ids()).toEqual(expect.arrayContaining([orphan, orphanOfPart, ...others]));
    await pass(p, 2 * HOUR_MS);
    expect((await ids()).toSorted()).toEqual(others.toSorted());
  });

  test('are deleted over several hours if there are many, and the poll comes to its end in time', async () => {
    let leftMs = 0;
    const p = await start({
      emulator: { faults: [] },
      deadline: { remainingMs: () => leftMs },
    });
    const telemetry = telemetryTo(({ name }) => {
      if (name === 'file.deleted') leftMs -= 2 * 60_000;
    });
    for (const id of [1, 2, 3, 4, 5]) {
      const name = `batchdrop-stack-1-${'a'.repeat(32)}-0-0000${id}-${'0'.repeat(32)}.jsonl`;
      await p.client.files.create({ purpose: 'batch', file: new File([`${chatLine('x')}\n`], name) });
    }
    const left: number[] = [];
    for (const hours of [25, 2, 2]) {
      leftMs = 5 * 60_000;
      p.emulator.clock.advance(hours * HOUR_MS);
      await poll({ ...p.deps, telemetry });
      left.push((await p.client.files.list()).data.length);
    }
    expect(left).toEqual([3, 1, 0]);
  });

  test('are not those of a batch that waits to be created, nor of one that runs and is in no record', async () => {
    const p = await start({
      emulator: { faults: [{ effect: { kind: 'batch.stuck', state: 'in_progress' } }] },
    });
    await p.drop(KEY, BODY);
    const restore = snapshot(p);
    await p.drain();
    const used = (await p.client.batches.list()).data.map(({ input_file_id }) => input_file_id);
    p.emulator.clock.advance(23.9 * HOUR_MS);
    await restoreTo(p, restore);
    // Held back by a suspension, the records stay behind.
    await p.deps.suspensions.suspend('key', 'insufficient_quota', 'created', p.emulator.clock.now());
    p.deps.jobs.leaseBatch = async () => undefined;
    await pass(p, HOUR_MS / 20);
    p.emulator.clock.advance(HOUR_MS / 20);
    await pass(p, 0);
    const ids = (await p.client.files.list()).data.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(used));
  });
});
