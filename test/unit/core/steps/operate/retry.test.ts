/** Retries: only what did not succeed, once for each number, under names of their own. */
import { describe, expect, test } from 'vitest';
import { settingsSchema } from '../../../../../src/contract/settings.ts';
import { perhapsPaid } from '../../../../../src/core/steps/operate/retry.ts';
import { OPENAI_RULES } from '../../../../../src/providers/openai/rules.ts';
import { expectSameAtEachCrash, withoutCrash } from '../../../../support/crash.ts';
import { chatLine, OPERATOR, type Pipeline, type PipelineOptions } from '../../../../support/pipeline.ts';
import { BATCH_ONLY } from '../../../../support/routes.ts';
import { expectListedEvents } from '../../../../support/telemetry.ts';
import { startTestPipeline } from '../../../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/nightly/a.jsonl';
const INVALID = '{"custom_id":"broken","method":"POST"}';
const GOOD = chatLine('good');

async function jobsOf(p: Pipeline): Promise<string[]> {
  const ids: string[] = [];
  for await (const { jobId } of p.deps.jobs.listEnded(Number.POSITIVE_INFINITY)) ids.push(jobId);
  return ids;
}

/** A job that has ended, of which one request was invalid. */
async function ended(options: PipelineOptions = {}, lines = [GOOD, INVALID]) {
  const p = await startTestPipeline(options);
  await p.drop(KEY, lines.join('\n'));
  await p.run();
  const [jobId] = await jobsOf(p);
  return { p, jobId: jobId! };
}

const nameOf = (jobId: string, number = 1) => `nightly/a.retry-${number}-of-${jobId}`;

test('what did not succeed becomes a new input that names the job, and its results have names of their own', async () => {
  const { p, jobId } = await ended();
  const key = `input/${nameOf(jobId)}.jsonl`;
  const first = await p.deps.objects.get('receipts/nightly/a.json');
  expect(await p.operate({ action: 'retry', jobId, reason: 'fixed' })).toMatchObject({
    status: 200,
    state: 'dropped',
    key,
    number: 1,
  });
  expect(Buffer.from((await p.deps.objects.get(key))!).toString()).toBe(`${INVALID}\n`);
  expect(await p.deps.jobs.getJob(jobId)).toMatchObject({
    retries: [{ number: 1, key }],
    acts: [{ action: 'retry', by: OPERATOR, reason: 'fixed' }],
  });
  await p.notify(key);
  await p.run();
  expect(await p.receipt(key)).toMatchObject({
    retryOf: { jobId, number: 1 },
    counts: { requests: 1, invalid: 1 },
  });
  expect(p.deps.objects.keys()).toContain(`errors/${nameOf(jobId)}.jsonl`);
  expect(await p.deps.objects.get('receipts/nightly/a.json')).toEqual(first);
  expect(JSON.parse(Buffer.from(first!).toString())).not.toHaveProperty('retryOf');
});

test('the same retry again makes no second job, another number does once it is acknowledged', async () => {
  const { p, jobId } = await ended();
  await p.operate({ action: 'retry', jobId });
  const before = p.deps.objects.keys();
  expect(await p.operate({ action: 'retry', jobId })).toMatchObject({ state: 'dropped_before', number: 1 });
  // Also when its input was removed since.
  await p.deps.objects.remove(`input/${nameOf(jobId)}.jsonl`);
  expect(await p.operate({ action: 'retry', jobId })).toMatchObject({ state: 'dropped_before' });
  expect(p.deps.objects.keys()).toEqual(before.filter((key) => key !== `input/${nameOf(jobId)}.jsonl`));
  const refused = await p.operate({ action: 'retry', jobId, number: 2 });
  expect(refused).toMatchObject({
    status: 409,
    code: 'needs_acknowledgement',
    message: expect.stringContaining(
      `Retry 1 of job ${jobId} was dropped before, as input/${nameOf(jobId)}.jsonl`,
    ),
    mayHaveBeenPaid: {},
  });
  expect(refused).toMatchObject({
    message: expect.stringContaining(`batchdrop retry input/${nameOf(jobId)}.jsonl`),
  });
  expect(p.deps.objects.keys().filter((each) => each.includes('retry-2'))).toEqual([]);
  const second = { action: 'retry', jobId, number: 2 } as const;
  expect(await p.operate({ ...second, acknowledge: 'may_pay_twice' })).toMatchObject({
    state: 'dropped',
    key: `input/${nameOf(jobId, 2)}.jsonl`,
  });
});

test.each(['objects.openWrite.copy', 'objects.openWrite.close'])(
  'a retry that dies at %s is known to those who ask for another one, and its number continues it',
  async (at) => {
    let isKilled = false;
    const { p, jobId } = await ended({
      intercept: async (call, effect) => {
        if (!isKilled || call !== at) return effect();
        if (call.endsWith('.close')) await effect();
        throw new Error('killed');
      },
    });
    isKilled = true;
    await expect(p.operate({ action: 'retry', jobId, reason: 'first' })).rejects.toThrow('killed');
    isKilled = false;
    p.emulator.clock.advance(10 * 60_000);
    expect(await p.operate({ action: 'retry', jobId, number: 2 })).toMatchObject({
      code: 'needs_acknowledgement',
      message: expect.stringContaining(`Retry 1 of job ${jobId} was begun before`),
    });
    const key = `input/${nameOf(jobId)}.jsonl`;
    const state = at.endsWith('.close') ? 'dropped_before' : 'dropped';
    expect(await p.operate({ action: 'retry', jobId })).toMatchObject({ state, key });
    const job = await p.deps.jobs.getJob(jobId);
    expect(job?.retries).toEqual([{ number: 1, key, at: expect.any(Number) }]);
    expect(job?.acts).toMatchObject([{ action: 'retry', reason: 'first' }]);
    expect((await p.deps.objects.listKey(key)).versions).toHaveLength(1);
  },
);

test('a retry keeps what the file said of how it is to be run', async () => {
  const settings = settingsSchema.parse({
    routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/', mayOverride: ['maxTries'] }],
  });
  const p = await startTestPipeline({ settings });
  await p.deps.objects.put(KEY, Buffer.from(`${GOOD}\n${INVALID}`), {
    metadata: { 'batchdrop-max-tries': '2' },
  });
  await p.notify(KEY);
  await p.run();
  const [jobId] = await jobsOf(p);
  await p.operate({ action: 'retry', jobId });
  const beside = await p.deps.objects.get(`input/${nameOf(jobId!)}.jsonl.options.json`);
  expect(JSON.parse(Buffer.from(beside!).toString())).toEqual({ maxTries: 2 });
});

describe('refused is a retry of', () => {
  test('a job that is live', async () => {
    const p = await startTestPipeline();
    await p.drop(KEY, GOOD);
    for await (const { jobId } of jobItems(p))
      expect(await p.operate({ action: 'retry', jobId })).toMatchObject({ status: 409, code: 'job_is_live' });
  });

  test('a job that succeeded', async () => {
    const { p, jobId } = await ended({}, [GOOD]);
    expect(await p.operate({ action: 'retry', jobId })).toMatchObject({ code: 'nothing_to_retry' });
  });

  test('a duplicate, which names the job that ran', async () => {
    const { p, jobId } = await ended({}, [GOOD]);
    await p.drop(KEY, GOOD);
    await p.run();
    const duplicate = (await jobsOf(p)).find((each) => each !== jobId)!;
    const refused = await p.operate({ action: 'retry', jobId: duplicate });
    expect(refused).toMatchObject({ code: 'nothing_to_retry', message: expect.stringContaining(jobId) });
  });

  test('a job that was rejected whole', async () => {
    const { p, jobId } = await ended({}, [INVALID]);
    expect(await p.operate({ action: 'retry', jobId })).toMatchObject({ code: 'nothing_to_retry' });
  });

  test('a job whose results are gone, and not answered with those of another version', async () => {
    const { p, jobId } = await ended({ isVersioned: false });
    await p.drop(KEY, [GOOD, chatLine('more'), INVALID].join('\n'));
    await p.run();
    expect(await p.operate({ action: 'retry', jobId })).toMatchObject({
      status: 409,
      code: 'results_replaced',
    });
  });

  test('a job whose route takes no such key', async () => {
    const settings = settingsSchema.parse({
      routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/', match: ['*/a.jsonl'] }],
    });
    const { p, jobId } = await ended({ settings });
    expect(await p.operate({ action: 'retry', jobId })).toMatchObject({ code: 'no_such_route' });
  });
});

async function* jobItems(p: Pipeline) {
  for await (const item of p.deps.jobs.listOverdue(Number.POSITIVE_INFINITY))
    if (item.kind === 'job') yield item;
}

test('the retry file of an older version is found where a newer one has its names', async () => {
  const { p, jobId } = await ended();
  p.emulator.clock.advance(60_000);
  await p.drop(KEY, [GOOD, chatLine('more'), INVALID.replace('broken', 'other')].join('\n'));
  await p.run();
  await p.operate({ action: 'retry', jobId });
  expect(Buffer.from((await p.deps.objects.get(`input/${nameOf(jobId)}.jsonl`))!).toString()).toContain(
    'broken',
  );
});

describe('what may have been paid for', () => {
  const receipt = (changes: object) =>
    ({
      errorsByCode: {},
      possiblyBilledTwice: {},
      counts: { failed: 3 },
      cost: { possibleUsd: '0', withoutUsage: 0 },
      ...changes,
    }) as unknown as Parameters<typeof perhapsPaid>[1];

  test.each([
    [{ errorsByCode: { cancelled: 2, invalid_request: 1 } }, {}],
    [{ errorsByCode: { lost_batch: 2, cancelled: 1 } }, { lost_batch: 2 }],
    [{ errorsByCode: { request_timeout: 1 } }, { request_timeout: 1 }],
    [{ errorsByCode: { response_cancelled: 1 } }, { response_cancelled: 1 }],
    // The first hundred codes of a batch are counted, the others are not told apart.
    [{ errorsByCode: { other: 5 } }, { other: 5 }],
    [{ errorsByCode: { strange: 3 }, cost: { possibleUsd: '0.01', withoutUsage: 0 } }, { unknown: 3 }],
    // Neither an answer without usage nor a request perhaps billed twice says that it is the whole sum.
    [{ errorsByCode: { strange: 3 }, cost: { possibleUsd: '0.01', withoutUsage: 1 } }, { unknown: 3 }],
    [{ possiblyBilledTwice: { moved: 1 }, cost: { possibleUsd: '0.01', withoutUsage: 0 } }, { unknown: 3 }],
    // Nothing of the retry file was sent: its lines are invalid ones.
    [{ counts: { failed: 0 }, cost: { possibleUsd: '0.01', withoutUsage: 1 } }, {}],
  ])('of %j is %j', (changes, expected) => {
    expect(perhapsPaid(OPENAI_RULES, receipt(changes))).toEqual(expected);
  });

  test('is asked about, and retried once that is acknowledged', async () => {
    const { p, jobId } = await ended();
    const key = 'receipts/nightly/a.json';
    const own = JSON.parse(Buffer.from((await p.deps.objects.get(key))!).toString());
    own.errorsByCode = { lost_batch: 1 };
    await p.deps.objects.put(key, Buffer.from(JSON.stringify(own)));
    expect(await p.operate({ action: 'retry', jobId })).toMatchObject({
      status: 409,
      code: 'needs_acknowledgement',
      mayHaveBeenPaid: { lost_batch: 1 },
    });
    expect(p.deps.objects.keys().filter((each) => each.includes('retry-1'))).toEqual([]);
    expect(await p.operate({ action: 'retry', jobId, acknowledge: 'may_pay_twice' })).toMatchObject({
      state: 'dropped',
    });
  });
});

test.each(['before', 'after'] as const)(
  'a worker that dies %s any call has made one new input at most, and the act repeated makes it',
  async (when) => {
    const run = async (crash: PipelineOptions) => {
      const p = await startTestPipeline(crash);
      await p.drop(KEY, [GOOD, INVALID].join('\n'));
      await p.run();
      const [jobId] = await jobsOf(p);
      crash.onInvocation?.();
      isCounting = true;
      for (let times = 0; times < 2; times += 1) {
        await p.operate({ action: 'retry', jobId }).catch(() => {});
        // Until the lease of the dead worker has run out.
        p.emulator.clock.advance(10 * 60_000);
      }
      isCounting = false;
      const key = `input/${nameOf(jobId!)}.jsonl`;
      const { versions } = await p.deps.objects.listKey(key);
      return {
        versions: versions.length,
        retries: (await p.deps.jobs.getJob(jobId!))?.retries?.map(({ key }) => key),
      };
    };
    let isCounting = false;
    // To die at a read is to die before what follows it.
    const counts = (call: string) => isCounting && !/\.(head|read|list\w+|get\w+)$/.test(call);
    const { result, calls } = await withoutCrash(run, counts);
    expect(result).toMatchObject({ versions: 1, retries: [expect.stringContaining('retry-1-of')] });
    await expectSameAtEachCrash({ calls, when, counts }, run, result);
  },
);

test('a retry whose worker died right after the drop, and whose own job was forgotten since, is not dropped again', async () => {
  let isDead = false;
  let wasDropped = false;
  const { p, jobId } = await ended({
    intercept: async (call, effect) => {
      if (isDead && wasDropped && call === 'jobs.moveJob') throw new Error('the worker died');
      const result = await effect();
      if (isDead && call === 'objects.openWrite.close') wasDropped = true;
      return result;
    },
  });
  const key = `input/${nameOf(jobId)}.jsonl`;
  isDead = true;
  await expect(p.operate({ action: 'retry', jobId })).rejects.toThrow('the worker died');
  isDead = false;
  expect((await p.deps.jobs.getJob(jobId))?.retries).toEqual([expect.objectContaining({ isDropping: true })]);
  await p.notify(key);
  await p.run();
  const retry = await p.receipt(key);
  // The lease of the dead worker still stands: the removal waits for it.
  expect(await p.operate({ action: 'forget', jobId: retry.jobId })).toMatchObject({ code: 'busy' });
  p.emulator.clock.advance(20 * 60_000);
  expect(await p.operate({ action: 'forget', jobId: retry.jobId })).toMatchObject({ state: 'forgotten' });
  expect(await p.operate({ action: 'retry', jobId })).toMatchObject({ state: 'dropped_before', number: 1 });
  expect(await p.deps.objects.head('bucket', key)).toBeUndefined();
});
