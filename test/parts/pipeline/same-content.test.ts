/** A producer that puts the same file again pays nothing for it, and learns whose results are its own. */

import { describe, expect, test } from 'vitest';
import { type Receipt, receiptSchema } from '../../../src/contract/receipt.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import { contentOf, ownerOf } from '../../../src/core/lifecycle/duplicate-jobs.ts';
import type { Job } from '../../../src/core/model/job.ts';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { poll } from '../../../src/core/steps/poll/poll.ts';
import { MemoryJobs } from '../../support/memory/jobs.ts';
import { chatLine, type Pipeline } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { expectListedEvents } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const BUCKET = 'bucket';
const KEY = 'input/a.jsonl';
const TEXT = ['a', 'b'].map((id) => chatLine(id)).join('\n');
const OTHER = ['c', 'd'].map((id) => chatLine(id)).join('\n');
/** What makes every request of these ids fail for good, in so many tries. */
const refusing = (ids: string, times: number) =>
  [{ times, match: { custom_id: ids }, effect: { kind: 'line.status', status: 400 } }] as const;

/** Puts a file and tells of it, a second after what was before. */
async function drop(p: Pipeline, text = TEXT, key = KEY, waitMs = 1_000): Promise<string> {
  p.emulator.clock.advance(waitMs);
  await p.drop(key, text);
  return jobIdOf((await p.deps.objects.head(BUCKET, key))!);
}
const executions = async (p: Pipeline): Promise<number> => (await p.emulator.ledger.all()).length;
const jobOf = async (p: Pipeline, jobId: string): Promise<Job> => (await p.deps.jobs.getJob(jobId))!;
async function receiptOf(p: Pipeline, jobId: string): Promise<Receipt> {
  const bytes = await p.deps.objects.get((await jobOf(p, jobId)).receiptKey!);
  return receiptSchema.parse(JSON.parse(Buffer.from(bytes!).toString('utf8')));
}
const idsIn = async (p: Pipeline) => (await p.output(KEY)).map((line) => line.custom_id);

describe.each([true, false])('the same content again (versions are kept: %s)', (isVersioned) => {
  test('while its job is live is its duplicate, and says so once its owner has ended', async () => {
    const p = await startTestPipeline({ isVersioned });
    const first = await drop(p);
    const second = await drop(p);
    expect(second).not.toBe(first);
    expect(await jobOf(p, second)).toMatchObject({ state: 'duplicate', duplicateOf: first });
    expect((await jobOf(p, second)).receiptKey).toBeUndefined();
    await p.run();
    expect(await executions(p)).toBe(2);
    expect((await p.receipt(KEY)).jobId).toBe(first);
    const receipt = await receiptOf(p, second);
    expect(receipt).toMatchObject({
      result: 'duplicate',
      duplicateOf: { jobId: first, result: 'succeeded', receipt: 'receipts/a.json' },
      files: { output: 'output/a.jsonl', receipt: `receipts/a.${second}.json` },
      counts: { requests: 0 },
      cost: { usd: '0' },
    });
    expect(p.deps.events.sent.map(({ jobId, result }) => [jobId, result])).toEqual([
      [first, 'succeeded'],
      [second, 'duplicate'],
    ]);
    expect(p.deps.events.sent[1]).toMatchObject({ duplicateOf: { jobId: first }, files: receipt.files });
  });

  test('after other content is run, and the plain names hold what was dropped last', async () => {
    const p = await startTestPipeline({ isVersioned });
    const ids = [await drop(p), await drop(p, OTHER), await drop(p)];
    await p.run();
    for (const id of ids)
      expect(await jobOf(p, id)).toMatchObject({ state: 'completed', result: 'succeeded' });
    expect(await executions(p)).toBe(6);
    expect((await p.receipt(KEY)).jobId).toBe(ids[2]);
    expect(await idsIn(p)).toEqual(['a', 'b']);
    // The same once the others have long ended.
    await drop(p, OTHER);
    await p.run();
    expect(await idsIn(p)).toEqual(['c', 'd']);
  });

  test('many times is owned by the first', async () => {
    const p = await startTestPipeline({ isVersioned });
    const first = await drop(p);
    const others = [await drop(p), await drop(p), await drop(p)];
    await p.run();
    for (const id of others)
      expect(await jobOf(p, id)).toMatchObject({ duplicateOf: first, result: 'duplicate' });
    expect(await executions(p)).toBe(2);
  });

  test('runs when its owner fails, and one of many is enough', async () => {
    const p = await startTestPipeline({ isVersioned, emulator: { faults: refusing('^[ab]$', 2) } });
    const first = await drop(p);
    const [second, third] = [await drop(p), await drop(p)];
    await p.run();
    expect((await jobOf(p, first)).result).toBe('failed');
    const ends = [await jobOf(p, second), await jobOf(p, third)];
    expect(ends.map(({ result }) => result).sort()).toEqual(['duplicate', 'succeeded']);
    expect(await executions(p)).toBe(4);
    expect(await idsIn(p)).toEqual(['a', 'b']);
    expect(p.deps.events.sent.length).toBe(3);
  });

  test('is answered by an owner that succeeds in part if it was dropped before the end, and run if after it', async () => {
    const p = await startTestPipeline({ isVersioned, emulator: { faults: refusing('^a$', 1) } });
    const first = await drop(p);
    const second = await drop(p);
    await p.run();
    expect(await jobOf(p, first)).toMatchObject({ result: 'partial' });
    expect(await receiptOf(p, second)).toMatchObject({
      result: 'duplicate',
      duplicateOf: { jobId: first, result: 'partial' },
      files: { errors: 'errors/a.jsonl', retry: 'retry/a.jsonl' },
    });
    expect(await executions(p)).toBe(2);
    const third = await drop(p);
    await p.run();
    expect(await jobOf(p, third)).toMatchObject({ state: 'completed', result: 'succeeded' });
  });

  test('is cancelled with its owner, which names it', async () => {
    const p = await startTestPipeline({ isVersioned });
    const first = await drop(p);
    const [second, third] = [await drop(p), await drop(p)];
    expect(await cancelJob(p.deps, first)).toEqual({
      state: 'cancelling',
      duplicates: [second, third].sort(),
    });
    await p.run();
    for (const id of [second, third])
      expect(await receiptOf(p, id)).toMatchObject({
        result: 'rejected',
        rejection: { code: 'cancelled' },
        duplicateOf: { jobId: first },
        files: { receipt: `receipts/a.${id}.json` },
      });
    expect((await p.receipt(KEY)).jobId).toBe(first);
    expect(p.deps.events.sent.length).toBe(3);
  });

  test('runs when its owner is cancelled without it', async () => {
    const p = await startTestPipeline({ isVersioned });
    const first = await drop(p);
    const second = await drop(p);
    expect(await cancelJob(p.deps, first, { duplicates: 'run' })).toMatchObject({ duplicates: [second] });
    await p.run();
    expect(await jobOf(p, second)).toMatchObject({ state: 'completed', result: 'succeeded' });
    expect((await p.receipt(KEY)).jobId).toBe(second);
  });

  test('does not run while a cancelled owner is executed, and is answered if that succeeds', async () => {
    const p = await startTestPipeline({ isVersioned, emulator: { timings: { finalizingMs: 2 * HOUR_MS } } });
    const first = await drop(p);
    const second = await drop(p);
    await p.run(1);
    expect(await executions(p)).toBe(2);
    await cancelJob(p.deps, first, { duplicates: 'run' });
    await p.run(1 / 6);
    const third = await drop(p);
    await p.run();
    expect(await jobOf(p, first)).toMatchObject({ result: 'succeeded' });
    for (const id of [second, third]) expect(await receiptOf(p, id)).toMatchObject({ result: 'duplicate' });
    expect(await executions(p)).toBe(2);
  });

  test('may be cancelled alone, and its owner continues', async () => {
    const p = await startTestPipeline({ isVersioned });
    const first = await drop(p);
    const second = await drop(p);
    expect(await cancelJob(p.deps, second)).toEqual({ state: 'cancelling', duplicates: [] });
    await p.run();
    expect(await receiptOf(p, second)).toMatchObject({
      result: 'rejected',
      rejection: { code: 'cancelled' },
    });
    expect(await jobOf(p, first)).toMatchObject({ result: 'succeeded' });
    expect(await cancelJob(p.deps, second)).toEqual({ state: 'ended', duplicates: [] });
  });

  test('is a duplicate within a day of success, and run after it', async () => {
    const p = await startTestPipeline({ isVersioned });
    const first = await drop(p);
    await p.run();
    const second = await drop(p, TEXT, KEY, 20 * HOUR_MS);
    await p.run();
    expect(await receiptOf(p, second)).toMatchObject({ result: 'duplicate', duplicateOf: { jobId: first } });
    const third = await drop(p, TEXT, KEY, 5 * HOUR_MS);
    await p.run();
    expect(await jobOf(p, third)).toMatchObject({ state: 'completed', result: 'succeeded' });
    expect(await executions(p)).toBe(4);
  });
});

test('a duplicate that is judged at the moment at which its owner ends is answered all the same', async () => {
  let owner = '';
  let isAt = false;
  const p = await startTestPipeline({
    intercept: async (call, effect) => {
      const result = await effect();
      // The owner ends after the duplicate has looked at it for the last time.
      if (isAt && call === 'jobs.addDuplicate') {
        isAt = false;
        await p.run();
        expect((await jobOf(p, owner)).result).toBe('succeeded');
      }
      return result;
    },
  });
  owner = await drop(p);
  isAt = true;
  const second = await drop(p);
  await p.drain();
  expect(await receiptOf(p, second)).toMatchObject({ result: 'duplicate', duplicateOf: { jobId: owner } });
});

/** A pipeline whose worker dies right after each event of one job, as long as it has to. */
async function dyingAfterEvents(): Promise<{ p: Pipeline; dying: { jobId?: string | undefined } }> {
  const dying: { jobId?: string | undefined } = {};
  const p = await startTestPipeline({
    emulator: { timings: { finalizingMs: 2 * HOUR_MS } },
    intercept: async (call, effect) => {
      const result = await effect();
      if (call === 'events.completed' && p.deps.events.sent.at(-1)?.jobId === dying.jobId)
        throw new Error('killed');
      return result;
    },
  });
  return { p, dying };
}

const resultsSentOf = (p: Pipeline, jobId: string): string[] =>
  p.deps.events.sent.filter((event) => event.jobId === jobId).map(({ result }) => result);

test('a duplicate whose cancellation was announced stays cancelled, also when its owner succeeds', async () => {
  const { p, dying } = await dyingAfterEvents();
  const first = await drop(p);
  const second = await drop(p);
  await p.run(1);
  await cancelJob(p.deps, first);
  dying.jobId = second;
  while ((await jobOf(p, first)).receiptKey === undefined) await p.run(1 / 6);
  dying.jobId = undefined;
  await p.run();
  expect(await jobOf(p, first)).toMatchObject({ result: 'succeeded' });
  expect(new Set(resultsSentOf(p, second))).toEqual(new Set(['rejected']));
  expect(await receiptOf(p, second)).toMatchObject({ result: 'rejected', duplicateOf: { jobId: first } });
});

test('a duplicate whose answer was announced stays answered, also when it is cancelled after that', async () => {
  const { p, dying } = await dyingAfterEvents();
  const first = await drop(p);
  const second = await drop(p);
  dying.jobId = second;
  while (resultsSentOf(p, second).length === 0) await p.run(1 / 6);
  expect((await jobOf(p, second)).receiptKey).toBeUndefined();
  const cancelled = await cancelJob(p.deps, second);
  const third = await drop(p);
  dying.jobId = undefined;
  await p.run();
  expect(new Set(resultsSentOf(p, second))).toEqual(new Set(['duplicate']));
  for (const id of [second, third])
    expect(await receiptOf(p, id)).toMatchObject({ result: 'duplicate', duplicateOf: { jobId: first } });
  expect(cancelled).toEqual({ state: 'ended', duplicates: [] });
  expect(await executions(p)).toBe(2);
});

test('a re-drop that is judged while its owner is being cancelled is not named, and runs', async () => {
  let owner = '';
  let isAt = false;
  const p = await startTestPipeline({
    intercept: async (call, effect) => {
      if (isAt && call === 'jobs.addDuplicate') {
        isAt = false;
        expect(await cancelJob(p.deps, owner)).toEqual({ state: 'cancelling', duplicates: [] });
      }
      return effect();
    },
  });
  owner = await drop(p);
  isAt = true;
  const second = await drop(p);
  await p.run();
  expect(await jobOf(p, second)).toMatchObject({ state: 'completed', result: 'succeeded' });
});

test('events in the wrong order: the older version owns the newer one, and its content is bought once', async () => {
  const p = await startTestPipeline({ twice: true });
  await p.deps.objects.put(KEY, Buffer.from(TEXT));
  const first = (await p.deps.objects.head(BUCKET, KEY))!;
  const second = await drop(p);
  await p.run();
  await p.notify(KEY);
  expect(await receiptOf(p, second)).toMatchObject({
    result: 'duplicate',
    duplicateOf: { jobId: jobIdOf(first) },
  });
  expect(await executions(p)).toBe(2);
  expect((await p.receipt(KEY)).jobId).toBe(jobIdOf(first));
});

test('a version with other options in between owns nothing and has no owner', async () => {
  const settings = settingsSchema.parse({
    routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/', mayOverride: ['maxTries'] }],
  });
  const p = await startTestPipeline({ settings });
  const first = await drop(p);
  p.emulator.clock.advance(1_000);
  await p.deps.objects.put(KEY, Buffer.from(TEXT), { metadata: { 'batchdrop-max-tries': '1' } });
  await p.notify(KEY);
  const second = jobIdOf((await p.deps.objects.head(BUCKET, KEY))!);
  const third = await drop(p);
  await p.run();
  for (const id of [first, second, third]) expect((await jobOf(p, id)).state).toBe('completed');
});

test('a delete marker between two versions of the same content changes nothing', async () => {
  const p = await startTestPipeline();
  const first = await drop(p);
  await p.deps.objects.remove(KEY);
  expect(await jobOf(p, await drop(p))).toMatchObject({ state: 'duplicate', duplicateOf: first });
});

test('versions of one second have the plain names in the order in which S3 stored them', async () => {
  const p = await startTestPipeline({
    settings: settingsSchema.parse({ routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }] }),
  });
  const dropped: { id: string; customId: string }[] = [];
  for (let index = 0; index < 6; index++) {
    const customId = `n${index}`;
    dropped.push({ id: await drop(p, chatLine(customId), KEY, 0), customId });
  }
  await p.run();
  const times = await Promise.all(dropped.map(async ({ id }) => (await jobOf(p, id)).input.lastModified));
  expect(new Set(times).size).toBe(1);
  expect(await idsIn(p)).toEqual(['n5']);
  expect((await p.receipt(KEY)).jobId).toBe(dropped[5]!.id);
});

test('content X, Y, X within one second: each is run, and the names hold the last', async () => {
  const p = await startTestPipeline();
  for (const text of [TEXT, OTHER, TEXT]) await drop(p, text, KEY, 0);
  await p.run();
  expect(await executions(p)).toBe(6);
  expect(await idsIn(p)).toEqual(['a', 'b']);
});

test('without versions, of objects put within one second none owns what comes next', async () => {
  const p = await startTestPipeline({ isVersioned: false });
  await drop(p);
  await drop(p, OTHER, KEY, 0);
  const third = await drop(p);
  await p.run();
  expect(await jobOf(p, third)).toMatchObject({ state: 'completed', result: 'succeeded' });
  expect((await p.receipt(KEY)).jobId).toBe(third);
});

test('other content, another key and a route that says run are run', async () => {
  const settings = settingsSchema.parse({
    routes: [
      { ...BATCH_ONLY, name: 'skip', prefix: 'input/' },
      { ...BATCH_ONLY, name: 'run', prefix: 'input/run/', sameContent: 'run' },
    ],
  });
  const p = await startTestPipeline({ settings });
  const ids = [
    await drop(p),
    await drop(p, `${TEXT}\n`),
    await drop(p, TEXT, 'input/b.jsonl'),
    await drop(p, TEXT, 'input/run/a.jsonl'),
    await drop(p, TEXT, 'input/run/a.jsonl'),
  ];
  await p.run();
  for (const id of ids) expect((await jobOf(p, id)).state).toBe('completed');
  expect(await executions(p)).toBe(10);
});

test('content whose job was rejected or cancelled may be dropped again', async () => {
  const p = await startTestPipeline();
  const rejected = await drop(p, '\n', 'input/empty.jsonl');
  await p.run();
  const rejectedAgain = await drop(p, '\n', 'input/empty.jsonl');
  await p.run();
  for (const id of [rejected, rejectedAgain]) expect((await jobOf(p, id)).state).toBe('rejected');
  const cancelled = await drop(p, chatLine('c'), 'input/c.jsonl');
  await cancelJob(p.deps, cancelled);
  const instead = await drop(p, chatLine('c'), 'input/c.jsonl');
  await p.run();
  expect((await jobOf(p, instead)).result).toBe('succeeded');
});

test('a duplicate whose messages are all lost is settled by the sweep', async () => {
  const p = await startTestPipeline();
  const first = await drop(p);
  const second = await drop(p);
  await p.drain();
  for (let polls = 0; polls < 40; polls++) {
    p.emulator.clock.advance(5 * 60_000);
    await poll(p.deps);
    const { messages } = p.deps.outbox;
    // Whatever the end of the owner sends to its duplicate is lost.
    for (const queued of messages.splice(0))
      if (polls > 30 || queued.queue !== 'finalize' || (queued.message as { jobId: string }).jobId !== second)
        messages.push(queued);
    await p.drain();
  }
  expect(await receiptOf(p, second)).toMatchObject({ result: 'duplicate', duplicateOf: { jobId: first } });
});

test('the order in which the table gives the members of a default is no other content', async () => {
  const jobs = new MemoryJobs();
  const p = await startTestPipeline();
  const job = await jobOf(p, await drop(p));
  const withBody = (jobId: string, body: Record<string, string | Record<string, number>>): Job => ({
    ...job,
    jobId,
    state: 'running',
    route: { ...job.route, defaults: { body } },
  });
  const first = withBody('first', { model: 'gpt-6-luna', text: { a: 1, b: 2 } });
  const again = withBody('again', { text: { b: 2, a: 1 }, model: 'gpt-6-luna' });
  const other = withBody('other', { text: { b: 1, a: 2 }, model: 'gpt-6-luna' });
  expect(contentOf(again)).toBe(contentOf(first));
  expect((await ownerOf(jobs, again, first))?.jobId).toBe('first');
  expect(await ownerOf(jobs, other, first)).toBeUndefined();
});
