/**
 * Batches that OpenAI ends as `failed`: what shows any sign of execution is collected like a cancelled batch; what
 * shows none is sent again a few times and then held, until a person releases it.
 */
import { describe, expect, test } from 'vitest';
import type { FaultRule } from '../../../local/openai-emulator/faults.ts';
import { settingsSchema } from '../../../src/contract/settings.ts';
import { cancelJob } from '../../../src/core/lifecycle/cancel.ts';
import { resumeJob } from '../../../src/core/lifecycle/resume.ts';
import { jobIdOf } from '../../../src/core/model/job-id.ts';
import { chatLine, type Pipeline, type PipelineOptions } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { expectListedEvents } from '../../support/telemetry.ts';
import { startTestPipeline } from '../../support/test-pipeline.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const REQUESTS = 6;
const TEXT = Array.from({ length: REQUESTS }, (_, index) => chatLine(`r${index}`)).join('\n');
const ERRORS = [{ code: 'server_error', message: 'Batch processing failed.' }];

async function start(rules: readonly FaultRule[], options: PipelineOptions = {}): Promise<Pipeline> {
  const p = await startTestPipeline({ ...options, emulator: { faults: rules } });
  await p.drop(KEY, TEXT);
  return p;
}

const jobIdIn = async ({ deps }: Pipeline): Promise<string> =>
  jobIdOf((await deps.objects.head('bucket', KEY))!);
const batchesOf = async (p: Pipeline) => p.deps.jobs.listBatches(await jobIdIn(p));
const createsOf = async (p: Pipeline): Promise<number> =>
  (await Array.fromAsync(p.client.batches.list())).length;

/** The Batch object of one that failed, with something of it changed. */
const patched = (path: string, value: unknown): FaultRule => ({
  effect: {
    kind: 'batch.patch',
    while: ['failed'],
    operations: [{ op: 'replace', path, value: value as never }],
  },
});
const NO_COUNTS = patched('/request_counts/*', 0);
const NO_START: FaultRule[] = [patched('/in_progress_at', null), patched('/finalizing_at', null)];
const NO_USAGE = patched('/usage', null);

describe('a batch that failed with signs of execution', () => {
  test.each<[string, FaultRule[]]>([
    ['of which nothing but its files tells', [NO_COUNTS, NO_USAGE, ...NO_START]],
    [
      'with an unknown code',
      [
        {
          effect: {
            kind: 'batch.patch',
            while: ['failed'],
            operations: [{ op: 'replace', path: '/errors/data/0/code', value: 'odd' }],
          },
        },
      ],
    ],
    ['without a reason', [patched('/errors', null)]],
  ])('%s keeps what was answered, and nothing of it is bought twice', async (_what, more) => {
    const p = await start([{ effect: { kind: 'batch.fail', state: 'finalizing', errors: ERRORS } }, ...more]);
    await p.run();
    expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', counts: { succeeded: REQUESTS } });
    expect(await createsOf(p)).toBe(1);
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  });

  test('in part keeps that part, waits for the rest, and runs it again once, counted', async () => {
    const p = await start([
      { times: 1, effect: { kind: 'batch.fail', state: 'in_progress', done: 4, errors: ERRORS } },
    ]);
    await p.run();
    const receipt = await p.receipt(KEY);
    expect(receipt).toMatchObject({ result: 'succeeded', counts: { succeeded: REQUESTS } });
    expect(receipt.possiblyBilledTwice).toEqual({ missing_from_results: 2 });
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
    expect(await createsOf(p)).toBe(2);
  });

  test.each<[string, FaultRule[]]>([
    ['completed counts', [NO_USAGE, ...NO_START]],
    ['the time at which it began', [NO_COUNTS, NO_USAGE]],
    ['its tokens', [NO_COUNTS, ...NO_START]],
  ])('that only %s tell counts as lost: it is run twice at the most, and says so', async (_what, more) => {
    const p = await start([
      { effect: { kind: 'batch.fail', state: 'finalizing', errors: ERRORS, files: false } },
      ...more,
    ]);
    await p.run(72);
    const receipt = await p.receipt(KEY);
    expect(receipt).toMatchObject({
      result: 'failed',
      errorsByCode: { missing_from_results: REQUESTS },
      possiblyBilledTwice: { missing_from_results: REQUESTS },
    });
    expect(await createsOf(p)).toBe(2);
  });

  test('that was only seen while it ran, by a poll, counts as lost, too', async () => {
    const p = await start([
      { effect: { kind: 'batch.fail', state: 'finalizing', errors: ERRORS, files: false } },
      { effect: { kind: 'batch.duration', seconds: 3_600 } },
      NO_COUNTS,
      NO_USAGE,
      ...NO_START,
      // Nor while it runs.
      { effect: { kind: 'batch.patch', operations: [{ op: 'remove', path: '/in_progress_at' }] } },
    ]);
    await p.run(72);
    expect(await p.receipt(KEY)).toMatchObject({ possiblyBilledTwice: { missing_from_results: REQUESTS } });
    expect(await createsOf(p)).toBe(2);
  });
});

const NOTHING_RAN: FaultRule[] = [{ effect: { kind: 'batch.fail', errors: ERRORS } }];

describe('a batch that failed without a sign of execution', () => {
  test.each<[string, FaultRule[]]>([
    ['for a known reason', NOTHING_RAN],
    ['with an unknown code', [{ effect: { kind: 'batch.fail', errors: [{ code: 'odd', message: '' }] } }]],
    ['without a reason', [{ effect: { kind: 'batch.fail', errors: [] } }]],
  ])('%s is sent again four times in an hour and a half, then held', async (_what, rules) => {
    const p = await start(rules);
    await p.run(72);
    expect(await createsOf(p)).toBe(5);
    const [batch] = await batchesOf(p);
    expect(batch).toMatchObject({ state: 'planned', history: { resends: 4 } });
    expect(batch!.hold!.at! - batch!.createdAt).toBeLessThan(2.5 * 60 * 60_000);
    expect(batch!.hold?.reason).toBeDefined();
    // Nothing is held for it, and nothing of it is left at OpenAI.
    expect(await Array.fromAsync(p.deps.quota.listReservations())).toEqual([]);
    expect(await Array.fromAsync(p.client.files.list())).toEqual([]);
    expect(p.failures).toEqual([]);
  });

  test('that OpenAI takes later runs as if nothing had been', async () => {
    const p = await start([{ ...NOTHING_RAN[0]!, times: 3 }]);
    await p.run();
    const receipt = await p.receipt(KEY);
    expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
    expect(await createsOf(p)).toBe(4);
  });

  test('names an error file that is empty: after an hour it is sent again, and none of its requests has used up a try', async () => {
    const p = await start([
      { ...NOTHING_RAN[0]!, times: 1 },
      { match: { batch: 1 }, ...patched('/error_file_id', 'file-empty') },
    ]);
    const read = p.deps.batches.readFile.bind(p.deps.batches);
    const size = p.deps.batches.fileSize.bind(p.deps.batches);
    p.deps.batches.readFile = async (id, options) =>
      id === 'file-empty' ? { body: (async function* () {})(), bytes: 0 } : read(id, options);
    p.deps.batches.fileSize = async (id, version) => (id === 'file-empty' ? { bytes: 0 } : size(id, version));
    await p.run();
    const receipt = await p.receipt(KEY);
    expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
    expect(receipt.batches).toMatchObject([{ round: 0, status: 'completed' }]);
  });
});

describe('a held batch', () => {
  async function startHeld(options: PipelineOptions = {}): Promise<Pipeline> {
    const p = await start(NOTHING_RAN, options);
    await p.run(4);
    expect(await createsOf(p)).toBe(5);
    return p;
  }

  test('is sent again once it is released, and ends', async () => {
    const p = await startHeld();
    p.emulator.setFaults([]);
    const jobId = await jobIdIn(p);
    const resumed = await resumeJob(p.deps, jobId);
    expect(resumed?.released).toMatchObject([{ batchId: '0-00000', hold: { reason: 'server_error' } }]);
    expect((await batchesOf(p))[0]).not.toHaveProperty('hold');
    // Once more changes nothing.
    expect((await resumeJob(p.deps, jobId))?.released).toEqual([]);
    await p.run();
    expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded' });
    expect(await createsOf(p)).toBe(6);
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  });

  test('is held again, after as many tries, where nothing has changed', async () => {
    const p = await startHeld();
    await resumeJob(p.deps, await jobIdIn(p));
    await p.run(72);
    expect(await createsOf(p)).toBe(10);
    expect((await batchesOf(p))[0]).toMatchObject({ hold: { reason: 'server_error' } });
  });

  test('ends with its job, when that is cancelled', async () => {
    const p = await startHeld();
    expect(await cancelJob(p.deps, await jobIdIn(p))).toMatchObject({ state: 'cancelling' });
    await p.run(1);
    expect(await p.receipt(KEY)).toMatchObject({ result: 'failed', errorsByCode: { cancelled: REQUESTS } });
    expect(await createsOf(p)).toBe(5);
  });

  test('continues in the next tier of its route, when its time has come', async () => {
    const route = {
      ...BATCH_ONLY,
      name: 'r',
      prefix: 'input/',
      tiers: ['batch', 'standard'],
      deadline: '5h',
    };
    const p = await startHeld({ settings: settingsSchema.parse({ layout: {}, routes: [route] }) });
    await p.run();
    expect(await p.receipt(KEY)).toMatchObject({
      result: 'succeeded',
      tiers: { standard: { succeeded: REQUESTS } },
    });
    expect(await createsOf(p)).toBe(5);
  });

  test("of a job that does not exist is nobody's", async () => {
    const p = await startHeld();
    expect(await resumeJob(p.deps, 'no-such-job')).toBeUndefined();
  });
});
