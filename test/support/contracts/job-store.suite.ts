import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LEASE_END_MARGIN_MS, SWEEP_AFTER_MS } from '../../../src/adapters/dynamodb/live-index.ts';
import { MINUTE_MS } from '../../../src/contract/time.ts';
import { JobForgottenError } from '../../../src/core/base/errors.ts';
import { toForgetting } from '../../../src/core/lifecycle/job-transitions.ts';
import type { BatchRecord, BatchState } from '../../../src/core/model/batch.ts';
import { batchIdOf } from '../../../src/core/model/batch-id.ts';
import type { Job } from '../../../src/core/model/job.ts';
import type { JobGraves, JobStore, LiveItem } from '../../../src/core/ports/records.ts';
import { batchOf, batchWrite, jobOf, jobWrite, remoteOf } from '../records.ts';

const NOW = 1_790_000_000_000;
const FAR = NOW + 1000 * MINUTE_MS;

/**
 * What every {@link JobStore} does.
 * @param manyBatches how many a long list has. A service that copies its tables for each transaction takes minutes for more.
 */
export function describeJobStore(
  name: string,
  start: () => Promise<{ jobs: JobStore; graves: JobGraves; close(): Promise<void> }>,
  { manyBatches = 1_100 }: { manyBatches?: number } = {},
): void {
  describe(`job store: ${name}`, () => {
    let jobs: JobStore;
    let graves: JobGraves;
    let close: (() => Promise<void>) | undefined;
    let idsMade = 0;
    const freshId = () => {
      idsMade += 1;
      return `job${idsMade}`;
    };
    /** What the sweep would find of one job at a time. */
    const overdue = async (jobId: string, now: number): Promise<LiveItem[]> =>
      (await all(jobs.listOverdue(now))).filter(
        (item) => (item.kind === 'job' ? item.jobId : item.batch.jobId) === jobId,
      );
    const atOpenAI = async (jobId: string) =>
      (await all(jobs.listAtOpenAI())).filter((batch) => batch.jobId === jobId);

    beforeAll(async () => {
      ({ jobs, graves, close } = await start());
    });
    afterAll(() => close?.());

    describe('jobs that are forgotten', () => {
      const act = { action: 'forget', at: NOW, by: 'arn:aws:iam::123456789012:user/one' } as const;
      const bury = (jobId: string) => graves.bury({ v: 1, jobId, forgottenAt: NOW, by: act.by });

      test('are not recorded again, by however many, nor are batches of them', async () => {
        const jobId = freshId();
        const job = await jobs.createJob(jobOf(jobId));
        const batch = batchOf(jobId);
        await jobs.createBatch(batch);
        await bury(jobId);
        const creates = Array.from({ length: 5 }, () => [
          jobs.createJob(job),
          jobs.createBatch(batch),
        ]).flat();
        for (const result of await Promise.allSettled(creates))
          expect(result).toMatchObject({ status: 'rejected', reason: expect.any(JobForgottenError) });
        expect(await jobs.getJob(jobId)).toBeUndefined();
        expect(await jobs.listBatches(jobId)).toEqual([]);
        await jobs.createJob(jobOf(freshId()));
      });

      test('have no new batches from when their removal begins', async () => {
        const jobId = freshId();
        const job = await jobs.createJob(jobOf(jobId, { state: 'completed', receiptKey: 'receipts/a.json' }));
        const batch = batchOf(jobId);
        await jobs.createBatch(batch);
        expect(await jobs.moveJob(jobId, toForgetting(job, NOW, act), NOW)).toBeDefined();
        await expect(jobs.createBatch(batchOf(jobId, 1))).rejects.toBeInstanceOf(JobForgottenError);
        expect(await jobs.createBatch(batch)).toBe(false);
        expect(await jobs.listBatches(jobId)).toEqual([batch]);
      });

      test('are forgotten or recorded, never both, where both are tried at once', async () => {
        for (let round = 0; round < 10; round += 1) {
          const jobId = freshId();
          const job = await jobs.createJob(jobOf(jobId));
          await Promise.allSettled([
            bury(jobId),
            jobs.createJob(job),
            jobs.createJob({ ...job, createdAt: NOW + 1 }),
          ]);
          // Where the two met within the table, the removal is repeated, as an operator repeats it.
          await bury(jobId);
          expect(await jobs.getJob(jobId)).toBeUndefined();
        }
      });
    });

    describe('jobs', () => {
      test('gives back a job as it was claimed', async () => {
        const job = jobOf(freshId());
        expect(await jobs.createJob(job)).toEqual(job);
        expect(await jobs.getJob(job.jobId)).toEqual(job);
      });

      test('knows no job that was not created', async () => {
        expect(await jobs.getJob('nobody')).toBeUndefined();
      });

      test('gives the existing job to a later creator', async () => {
        const job = jobOf(freshId());
        await jobs.createJob(job);
        expect(await jobs.createJob({ ...job, createdAt: NOW + 5 })).toEqual(job);
      });

      test('gives one and the same job to twenty that claim it at once', async () => {
        const jobId = freshId();
        const claims = Array.from({ length: 20 }, (_, index) =>
          jobs.createJob(jobOf(jobId, { createdAt: NOW + index })),
        );
        const given = await Promise.all(claims);
        const current = await jobs.getJob(jobId);
        for (const job of given) expect(job).toEqual(current);
      });

      test('moves a job on from the state that it is in', async () => {
        const job = jobOf(freshId());
        await jobs.createJob(job);
        expect(
          await jobs.moveJob(
            job.jobId,
            jobWrite('ingesting', { state: 'running', planKey: 'work/plan' }),
            NOW + 7,
          ),
        ).toBeDefined();
        expect(await jobs.getJob(job.jobId)).toEqual({
          ...job,
          state: 'running',
          planKey: 'work/plan',
          updatedAt: NOW + 7,
        });
      });

      test('keeps the reason of a rejection', async () => {
        const job = jobOf(freshId());
        await jobs.createJob(job);
        const rejection = { code: 'empty_file', message: 'nothing in it' } as const;
        await jobs.moveJob(job.jobId, jobWrite('ingesting', { state: 'rejected', rejection }), NOW);
        expect((await jobs.getJob(job.jobId))!.rejection).toEqual(rejection);
      });

      test('refuses to move a job that is in another state or unknown', async () => {
        const job = jobOf(freshId());
        await jobs.createJob(job);
        expect(
          await jobs.moveJob(job.jobId, jobWrite('running', { state: 'completed' }), NOW + 7),
        ).toBeUndefined();
        expect(
          await jobs.moveJob('nobody', jobWrite('ingesting', { state: 'running' }), NOW),
        ).toBeUndefined();
        expect(await jobs.getJob(job.jobId)).toEqual(job);
      });

      test('lets exactly one of twenty move a job', async () => {
        const job = jobOf(freshId());
        await jobs.createJob(job);
        const moves = Array.from({ length: 20 }, (_, index) =>
          jobs.moveJob(
            job.jobId,
            jobWrite('ingesting', { state: 'running', planKey: `work/${index}` }),
            NOW + index,
          ),
        );
        const moved = await Promise.all(moves);
        expect(moved.filter(Boolean)).toHaveLength(1);
        expect((await jobs.getJob(job.jobId))!.planKey).toBe(
          `work/${moved.findIndex((job) => job !== undefined)}`,
        );
      });
    });

    describe('taking a job', () => {
      const taken = async (changes: Partial<Job> = {}) => {
        const { jobId } = await jobs.createJob(jobOf(freshId(), changes));
        await jobs.leaseJob(jobId, 'ingesting', 'me', NOW, NOW + MINUTE_MS);
        return jobId;
      };

      test('gives a free job to the worker that leases it', async () => {
        const job = await jobs.createJob(jobOf(freshId()));
        const expected = { ...job, lease: { holder: 'me', until: NOW + MINUTE_MS }, updatedAt: NOW + 1 };
        expect(await jobs.leaseJob(job.jobId, 'ingesting', 'me', NOW + 1, NOW + MINUTE_MS)).toEqual(expected);
        expect(await jobs.getJob(job.jobId)).toEqual(expected);
      });

      test('refuses a job that somebody has, until that time is over', async () => {
        const jobId = await taken();
        const until = NOW + 2 * MINUTE_MS;
        expect(await jobs.leaseJob(jobId, 'ingesting', 'other', NOW + MINUTE_MS - 1, until)).toBeUndefined();
        expect(await jobs.leaseJob(jobId, 'ingesting', 'other', NOW + MINUTE_MS, until)).toMatchObject({
          lease: { holder: 'other', until },
        });
      });

      test('refuses a job that is in another state or unknown', async () => {
        const { jobId } = await jobs.createJob(jobOf(freshId()));
        expect(await jobs.leaseJob(jobId, 'running', 'me', NOW, NOW + 1)).toBeUndefined();
        expect(await jobs.leaseJob('nobody', 'ingesting', 'me', NOW, NOW + 1)).toBeUndefined();
      });

      test('gives a job to exactly one of twenty that take it at once', async () => {
        const { jobId } = await jobs.createJob(jobOf(freshId()));
        const given = await Promise.all(
          Array.from({ length: 20 }, (_, index) =>
            jobs.leaseJob(jobId, 'ingesting', `worker ${index}`, NOW, NOW + MINUTE_MS),
          ),
        );
        expect(given.filter((job) => job !== undefined)).toHaveLength(1);
        expect((await jobs.getJob(jobId))!.lease).toEqual(given.find((job) => job !== undefined)!.lease);
      });

      test('lets only the holder move the job, also after its time while no other worker took it', async () => {
        const jobId = await taken();
        const move = (claim: string) =>
          jobs.moveJob(jobId, jobWrite('ingesting', { ingest: { starts: 1 } }), NOW + 2 * MINUTE_MS, claim);
        expect(await move('other')).toBeUndefined();
        expect(await move('me')).toBeDefined();
        expect((await jobs.getJob(jobId))!.ingest).toEqual({ starts: 1 });
      });

      test('frees a job whose claim is removed', async () => {
        const jobId = await taken();
        await jobs.moveJob(jobId, jobWrite('ingesting', {}, ['lease']), NOW + 1, 'me');
        expect(await jobs.getJob(jobId)).toEqual({ ...jobOf(jobId), updatedAt: NOW + 1 });
        expect(await jobs.leaseJob(jobId, 'ingesting', 'other', NOW + 1, NOW + 2)).toBeDefined();
      });

      test('looks at a taken job again only when its claim has run out', async () => {
        const { jobId } = await jobs.createJob(jobOf(freshId()));
        const until = NOW + 15 * MINUTE_MS;
        await jobs.leaseJob(jobId, 'ingesting', 'me', NOW, until);
        expect(await overdue(jobId, FAR)).toMatchObject([{ due: until + LEASE_END_MARGIN_MS }]);
      });
    });

    describe('batches', () => {
      test('gives back a batch with everything in it', async () => {
        const batch = batchOf(freshId(), 0, {
          lease: { holder: 'c', until: NOW + 1 },

          wait: { notBefore: NOW, lastError: 'e' },
          history: { refusals: 2 },
          attempt: { nonce: 'n', inputFileId: 'file-1', intentAt: NOW },

          remote: {
            openaiBatchId: 'batch_1',
            submittedAt: NOW,
            status: 'completed',
            statusAt: NOW,
            progress: { total: 3, completed: 2, failed: 1 },
            outputFileId: 'file-2',
            errorFileId: 'file-3',
          },

          ending: {
            status: 'completed',
            errors: [
              { code: 'a', message: '', line: 1 },
              { code: 'b', message: 'm', param: 'p' },
            ],
            endedAt: NOW,
            lostAt: NOW,
          },

          results: {
            outcome: {
              succeeded: 1,
              failed: 1,
              retried: 1,
              failedByCode: { 'some.odd code': 1 },
              possiblyBilledTwice: { status_0: 1 },
              incomplete: 0,
              filtered: 0,
              cutOtherwise: 0,
              repairedLines: 0,
              strayLines: 0,
              usage: {
                inputTokens: 1,
                cachedTokens: 2,
                cacheWriteTokens: 1,
                cacheWrite12hTokens: 1,
                imageInputTokens: 0,
                imageOutputTokens: 0,
                outputTokens: 3,
                reasoningTokens: 4,
              },
            },
            next: [
              { manifestKey: 'a', requests: 1, bytes: 2, repairs: 1, notBefore: NOW },
              { manifestKey: 'b', requests: 1, bytes: 2 },
            ],
          },

          hold: { reason: 'h' },
        });
        expect(await jobs.createBatch(batch)).toBe(true);
        expect(await jobs.getBatch(batch.jobId, batch.batchId)).toEqual(batch);
      });

      test('refuses to add a batch twice, and keeps the first', async () => {
        const batch = batchOf(freshId());
        await jobs.createBatch(batch);
        expect(await jobs.createBatch({ ...batch, requests: 99 })).toBe(false);
        expect(await jobs.getBatch(batch.jobId, batch.batchId)).toEqual(batch);
      });

      test('knows no batch that was not added', async () => {
        expect(await jobs.getBatch('nobody', '0-00000')).toBeUndefined();
        expect(await jobs.listBatches('nobody')).toEqual([]);
      });

      test('updates a batch that is in the expected state, and gives the new record', async () => {
        const batch = batchOf(freshId());
        await jobs.createBatch(batch);
        const changes = { state: 'uploaded', attempt: { nonce: 'n', inputFileId: 'file-1' } } as const;
        const updated = await jobs.moveBatch(batch, batchWrite('planned', changes), NOW + 3);
        expect(updated).toEqual({ ...batch, ...changes, updatedAt: NOW + 3 });
        expect(await jobs.getBatch(batch.jobId, batch.batchId)).toEqual(updated);
      });

      test('removes what is changed to undefined', async () => {
        const batch = batchOf(freshId(), 0, {
          lease: { holder: 'c', until: NOW + 1 },
          wait: { lastError: 'e' },
        });
        await jobs.createBatch(batch);
        const updated = await jobs.moveBatch(
          batch,
          batchWrite('planned', { attempt: { nonce: undefined } }, { clear: ['lease'] }),
          NOW,
        );
        expect(updated).toStrictEqual(batchOf(batch.jobId, 0, { wait: { lastError: 'e' } }));
        expect(await jobs.getBatch(batch.jobId, batch.batchId)).toStrictEqual(updated);
      });

      test('refuses an update that expects another state or another claim, or a batch that is not there', async () => {
        const batch = batchOf(freshId(), 0, { lease: { holder: 'mine', until: NOW } });
        await jobs.createBatch(batch);
        const update = (from: BatchState, holder?: string) =>
          jobs.moveBatch(batch, batchWrite(from, { wait: { lastError: 'x' } }), NOW, holder);
        expect(await update('uploaded')).toBeUndefined();
        expect(await update('planned', 'yours')).toBeUndefined();
        expect(await jobs.getBatch(batch.jobId, batch.batchId)).toEqual(batch);
        expect(await update('planned', 'mine')).toMatchObject({ wait: { lastError: 'x' } });
        expect(
          await jobs.moveBatch({ jobId: 'nobody', batchId: '0-00000' }, batchWrite('planned', {}), NOW),
        ).toBeUndefined();
      });

      test('lets exactly one of twenty updates through', async () => {
        const batch = batchOf(freshId());
        await jobs.createBatch(batch);
        const updates = Array.from({ length: 20 }, (_, index) =>
          jobs.moveBatch(
            batch,
            batchWrite('planned', { state: 'uploaded', attempt: { nonce: `n${index}` } }),
            NOW,
          ),
        );
        const updated = (await Promise.all(updates)).filter((record) => record !== undefined);
        expect(updated).toHaveLength(1);
        expect(await jobs.getBatch(batch.jobId, batch.batchId)).toEqual(updated[0]);
      });

      test('lists the batches of one job in order of their ids', async () => {
        const jobId = freshId();
        const added = [batchOf(jobId, 2), batchOf(jobId, 0), batchOf(jobId, 10)];
        const nextRound = { ...batchOf(jobId), batchId: batchIdOf(1, 0), round: 1 };
        for (const batch of [nextRound, ...added]) await jobs.createBatch(batch);
        await jobs.createJob(jobOf(jobId));
        await jobs.createBatch(batchOf(`${jobId}x`));
        const ids = (await jobs.listBatches(jobId)).map(({ batchId }) => batchId);
        expect(ids).toEqual(['0-00000', '0-00002', '0-00010', '1-00000']);
      });

      test(`lists ${manyBatches.toLocaleString('en')} batches, whatever the size of a page`, async () => {
        const jobId = freshId();
        // More than a page of 1 MB in all.
        const lastError = 'x'.repeat(1_650_000 / manyBatches);
        for (let from = 0; from < manyBatches; from += 50) {
          await Promise.all(
            Array.from({ length: Math.min(50, manyBatches - from) }, (_, index) =>
              jobs.createBatch(batchOf(jobId, from + index, { state: 'submitted', wait: { lastError } })),
            ),
          );
        }
        const listed = await jobs.listBatches(jobId);
        expect(listed.map(({ batchId }) => batchId)).toEqual(
          Array.from({ length: manyBatches }, (_, index) => batchIdOf(0, index)),
        );
        expect(await atOpenAI(jobId)).toHaveLength(manyBatches);
      });
    });

    describe('claims', () => {
      test('gives a batch to the first, and to another one only when that claim has run out', async () => {
        const batch = batchOf(freshId());
        await jobs.createBatch(batch);
        expect(await jobs.leaseBatch(batch, 'planned', 'a', NOW, NOW + 100)).toEqual({
          ...batch,
          lease: { holder: 'a', until: NOW + 100 },
        });
        expect(await jobs.leaseBatch(batch, 'planned', 'b', NOW + 99, NOW + 200)).toBeUndefined();
        expect(await jobs.leaseBatch(batch, 'planned', 'b', NOW + 100, NOW + 200)).toMatchObject({
          lease: { holder: 'b' },
        });
        // The first one comes back late: its claim is nothing any more.
        expect(
          await jobs.moveBatch(
            batch,
            batchWrite('planned', { attempt: { inputFileId: 'file-late' } }),
            NOW + 101,
            'a',
          ),
        ).toBeUndefined();
      });

      test('lets the holder claim again', async () => {
        const batch = batchOf(freshId());
        await jobs.createBatch(batch);
        await jobs.leaseBatch(batch, 'planned', 'a', NOW, NOW + 100);
        expect(await jobs.leaseBatch(batch, 'planned', 'a', NOW + 50, NOW + 150)).toMatchObject({
          lease: { until: NOW + 150 },
        });
      });

      test('gives a batch to exactly one of twenty', async () => {
        const batch = batchOf(freshId());
        await jobs.createBatch(batch);
        const claims = Array.from({ length: 20 }, (_, index) =>
          jobs.leaseBatch(batch, 'planned', `worker${index}`, NOW, NOW + 100),
        );
        expect((await Promise.all(claims)).filter((claimed) => claimed !== undefined)).toHaveLength(1);
      });

      test('refuses to claim a batch in another state, or one that is not there', async () => {
        const batch = batchOf(freshId(), 0, { state: 'uploaded' });
        await jobs.createBatch(batch);
        expect(await jobs.leaseBatch(batch, 'planned', 'a', NOW, NOW + 100)).toBeUndefined();
        expect(
          await jobs.leaseBatch({ jobId: 'nobody', batchId: '0-00000' }, 'planned', 'a', NOW, NOW + 1),
        ).toBeUndefined();
      });
    });

    describe('what is live', () => {
      test('lists submitted batches as waiting at OpenAI, oldest first, and never as overdue', async () => {
        const jobId = freshId();
        for (const [index, submittedAt] of [NOW + 2, NOW, NOW + 1].entries()) {
          await jobs.createBatch(
            batchOf(jobId, index, { state: 'submitted', remote: remoteOf({ submittedAt }) }),
          );
        }
        const ids = (await atOpenAI(jobId)).map(({ batchId }) => batchId);
        expect(ids).toEqual([batchIdOf(0, 1), batchIdOf(0, 2), batchIdOf(0, 0)]);
        expect(await overdue(jobId, FAR)).toEqual([]);
      });

      test.each(['admitted', 'uploaded', 'submitting', 'ended'] as const)(
        'lists a batch that stays %s as overdue after two minutes',
        async (state) => {
          const batch = batchOf(freshId(), 0, { state });
          await jobs.createBatch(batch);
          expect(await overdue(batch.jobId, NOW + SWEEP_AFTER_MS - 1)).toEqual([]);
          expect(await overdue(batch.jobId, NOW + SWEEP_AFTER_MS)).toEqual([
            { kind: 'batch', batch, due: NOW + SWEEP_AFTER_MS },
          ]);
          expect(await atOpenAI(batch.jobId)).toEqual([]);
        },
      );

      test('does not list a batch before its claim has run out or while it has to wait', async () => {
        const claimed = batchOf(freshId(), 0, { state: 'admitted' });
        await jobs.createBatch(claimed);
        await jobs.leaseBatch(claimed, 'admitted', 'a', NOW, NOW + 15 * MINUTE_MS);
        expect(await overdue(claimed.jobId, NOW + 15 * MINUTE_MS + LEASE_END_MARGIN_MS - 1)).toEqual([]);
        expect(await overdue(claimed.jobId, NOW + 15 * MINUTE_MS + LEASE_END_MARGIN_MS)).toHaveLength(1);

        const waiting = batchOf(freshId(), 0, {
          state: 'uploaded',
          wait: { notBefore: NOW + 60 * MINUTE_MS },
        });
        await jobs.createBatch(waiting);
        expect(await overdue(waiting.jobId, NOW + 60 * MINUTE_MS)).toEqual([]);
        expect(await overdue(waiting.jobId, NOW + 62 * MINUTE_MS)).toHaveLength(1);
      });

      test('follows a batch from state to state and forgets it when it is collected', async () => {
        const batch = batchOf(freshId());
        await jobs.createBatch(batch);
        expect(await overdue(batch.jobId, FAR)).toEqual([]);
        const move = (from: BatchRecord['state'], to: BatchRecord['state'], now: number) =>
          jobs.moveBatch(batch, batchWrite(from, { state: to }), now);
        await move('planned', 'submitted', NOW + 1);
        expect(await atOpenAI(batch.jobId)).toHaveLength(1);
        expect(await overdue(batch.jobId, FAR)).toEqual([]);
        await move('submitted', 'ended', NOW + 2);
        expect(await atOpenAI(batch.jobId)).toEqual([]);
        expect(await overdue(batch.jobId, FAR)).toMatchObject([{ due: NOW + 2 + SWEEP_AFTER_MS }]);
        await move('ended', 'collected', NOW + 3);
        expect(await atOpenAI(batch.jobId)).toEqual([]);
        expect(await overdue(batch.jobId, FAR)).toEqual([]);
      });

      test('lists planned batches as waiting, those of the oldest job first, until they are moved', async () => {
        const [older, newer] = [freshId(), freshId()];
        await jobs.createBatch(batchOf(newer, 0, { jobCreatedAt: NOW + 1, createdAt: NOW }));
        await jobs.createBatch(batchOf(older, 0, { jobCreatedAt: NOW - 9, createdAt: NOW + 5 }));
        await jobs.createBatch(batchOf(older, 1, { createdAt: NOW - 8 }));
        const waiting = async () =>
          (await all(jobs.listWaiting()))
            .filter(({ jobId }) => jobId === older || jobId === newer)
            .map(({ jobId, batchId }) => `${jobId} ${batchId}`);
        expect(await waiting()).toEqual([`${older} 0-00000`, `${older} 0-00001`, `${newer} 0-00000`]);
        await jobs.moveBatch(batchOf(older), batchWrite('planned', { state: 'admitted' }), NOW);
        expect(await waiting()).toEqual([`${older} 0-00001`, `${newer} 0-00000`]);
      });

      test('lists an ingesting job after two minutes and a running one after twenty', async () => {
        const { jobId } = await jobs.createJob(jobOf(freshId()));
        const entry = { kind: 'job', jobId };
        expect(await overdue(jobId, NOW + SWEEP_AFTER_MS - 1)).toEqual([]);
        expect(await overdue(jobId, NOW + SWEEP_AFTER_MS)).toEqual([
          { ...entry, state: 'ingesting', due: NOW + SWEEP_AFTER_MS },
        ]);
        await jobs.moveJob(jobId, jobWrite('ingesting', { state: 'running' }), NOW);
        expect(await overdue(jobId, NOW + 20 * MINUTE_MS)).toEqual([
          { ...entry, state: 'running', due: NOW + 20 * MINUTE_MS },
        ]);
      });

      test.each(['completed', 'rejected'] as const)(
        'lists a %s job until its receipt is written',
        async (state) => {
          const { jobId } = await jobs.createJob(jobOf(freshId()));
          await jobs.moveJob(jobId, jobWrite('ingesting', { state }), NOW);
          expect(await overdue(jobId, NOW + SWEEP_AFTER_MS)).toMatchObject([{ state }]);
          await jobs.moveJob(jobId, jobWrite(state, { receiptKey: 'receipts/x.json' }), NOW);
          expect(await overdue(jobId, FAR)).toEqual([]);
        },
      );

      test.each([
        ['completed', { receiptKey: 'receipts/x.json' }],
        ['duplicate', { duplicateOf: 'another', receiptKey: 'receipts/x.y.json' }],
      ] as const)('lists a %s job as ended until its work files are removed', async (state, end) => {
        const { jobId } = await jobs.createJob(jobOf(freshId()));
        const ended = async (by: number) =>
          (await all(jobs.listEnded(by))).filter((job) => job.jobId === jobId);
        expect(await ended(FAR)).toEqual([]);
        await jobs.moveJob(jobId, jobWrite('ingesting', { state, ...end }), NOW);
        expect(await ended(NOW - 1)).toEqual([]);
        expect(await ended(NOW)).toMatchObject([{ jobId, state, ...end }]);
        await jobs.moveJob(jobId, jobWrite(state, { workRemovedAt: NOW + 1 }), NOW + 1);
        expect(await ended(FAR)).toEqual([]);
        expect(await jobs.getJob(jobId)).toMatchObject({ state, workRemovedAt: NOW + 1 });
      });

      test('lists a job that is being removed, and no longer as ended', async () => {
        const { jobId } = await jobs.createJob(jobOf(freshId()));
        await jobs.moveJob(jobId, jobWrite('ingesting', { state: 'completed', receiptKey: 'r.json' }), NOW);
        const removed = async () => (await all(jobs.listForgetting())).filter((job) => job.jobId === jobId);
        expect(await removed()).toEqual([]);
        await jobs.moveJob(jobId, jobWrite('completed', { forgettingAt: NOW + 1 }), NOW + 1);
        expect(await removed()).toMatchObject([{ jobId, forgettingAt: NOW + 1 }]);
        expect((await all(jobs.listEnded(FAR))).filter((job) => job.jobId === jobId)).toEqual([]);
      });

      test('gives overdue items in the order in which they are due', async () => {
        const jobId = freshId();
        for (const [index, updatedAt] of [NOW + 9, NOW + 1, NOW + 5].entries()) {
          await jobs.createBatch(batchOf(jobId, index, { state: 'admitted', updatedAt }));
        }
        const dues = (await overdue(jobId, FAR)).map(({ due }) => due - NOW - SWEEP_AFTER_MS);
        expect(dues).toEqual([1, 5, 9]);
      });

      test('postpones a job and a batch', async () => {
        const { jobId } = await jobs.createJob(jobOf(freshId()));
        await jobs.createBatch(batchOf(jobId, 0, { state: 'admitted' }));
        for (const item of await overdue(jobId, FAR)) await jobs.postpone(item, FAR);
        expect(await overdue(jobId, FAR - 1)).toEqual([]);
        expect(await overdue(jobId, FAR)).toHaveLength(2);
        // What it postpones is the look at the item, not the record.
        expect(await jobs.getJob(jobId)).toEqual(jobOf(jobId));
      });

      test('does not postpone what has moved meanwhile, and never brings a look forward', async () => {
        const batch = batchOf(freshId(), 0, { state: 'admitted' });
        await jobs.createBatch(batch);
        const [seen] = await overdue(batch.jobId, FAR);
        await jobs.moveBatch(batch, batchWrite('admitted', { state: 'uploaded' }), NOW + 1);
        await jobs.postpone(seen!, FAR);
        const [moved] = await overdue(batch.jobId, FAR - 1);
        expect(moved).toMatchObject({ due: NOW + 1 + SWEEP_AFTER_MS });
        await jobs.postpone(moved!, NOW);
        expect(await overdue(batch.jobId, FAR)).toEqual([moved]);
        await jobs.moveBatch(batch, batchWrite('uploaded', { state: 'submitted' }), NOW + 2);
        await jobs.postpone(moved!, FAR);
        expect(await overdue(batch.jobId, FAR)).toEqual([]);
        expect(await atOpenAI(batch.jobId)).toHaveLength(1);
      });
    });

    describe('leases', () => {
      test('gives a lease to exactly one of twenty', async () => {
        const name = freshId();
        const tries = Array.from({ length: 20 }, () => jobs.acquireLease(name, NOW, NOW + 100));
        expect((await Promise.all(tries)).filter((token) => token !== undefined)).toEqual([1]);
      });

      test('gives a greater token to each holder, after the lease was given back and after it ran out', async () => {
        const name = freshId();
        expect(await jobs.acquireLease(name, NOW, NOW + 100)).toBe(1);
        await jobs.releaseLease(name, 1);
        expect(await jobs.acquireLease(name, NOW, NOW + 100)).toBe(2);
        expect(await jobs.acquireLease(name, NOW + 99, NOW + 200)).toBeUndefined();
        expect(await jobs.acquireLease(name, NOW + 100, NOW + 200)).toBe(3);
      });

      test('knows when a lease was last taken, also once it was renewed or given back', async () => {
        const name = freshId();
        expect(await jobs.leaseTakenAt(name)).toBeUndefined();
        await jobs.acquireLease(name, NOW, NOW + 100);
        await jobs.renewLease(name, 1, NOW + 300);
        await jobs.releaseLease(name, 1);
        expect(await jobs.leaseTakenAt(name)).toBe(NOW);
        await jobs.acquireLease(name, NOW + 400, NOW + 500);
        expect(await jobs.acquireLease(name, NOW + 401, NOW + 500)).toBeUndefined();
        expect(await jobs.leaseTakenAt(name)).toBe(NOW + 400);
      });

      test('ignores a release by a worker that no longer holds the lease', async () => {
        const name = freshId();
        await jobs.acquireLease(name, NOW, NOW + 100);
        await jobs.acquireLease(name, NOW + 100, NOW + 200);
        await jobs.releaseLease(name, 1);
        await jobs.releaseLease('never taken', 1);
        expect(await jobs.acquireLease(name, NOW + 101, NOW + 300)).toBeUndefined();
      });

      test('renews a lease for its holder alone, also one that ran out and that no worker has taken since', async () => {
        const name = freshId();
        const token = (await jobs.acquireLease(name, NOW, NOW + 100))!;
        expect(await jobs.renewLease(name, token, NOW + 200)).toBe(true);
        expect(await jobs.acquireLease(name, NOW + 199, NOW + 300)).toBeUndefined();
        expect(await jobs.renewLease(name, token, NOW + 300)).toBe(true);
        expect(await jobs.acquireLease(name, NOW + 300, NOW + 400)).toBe(token + 1);
        expect(await jobs.renewLease(name, token, NOW + 900)).toBe(false);
        expect(await jobs.acquireLease(name, NOW + 400, NOW + 500)).toBe(token + 2);
      });

      test('does not renew a lease that was given back, or never taken', async () => {
        const name = freshId();
        await jobs.acquireLease(name, NOW, NOW + 100);
        await jobs.releaseLease(name, 1);
        expect(await jobs.renewLease(name, 1, NOW + 200)).toBe(false);
        expect(await jobs.renewLease(freshId(), 1, NOW + 200)).toBe(false);
        expect(await jobs.acquireLease(name, NOW + 1, NOW + 200)).toBe(2);
      });
    });

    describe('renewed claims', () => {
      test('keep a batch with its worker in whatever state it is, and put off the sweep', async () => {
        const batch = batchOf(freshId(), 0, { state: 'admitted' });
        await jobs.createBatch(batch);
        await jobs.leaseBatch(batch, 'admitted', 'mine', NOW, NOW + 100);
        await jobs.moveBatch(batch, batchWrite('admitted', { state: 'uploaded' }), NOW + 1, 'mine');
        expect(await jobs.renewBatch(batch, 'mine', NOW + 50, NOW + 500)).toBe(true);
        expect(await jobs.leaseBatch(batch, 'uploaded', 'other', NOW + 499, FAR)).toBeUndefined();
        const [item] = await overdue(batch.jobId, FAR);
        expect(item!.due).toBeGreaterThan(NOW + 500);
        expect(await jobs.getBatch(batch.jobId, batch.batchId)).toMatchObject({
          state: 'uploaded',
          lease: { holder: 'mine', until: NOW + 500 },
        });
      });

      test('are refused to a worker that gave the batch back or lost it', async () => {
        const batch = batchOf(freshId(), 0, { state: 'admitted' });
        await jobs.createBatch(batch);
        await jobs.leaseBatch(batch, 'admitted', 'mine', NOW, NOW + 100);
        await jobs.leaseBatch(batch, 'admitted', 'other', NOW + 100, NOW + 200);
        expect(await jobs.renewBatch(batch, 'mine', NOW + 101, NOW + 900)).toBe(false);
        await jobs.moveBatch(batch, batchWrite('admitted', {}, { clear: ['lease'] }), NOW + 110, 'other');
        expect(await jobs.renewBatch(batch, 'other', NOW + 111, NOW + 900)).toBe(false);
        expect(await jobs.renewBatch({ jobId: freshId(), batchId: '0-00000' }, 'x', NOW, FAR)).toBe(false);
        expect(await jobs.leaseBatch(batch, 'admitted', 'third', NOW + 112, NOW + 200)).toBeDefined();
      });

      test('keep a job with its worker, and no other', async () => {
        const job = jobOf(freshId());
        await jobs.createJob(job);
        await jobs.leaseJob(job.jobId, 'ingesting', 'mine', NOW, NOW + 100);
        expect(await jobs.renewJob(job.jobId, 'mine', NOW + 50, NOW + 500)).toBe(true);
        expect(await jobs.leaseJob(job.jobId, 'ingesting', 'other', NOW + 499, FAR)).toBeUndefined();
        expect(await jobs.leaseJob(job.jobId, 'ingesting', 'other', NOW + 500, NOW + 600)).toBeDefined();
        expect(await jobs.renewJob(job.jobId, 'mine', NOW + 501, NOW + 900)).toBe(false);
        expect(await jobs.renewJob(freshId(), 'mine', NOW, FAR)).toBe(false);
      });
    });

    describe('the latest job at a key without versions', () => {
      const at = (jobId: string, seconds: number) => ({ jobId, lastModified: seconds * 1_000 });

      test('gets the one before it, as often as it asks', async () => {
        const key = freshId();
        expect(await jobs.recordLatest(key, at('one', 1))).toBeUndefined();
        expect(await jobs.recordLatest(key, at('one', 1))).toBeUndefined();
        expect(await jobs.recordLatest(key, at('two', 2))).toEqual(at('one', 1));
        expect(await jobs.recordLatest(key, at('two', 2))).toEqual(at('one', 1));
        expect(await jobs.recordLatest(key, at('three', 9))).toEqual(at('two', 2));
        expect(await jobs.recordLatest(freshId(), at('four', 9))).toBeUndefined();
      });

      test('stays the latest when an older one is recorded late', async () => {
        const key = freshId();
        await jobs.recordLatest(key, at('two', 2));
        expect(await jobs.recordLatest(key, at('one', 1))).toBeUndefined();
        expect(await jobs.recordLatest(key, at('three', 3))).toEqual(at('two', 2));
      });

      test('is nobody where two were put within one second, until the next one', async () => {
        const key = freshId();
        await jobs.recordLatest(key, at('one', 1));
        expect(await jobs.recordLatest(key, at('other', 1))).toBeUndefined();
        expect(await jobs.recordLatest(key, at('one', 1))).toBeUndefined();
        expect(await jobs.recordLatest(key, at('two', 2))).toBeUndefined();
        expect(await jobs.recordLatest(key, at('three', 3))).toEqual(at('two', 2));
      });
    });

    describe('duplicates', () => {
      test('are listed by their owner, each once, and are no batches of it', async () => {
        const [owner, other] = [freshId(), freshId()];
        for (const jobId of ['b', 'a', 'b']) await jobs.addDuplicate(owner, jobId);
        await jobs.addDuplicate(other, 'c');
        expect(await jobs.listDuplicates(owner)).toEqual(['a', 'b']);
        expect(await jobs.listDuplicates(freshId())).toEqual([]);
        expect(await jobs.listBatches(owner)).toEqual([]);
      });

      test('are looked at by the sweep until they have a receipt', async () => {
        const job = jobOf(freshId());
        await jobs.createJob(job);
        await jobs.moveJob(job.jobId, jobWrite('ingesting', { state: 'duplicate', duplicateOf: 'x' }), NOW);
        const isLive = async () => {
          for await (const item of jobs.listOverdue(FAR))
            if (item.kind === 'job' && item.jobId === job.jobId) return item.state === 'duplicate';
          return false;
        };
        expect(await isLive()).toBe(true);
        const end = { receiptKey: 'receipts/a.json', result: 'duplicate' } as const;
        await jobs.moveJob(job.jobId, jobWrite('duplicate', end), NOW);
        expect(await isLive()).toBe(false);
      });
    });

    describe('publications', () => {
      const publicationOf = (name: string, order: string, holder = `worker-${order}`, owner = 'input/a') => ({
        name,
        owner,
        order,
        holder,
      });

      test('gives names that two inputs share to the one that publishes first', async () => {
        const name = freshId();
        const first = publicationOf(name, '1');
        const other = publicationOf(name, '2', 'w', 'input/a.jsonl');
        expect(await jobs.acquirePublication(first, NOW, NOW + 100)).toBe('granted');
        expect(await jobs.acquirePublication(other, NOW, NOW + 100)).toBe('busy');
        expect(await jobs.releasePublication(first)).toBe(true);
        expect(await jobs.acquirePublication(other, NOW, NOW + 100)).toBe('superseded');
      });

      test('lets one publish at a time', async () => {
        const name = freshId();
        const [older, newer] = [publicationOf(name, '1'), publicationOf(name, '2')];
        expect(await jobs.acquirePublication(older, NOW, NOW + 100)).toBe('granted');
        expect(await jobs.acquirePublication(newer, NOW + 99, NOW + 200)).toBe('busy');
        expect(await jobs.acquirePublication(older, NOW + 50, NOW + 150)).toBe('granted');
        await jobs.releasePublication(older);
        expect(await jobs.acquirePublication(newer, NOW + 99, NOW + 200)).toBe('granted');
      });

      test('is held against those who publish, whoever has published, and given back as it was', async () => {
        const name = freshId();
        const [older, newer] = [publicationOf(name, '1'), publicationOf(name, '2')];
        await jobs.acquirePublication(newer, NOW, NOW + 100);
        expect(await jobs.holdPublication(older, NOW + 50, NOW + 150)).toBe('busy');
        await jobs.releasePublication(newer);
        expect(await jobs.holdPublication(older, NOW + 50, NOW + 150)).toBe('granted');
        const newest = publicationOf(name, '3');
        expect(await jobs.acquirePublication(newest, NOW + 60, NOW + 200)).toBe('busy');
        expect(await jobs.renewPublication(older, NOW + 160)).toBe(true);
        expect(await jobs.acquirePublication(newest, NOW + 155, NOW + 200)).toBe('busy');
        await jobs.abandonPublication(older);
        expect(await jobs.acquirePublication(publicationOf(name, '1', 'again'), NOW + 156, NOW + 200)).toBe(
          'superseded',
        );
        expect(await jobs.acquirePublication(newest, NOW + 156, NOW + 200)).toBe('granted');
      });

      test('makes an older version step back once a newer one has published', async () => {
        const name = freshId();
        const newer = publicationOf(name, '2');
        await jobs.acquirePublication(newer, NOW, NOW + 100);
        await jobs.releasePublication(newer);
        expect(await jobs.acquirePublication(publicationOf(name, '1'), NOW, NOW + 100)).toBe('superseded');
        expect(await jobs.acquirePublication(publicationOf(name, '2', 'again'), NOW, NOW + 100)).toBe(
          'granted',
        );
      });

      test('lets another one publish after a holder has run out of time', async () => {
        const name = freshId();
        const [slow, other] = [publicationOf(name, '1'), publicationOf(name, '2')];
        await jobs.acquirePublication(slow, NOW, NOW + 100);
        expect(await jobs.acquirePublication(other, NOW + 100, NOW + 200)).toBe('granted');
      });

      test('ignores the end of a publication that somebody else has taken over', async () => {
        const name = freshId();
        const [slow, other] = [publicationOf(name, '2'), publicationOf(name, '1')];
        await jobs.acquirePublication(slow, NOW, NOW + 100);
        await jobs.acquirePublication(other, NOW + 100, NOW + 200);
        expect(await jobs.releasePublication(slow)).toBe(false);
        expect(await jobs.releasePublication(publicationOf('never taken', '1'))).toBe(false);
        expect(await jobs.acquirePublication(publicationOf(name, '3'), NOW + 150, NOW + 300)).toBe('busy');
        expect(await jobs.releasePublication(other)).toBe(true);
        expect(await jobs.acquirePublication(slow, NOW + 150, NOW + 300)).toBe('granted');
      });

      test('is renewed for its holder alone, and can be given up without superseding anybody', async () => {
        const name = freshId();
        const [newer, older] = [publicationOf(name, '2'), publicationOf(name, '1')];
        await jobs.acquirePublication(newer, NOW, NOW + 100);
        expect(await jobs.renewPublication(newer, NOW + 200)).toBe(true);
        expect(await jobs.renewPublication(older, NOW + 900)).toBe(false);
        expect(await jobs.acquirePublication(older, NOW + 199, NOW + 300)).toBe('busy');
        await jobs.abandonPublication(older);
        expect(await jobs.acquirePublication(older, NOW + 199, NOW + 300)).toBe('busy');
        await jobs.abandonPublication(newer);
        expect(await jobs.renewPublication(newer, NOW + 300)).toBe(false);
        expect(await jobs.acquirePublication(older, NOW + 199, NOW + 300)).toBe('granted');
        expect(await jobs.releasePublication(older)).toBe(true);
        await jobs.abandonPublication(publicationOf(freshId(), '1'));
      });

      test('grants a publication to exactly one of twenty', async () => {
        const name = freshId();
        const tries = Array.from({ length: 20 }, (_, index) =>
          jobs.acquirePublication(publicationOf(name, '1', `w${index}`), NOW, NOW + 100),
        );
        const answers = await Promise.all(tries);
        expect(answers.filter((answer) => answer === 'granted')).toHaveLength(1);
        expect(answers.filter((answer) => answer === 'busy')).toHaveLength(19);
      });
    });
  });
}

export async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}
