/** Forgetting: nothing of a job is left but that it was there, and nothing of other jobs is touched. */
import { describe, expect, test, vi } from 'vitest';
import { layoutOf } from '../../../../../src/contract/layout.ts';
import { publishedKeys } from '../../../../../src/core/files/keys.ts';
import { jobIdOf } from '../../../../../src/core/model/job-id.ts';
import { expectSameAtEachCrash, withoutCrash } from '../../../../support/crash.ts';
import { chatLine, OPERATOR, type Pipeline, type PipelineOptions } from '../../../../support/pipeline.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../../../support/telemetry.ts';
import { startTestPipeline } from '../../../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const INVALID = '{"custom_id":"broken","method":"POST"}';
const FIRST = [chatLine('alpha-1'), INVALID].join('\n');
const SECOND = [chatLine('beta-1'), chatLine('beta-2'), INVALID].join('\n');
const RESULTS = ['output/a.jsonl', 'errors/a.jsonl', 'retry/a.jsonl', 'receipts/a.json'];

async function jobAt(p: Pipeline, key = KEY): Promise<string> {
  return jobIdOf((await p.deps.objects.head('bucket', key))!);
}

/** Drops, and runs until the job has ended. */
async function ran(p: Pipeline, body: string): Promise<string> {
  p.emulator.clock.advance(60_000);
  await p.drop(KEY, body);
  const jobId = await jobAt(p);
  await p.run();
  return jobId;
}

async function started(options: PipelineOptions = {}) {
  const events: SeenEvent[] = [];
  const p = await startTestPipeline({ telemetry: telemetryTo((event) => events.push(event)), ...options });
  return { p, events };
}

/** All versions of all keys that are kept, with their content. */
async function kept(p: Pipeline, prefix = ''): Promise<string[]> {
  const found: string[] = [];
  let after: Parameters<Pipeline['deps']['objects']['listVersions']>[1];
  do {
    const page = await p.deps.objects.listVersions(prefix, after);
    for (const { bucket, key, versionId } of page.versions) {
      const chunks: Uint8Array[] = [];
      const source = { bucket, key, ...(versionId === undefined ? {} : { versionId }) };
      for await (const chunk of await p.deps.objects.read(source)) chunks.push(chunk);
      found.push(`${key}: ${Buffer.concat(chunks).toString()}`);
    }
    after = page.next;
  } while (after !== undefined);
  return found;
}

describe.each([
  ['with', true],
  ['without', false],
])('in a bucket %s versions', (_how, isVersioned) => {
  test('nothing is left of a job but a tombstone that says nothing of it', async () => {
    const { p, events } = await started({ isVersioned });
    await p.deps.objects.put(`${KEY}.options.json`, Buffer.from('{}'));
    const jobId = await ran(p, FIRST);
    expect(await p.operate({ action: 'forget', jobId, reason: 'asked to' })).toMatchObject({
      status: 200,
      state: 'forgotten',
    });
    expect(await kept(p)).toEqual(
      (await kept(p)).filter((each) => each.startsWith('work/poll.json') || each.startsWith('.batchdrop/')),
    );
    expect(await p.deps.jobs.getJob(jobId)).toBeUndefined();
    expect(await p.deps.jobs.listBatches(jobId)).toEqual([]);
    expect(p.deps.index.ended).toEqual([]);
    expect(await p.deps.graves.getTombstone(jobId)).toEqual({
      v: 1,
      jobId,
      forgottenAt: p.emulator.clock.now(),
      by: OPERATOR,
      reason: 'asked to',
    });
    expect(events.filter(({ name }) => name === 'job.forgotten')).toHaveLength(1);
    expect(JSON.stringify(events.at(-1))).not.toContain('a.jsonl');
    expect(await p.operate({ action: 'forget', jobId })).toMatchObject({ state: 'forgotten_before' });
    expect((await p.client.files.list()).data).toEqual([]);
  });

  test('what was published at names of its own after its last receipt, or has no receipt, is removed too', async () => {
    const { p } = await started({ isVersioned });
    const jobId = await ran(p, FIRST);
    const keys = publishedKeys(layoutOf(p.deps.settings, p.deps.settings.routes[0]!), KEY, jobId);
    for (const key of [keys.output, keys.errors, keys.retry])
      await p.deps.objects.put(key, Buffer.from('alpha-1'));
    await p.operate({ action: 'forget', jobId });
    expect((await kept(p)).filter((each) => each.includes('alpha-1'))).toEqual([]);
  });

  test('a newer version of the input, and its results, stay', async () => {
    const { p } = await started({ isVersioned });
    const first = await ran(p, FIRST);
    const second = await ran(p, SECOND);
    const results = await Promise.all(RESULTS.map((key) => p.deps.objects.get(key)));
    await p.operate({ action: 'forget', jobId: first });
    expect(await Promise.all(RESULTS.map((key) => p.deps.objects.get(key)))).toEqual(results);
    expect((await kept(p)).filter((each) => each.includes('alpha-1'))).toEqual([]);
    expect(await jobAt(p)).toBe(second);
    expect(await p.deps.jobs.getJob(second)).toMatchObject({ state: 'completed' });
  });

  test('an older version of the input, and what is kept of its results, stay', async () => {
    const { p } = await started({ isVersioned });
    const first = await ran(p, FIRST);
    const second = await ran(p, SECOND);
    await p.operate({ action: 'forget', jobId: second });
    expect((await kept(p)).filter((each) => /beta/.test(each))).toEqual([]);
    const left = (await kept(p)).filter((each) => each.includes('alpha-1'));
    expect(left.some((each) => each.startsWith('output/'))).toBe(isVersioned);
    expect(await p.deps.jobs.getJob(first)).toMatchObject({ state: 'completed' });
  });

  test('the same content dropped again is a new job, which runs', async () => {
    const { p } = await started({ isVersioned });
    const first = await ran(p, FIRST);
    await p.operate({ action: 'forget', jobId: first });
    const again = await ran(p, FIRST);
    expect(again).not.toBe(first);
    expect(await p.receipt(KEY)).toMatchObject({ jobId: again, counts: { succeeded: 1 } });
    expect(await p.emulator.ledger.all()).toHaveLength(2);
  });
});

test('the input is the last object that is removed: until then its key means the job that is being forgotten', async () => {
  const { p } = await started({ isVersioned: true });
  const first = await ran(p, FIRST);
  const second = await ran(p, SECOND);
  const { erasure, graves } = p.deps;
  const calls: string[] = [];
  vi.spyOn(erasure, 'eraseBelow').mockImplementationOnce(() => Promise.reject(new Error('cut off')));
  await p.operate({ action: 'forget', jobId: second }).catch(() => {});
  expect(await jobAt(p)).toBe(second);
  p.emulator.clock.advance(10 * 60_000);
  const erase = erasure.eraseVersions.bind(erasure);
  vi.spyOn(erasure, 'eraseVersions').mockImplementation((key, versions) => {
    calls.push(key);
    return erase(key, versions);
  });
  const bury = graves.bury.bind(graves);
  vi.spyOn(graves, 'bury').mockImplementation((tombstone) => {
    calls.push('bury');
    return bury(tombstone);
  });
  expect(await p.operate({ action: 'forget', jobId: second })).toMatchObject({ state: 'forgotten' });
  expect(calls.slice(-2)).toEqual([KEY, 'bury']);
  // The key means the older version now; the job id repeated touches nothing of that.
  expect(await jobAt(p)).toBe(first);
  expect(await p.operate({ action: 'forget', jobId: second })).toMatchObject({ state: 'forgotten_before' });
  expect(await p.deps.jobs.getJob(first)).toMatchObject({ state: 'completed' });
});

test('forgetting a duplicate leaves the results of the job that ran', async () => {
  const { p } = await started();
  const owner = await ran(p, FIRST.split('\n')[0]!);
  const duplicate = await ran(p, FIRST.split('\n')[0]!);
  expect(await p.deps.jobs.getJob(duplicate)).toMatchObject({ state: 'duplicate', duplicateOf: owner });
  await p.operate({ action: 'forget', jobId: duplicate });
  expect(await p.output(KEY)).toHaveLength(1);
  expect(await p.deps.jobs.getJob(owner)).toMatchObject({ state: 'completed' });
  // And the other way round, nothing of it is left.
  await p.operate({ action: 'forget', jobId: owner });
  expect((await kept(p)).filter((each) => each.includes('alpha-1'))).toEqual([]);
});

test('retries and duplicates of it stay, and are named with it', async () => {
  const { p } = await started();
  const owner = await ran(p, FIRST);
  const duplicate = await ran(p, FIRST);
  const isDuplicate = (await p.deps.jobs.getJob(duplicate))?.state === 'duplicate';
  const { key } = (await p.operate({ action: 'retry', jobId: owner })) as unknown as { key: string };
  await p.notify(key);
  await p.run();
  const retry = await jobAt(p, key);
  expect(await p.operate({ action: 'forget', jobId: owner })).toMatchObject({
    state: 'forgotten',
    remains: {
      retries: [{ jobId: retry, key }],
      duplicates: isDuplicate ? [{ jobId: duplicate, key: KEY }] : [],
    },
  });
  expect(await p.deps.jobs.getJob(retry)).toMatchObject({ jobId: retry });
});

test('files at OpenAI that could not be deleted are named', async () => {
  const { p } = await started();
  const deleteFile = vi.spyOn(p.deps.batches, 'deleteFile').mockRejectedValue(new Error('503'));
  const jobId = await ran(p, FIRST);
  deleteFile.mockRestore();
  const left = (await p.client.files.list()).data.map(({ id }) => id).sort();
  expect(left.length).toBeGreaterThan(1);
  const answer = (await p.operate({ action: 'forget', jobId })) as unknown as {
    remains: { openaiFiles: { id: string; apiKey: string }[] };
  };
  expect(answer.remains.openaiFiles.map(({ id }) => id).sort()).toEqual(left);
  expect(new Set(answer.remains.openaiFiles.map(({ apiKey }) => apiKey))).toEqual(new Set(['default']));
});

describe.each([
  ['with', true],
  ['without', false],
])('options beside the input, in a bucket %s versions', (_how, isVersioned) => {
  const BESIDE = `${KEY}.options.json`;

  test('go with it if it has read them', async () => {
    const { p } = await started({ isVersioned });
    await p.deps.objects.put(BESIDE, Buffer.from('{}'));
    const jobId = await ran(p, FIRST);
    expect(await p.operate({ action: 'forget', jobId })).toMatchObject({ remains: { options: [] } });
    expect(await kept(p, BESIDE)).toEqual([]);
  });

  test('stay if they were put after it, for the next file, and are named', async () => {
    const { p } = await started({ isVersioned });
    const jobId = await ran(p, FIRST);
    p.emulator.clock.advance(60_000);
    await p.deps.objects.put(BESIDE, Buffer.from('{"maxTries": 2}'));
    expect(await p.operate({ action: 'forget', jobId })).toMatchObject({ remains: { options: [BESIDE] } });
    expect(await kept(p, BESIDE)).toEqual([`${BESIDE}: {"maxTries": 2}`]);
  });

  test('stay while another version of the input has them too', async () => {
    const { p } = await started({ isVersioned });
    await p.deps.objects.put(BESIDE, Buffer.from('{}'));
    const first = await ran(p, FIRST);
    await ran(p, SECOND);
    expect(await p.operate({ action: 'forget', jobId: first })).toMatchObject({
      remains: { options: [BESIDE] },
    });
    expect(await kept(p, BESIDE)).toEqual([`${BESIDE}: {}`]);
  });
});

test('a job of another bucket than the one of the stack is refused, and nothing is changed', async () => {
  const { p } = await started();
  const jobId = await ran(p, FIRST);
  const before = await kept(p);
  p.deps.bucket = 'bucket-of-today';
  for (const action of ['forget', 'retry'])
    expect(await p.operate({ action, jobId })).toMatchObject({
      status: 409,
      code: 'other_bucket',
      message: expect.stringMatching(/is of the bucket bucket, and this stack has bucket-of-today now/),
    });
  expect(await kept(p)).toEqual(before);
  expect((await p.deps.jobs.getJob(jobId))?.forgettingAt).toBeUndefined();
});

test('a job whose results another worker publishes is refused until that has ended', async () => {
  const { p } = await started();
  const jobId = await ran(p, FIRST);
  const now = p.emulator.clock.now();
  const other = { name: 'bucket/a', owner: KEY, order: '9', holder: 'other' };
  await p.deps.jobs.acquirePublication(other, now, now + 60_000);
  expect(await p.operate({ action: 'forget', jobId })).toMatchObject({ status: 409, code: 'busy' });
  expect((await p.deps.jobs.getJob(jobId))?.forgettingAt).toBeUndefined();
  await p.deps.jobs.abandonPublication(other);
  expect(await p.operate({ action: 'forget', jobId })).toMatchObject({ state: 'forgotten' });
});

test('a job that is live, or that others wait for, is refused', async () => {
  const { p } = await started();
  await p.drop(KEY, FIRST);
  const jobId = await jobAt(p);
  expect(await p.operate({ action: 'forget', jobId })).toMatchObject({ status: 409, code: 'job_is_live' });
  expect((await p.deps.jobs.getJob(jobId))?.forgettingAt).toBeUndefined();
});

test.each(['before', 'after'] as const)(
  'a worker that dies %s any call leaves a job that is forgotten by the act repeated',
  async (when) => {
    let isCounting = false;
    // To die at a read is to die before what follows it.
    const counts = (call: string) => isCounting && !/\.(head|read|list\w+|get\w+)$/.test(call);
    const run = async (crash: PipelineOptions) => {
      isCounting = false;
      const { p } = await started(crash);
      const first = await ran(p, FIRST);
      const second = await ran(p, SECOND);
      const results = await Promise.all(RESULTS.map((key) => p.deps.objects.get(key)));
      crash.onInvocation?.();
      isCounting = true;
      for (let times = 0; times < 2; times += 1) {
        await p.operate({ action: 'forget', jobId: first }).catch(() => {});
        // Until the lease of the dead worker has run out.
        p.emulator.clock.advance(10 * 60_000);
      }
      isCounting = false;
      return {
        ofFirst: (await kept(p)).filter(
          (each) => each.includes('alpha-1') || each.startsWith(`work/${first}/`),
        ),
        record: await p.deps.jobs.getJob(first),
        isBuried: (await p.deps.graves.getTombstone(first)) !== undefined,
        second: (await p.deps.jobs.getJob(second))?.state,
        areResultsKept:
          JSON.stringify(await Promise.all(RESULTS.map((key) => p.deps.objects.get(key)))) ===
          JSON.stringify(results),
      };
    };
    const { result, calls } = await withoutCrash(run, counts);
    expect(result).toEqual({
      ofFirst: [],
      record: undefined,
      isBuried: true,
      second: 'completed',
      areResultsKept: true,
    });
    expect(calls.length).toBeGreaterThan(8);
    await expectSameAtEachCrash({ calls, when, counts }, run, result);
  },
);
