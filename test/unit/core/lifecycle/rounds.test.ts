import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../../../src/contract/settings.ts';
import type { Plan } from '../../../../src/core/files/plan.ts';
import { advanceAfter, advanceJob, isFinished, nextRound } from '../../../../src/core/lifecycle/rounds.ts';
import type { BatchRecord, NextBatch } from '../../../../src/core/model/batch.ts';
import { batchIdOf, byRoundAndPlace, childBatchId } from '../../../../src/core/model/batch-id.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import { MemoryJobs } from '../../../support/memory/jobs.ts';
import { MemoryOutbox } from '../../../support/memory/outbox.ts';
import { propertyRuns } from '../../../support/property-runs.ts';
import { batchWrite, endingOf, remoteOf, resultsOf } from '../../../support/records.ts';

const JOB_ID = 'job';
const CHILD = { manifestKey: 'work/next', requests: 3, bytes: 300 };
const NEXT = [CHILD];
const HALVES = [
  { manifestKey: 'work/next-0', requests: 2, bytes: 200, repairs: 1 },
  { manifestKey: 'work/next-1', requests: 1, bytes: 100, repairs: 1 },
];

function batchOf(batchId: string, changes: Partial<BatchRecord> = {}): BatchRecord {
  return {
    v: 1,
    jobId: JOB_ID,
    batchId,
    round: Number(batchId.split('-')[0]),
    state: 'planned',
    endpoint: '/v1/responses',
    model: 'm',
    manifestKey: `work/${batchId}`,
    requests: 10,
    bytes: 1_000,
    createdAt: 1,
    updatedAt: 1,
    ...changes,
  };
}

function planOf(...batchIds: string[]): Plan {
  const batches = batchIds.map((batchId) => {
    const { endpoint, model, manifestKey, requests, bytes } = batchOf(batchId);
    return { batchId, endpoint, model, manifestKey, requests, bytes, textBytes: 0, dataUrlBytes: 0 };
  });
  return {
    v: 1,
    jobId: JOB_ID,
    requests: 10 * batches.length,
    invalid: 0,
    invalidByCode: {},
    batches,
    invalidRuns: [],
  };
}

async function advance(plan: Plan, batches: readonly BatchRecord[]) {
  const jobs = new MemoryJobs();
  const outbox = new MemoryOutbox();
  for (const batch of batches) await jobs.createBatch(batch);
  const added = await advanceJob({ jobs, outbox }, plan, 5_000);
  return { jobs, outbox, added };
}

describe('batchIdOf', () => {
  it('sorts by round, then by place', () => {
    const ids = [0, 1, 9].flatMap((round) => [0, 1, 9, 10, 99_999].map((index) => batchIdOf(round, index)));
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    expect(batchIdOf(3, 12)).toBe('3-00012');
  });
});

describe('nextRound', () => {
  it('is none for a batch that finished everything', () => {
    expect(nextRound(batchOf('0-00004', { state: 'collected' }), 5_000)).toEqual([]);
  });

  it('is a planned batch of the same kind with what is left, and nothing of the journal of the first', () => {
    const batch = batchOf('1-00004', {
      state: 'collected',
      results: resultsOf({ next: NEXT }),
      attempt: { nonce: 'n', inputFileId: 'file-1' },
      lease: { holder: 'c', until: 1 },
      history: { refusals: 2 },
      remote: remoteOf(),

      ending: endingOf({ errors: [{ code: 'x', message: 'y' }] }),
    });
    expect(nextRound(batch, 5_000)).toEqual([
      batchOf('2-00004', { ...CHILD, jobCreatedAt: 1, createdAt: 5_000, updatedAt: 5_000 }),
    ]);
  });

  it('is one batch for each part, with a place below the parent', () => {
    const halved = nextRound(
      batchOf('0-00004', { state: 'collected', results: resultsOf({ next: HALVES }) }),
      5_000,
    );
    expect(halved.map(({ batchId, round }) => [batchId, round])).toEqual([
      ['1-00004.0', 1],
      ['1-00004.1', 1],
    ]);
    expect(halved.map(({ manifestKey, repairs }) => [manifestKey, repairs])).toEqual([
      ['work/next-0', 1],
      ['work/next-1', 1],
    ]);
    const [only] = nextRound(
      { ...halved[1]!, state: 'collected', results: resultsOf({ next: NEXT }) },
      5_000,
    );
    expect(only!.batchId).toBe('2-00004.1');
    const again = nextRound({ ...only!, state: 'collected', results: resultsOf({ next: HALVES }) }, 5_000);
    expect(again.map(({ batchId }) => batchId)).toEqual(['3-00004.1.0', '3-00004.1.1']);
  });

  it('has the same id each time, and another id for each batch', () => {
    fc.assert(
      fc.property(fc.nat({ max: 8 }), fc.uniqueArray(fc.nat({ max: 200_000 })), (round, places) => {
        const ids = places.map(
          (place) =>
            nextRound(batchOf(batchIdOf(round, place), { results: resultsOf({ next: NEXT }) }), 0)[0]!
              .batchId,
        );
        expect(ids).toEqual(places.map((place) => batchIdOf(round + 1, place)));
        expect(new Set(ids).size).toBe(places.length);
      }),
    );
  });
});

describe('childBatchId', () => {
  it('names no two batches of a job the same, however batches are split', () => {
    const tree = fc.letrec((tie) => ({
      node: fc.oneof({ maxDepth: 5 }, fc.constant([]), fc.array(tie('node'), { maxLength: 3 })),
    })).node as fc.Arbitrary<unknown[]>;
    fc.assert(
      fc.property(fc.array(tree, { minLength: 1, maxLength: 4 }), (roots) => {
        const seen: string[] = [];
        const visit = (batch: { batchId: string; round: number }, children: unknown[]): void => {
          seen.push(batch.batchId);
          for (const [index, child] of children.entries()) {
            const batchId = childBatchId(batch, index, children.length);
            visit({ batchId, round: batch.round + 1 }, child as unknown[]);
          }
        };
        for (const [index, root] of roots.entries()) visit({ batchId: batchIdOf(0, index), round: 0 }, root);
        expect(new Set(seen).size).toBe(seen.length);
      }),
    );
  });
});

describe('byRoundAndPlace', () => {
  it('puts round 10 behind round 2, and place 10 behind place 2 below the same place', () => {
    const sorted = [
      '0-00000',
      '0-00001',
      '1-00000.2',
      '1-00000.2.0',
      '1-00000.10',
      '1-00001',
      '2-00000',
      '10-00000',
    ];
    const batches = sorted.map((batchId) => ({ batchId }));
    const odd = [...batches.slice(3), ...batches.slice(0, 3)].reverse();
    expect(odd.toSorted(byRoundAndPlace)).toEqual(batches);
  });
});

describe('isFinished', () => {
  const done = { state: 'collected' } as const;
  it.each<[string, Plan, BatchRecord[], boolean]>([
    ['no batches', planOf(), [], true],
    ['a batch without a record', planOf('0-00000'), [], false],
    ['a batch at OpenAI', planOf('0-00000'), [batchOf('0-00000', { state: 'submitted' })], false],
    ['a batch that ended', planOf('0-00000'), [batchOf('0-00000', { state: 'ended' })], false],
    [
      'every batch collected',
      planOf('0-00000', '0-00001'),
      [batchOf('0-00000', done), batchOf('0-00001', done)],
      true,
    ],
    [
      'one of two collected',
      planOf('0-00000', '0-00001'),
      [batchOf('0-00000', done), batchOf('0-00001')],
      false,
    ],
    ['one of two without a record', planOf('0-00000', '0-00001'), [batchOf('0-00000', done)], false],
    [
      'a next round without a record',
      planOf('0-00000'),
      [batchOf('0-00000', { ...done, results: resultsOf({ next: NEXT }) })],
      false,
    ],
    [
      'a next round on its way',
      planOf('0-00000'),
      [
        batchOf('0-00000', { ...done, results: resultsOf({ next: NEXT }) }),
        batchOf('1-00000', { state: 'submitted' }),
      ],
      false,
    ],
    [
      'a next round collected',
      planOf('0-00000'),
      [batchOf('0-00000', { ...done, results: resultsOf({ next: NEXT }) }), batchOf('1-00000', done)],
      true,
    ],
    [
      'a round after that missing',
      planOf('0-00000'),
      [
        batchOf('0-00000', { ...done, results: resultsOf({ next: NEXT }) }),
        batchOf('1-00000', { ...done, results: resultsOf({ next: NEXT }) }),
      ],
      false,
    ],
    [
      'one of two parts of the next round collected',
      planOf('0-00000'),
      [batchOf('0-00000', { ...done, results: resultsOf({ next: HALVES }) }), batchOf('1-00000.1', done)],
      false,
    ],
    [
      'both parts of the next round collected',
      planOf('0-00000'),
      [
        batchOf('0-00000', { ...done, results: resultsOf({ next: HALVES }) }),
        batchOf('1-00000.0', done),
        batchOf('1-00000.1', done),
      ],
      true,
    ],
  ])('%s', (_what, plan, batches, expected) => {
    expect(isFinished(plan, batches)).toBe(expected);
    expect(isFinished(plan, batches.toReversed())).toBe(expected);
  });
});

describe('advanceJob', () => {
  it('records the next round of each batch that has one, and gives it', async () => {
    const { jobs, outbox, added } = await advance(planOf('0-00000', '0-00001'), [
      batchOf('0-00000', { state: 'collected', results: resultsOf({ next: NEXT }) }),
      batchOf('0-00001', { state: 'collected' }),
    ]);
    expect(await jobs.getBatch(JOB_ID, '1-00000')).toMatchObject({
      state: 'planned',
      ...CHILD,
      createdAt: 5_000,
    });
    expect(await jobs.getBatch(JOB_ID, '1-00001')).toBeUndefined();
    expect(added.map(({ batchId }) => batchId)).toEqual(['1-00000']);
    expect(outbox.messages).toEqual([]);
  });

  it('records each part that has no record yet', async () => {
    const { jobs, outbox, added } = await advance(planOf('0-00000'), [
      batchOf('0-00000', { state: 'collected', results: resultsOf({ next: HALVES }) }),
      batchOf('1-00000.0', { state: 'submitted' }),
    ]);
    expect((await jobs.listBatches(JOB_ID)).map(({ batchId, state }) => [batchId, state])).toEqual([
      ['0-00000', 'collected'],
      ['1-00000.0', 'submitted'],
      ['1-00000.1', 'planned'],
    ]);
    expect(added.map(({ batchId }) => batchId)).toEqual(['1-00000.1']);
    expect(outbox.messages).toEqual([]);
  });

  it('asks for the job to be finalized once everything is collected, and not before', async () => {
    const done = batchOf('0-00000', { state: 'collected' });
    const finalize = [{ queue: 'finalize', message: { v: 1, jobId: JOB_ID } }];
    expect((await advance(planOf('0-00000'), [done])).outbox.messages).toEqual(finalize);
    expect((await advance(planOf('0-00000', '0-00001'), [done])).outbox.messages).toEqual([]);
    expect((await advance(planOf('0-00000'), [{ ...done, state: 'ended' }])).outbox.messages).toEqual([]);
  });

  it('may be repeated: nothing is recorded twice, and what is on its way is left alone', async () => {
    const plan = planOf('0-00000');
    const { jobs, outbox } = await advance(plan, [
      batchOf('0-00000', { state: 'collected', results: resultsOf({ next: NEXT }) }),
    ]);
    await jobs.moveBatch(
      { jobId: JOB_ID, batchId: '1-00000' },
      batchWrite('planned', { state: 'uploaded' }),
      6_000,
    );
    expect(await advanceJob({ jobs, outbox }, plan, 7_000)).toEqual([]);
    expect(outbox.messages).toEqual([]);
    expect(await jobs.listBatches(JOB_ID)).toHaveLength(2);
    expect(await jobs.getBatch(JOB_ID, '1-00000')).toMatchObject({ state: 'uploaded', createdAt: 5_000 });
  });

  it('ends every job after as many rounds as it takes, in any order of collecting', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        async (rounds, picks) => {
          const plan = planOf(...rounds.map((_, index) => batchIdOf(0, index)));
          const { jobs, outbox } = await advance(
            plan,
            plan.batches.map(({ batchId }) => batchOf(batchId)),
          );
          for (;;) {
            const open = (await jobs.listBatches(JOB_ID)).filter(({ state }) => state === 'planned');
            if (open.length === 0) break;
            expect(outbox.messages.some(({ queue }) => queue === 'finalize')).toBe(false);
            const batch = open[picks.next().value! % open.length]!;
            const more = batch.round < rounds[Number(batch.batchId.split('-')[1])]!;
            await jobs.moveBatch(
              batch,
              batchWrite('planned', {
                state: 'collected',
                ...(more ? { results: resultsOf({ next: NEXT }) } : {}),
              }),
              1,
            );
            await advanceJob({ jobs, outbox }, plan, 1);
          }
          expect(outbox.messages.filter(({ queue }) => queue === 'finalize')).toHaveLength(1);
          const batches = await jobs.listBatches(JOB_ID);
          expect(batches).toHaveLength(rounds.reduce((sum, count) => sum + count + 1, 0));
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('advanceAfter', () => {
  const PLAN_KEY = 'work/plan.json';
  const INPUT = { bucket: 'b', key: 'input/a.jsonl', versionId: '1' };

  /** Jobs that count how often all batches of a job are read. */
  class CountingJobs extends MemoryJobs {
    listings = 0;
    override listBatches(jobId: string): Promise<BatchRecord[]> {
      this.listings++;
      return super.listBatches(jobId);
    }
  }

  async function start(plan: Plan, batches: readonly BatchRecord[]) {
    const jobs = new CountingJobs();
    const outbox = new MemoryOutbox();
    const job: Job = {
      v: 1,
      jobId: JOB_ID,
      input: { ...INPUT, etag: '"e"', lastModified: 0, size: 1 },
      source: INPUT,
      route: defaultSettings().routes[0]!,
      state: 'running',
      createdAt: 1,
      updatedAt: 1,
      planKey: PLAN_KEY,
    };
    await jobs.createJob(job);
    for (const batch of batches) await jobs.createBatch(batch);
    const objects = { get: async () => Buffer.from(JSON.stringify(plan)) };
    const follow = async (batchId: string, as?: Job): Promise<BatchRecord[]> =>
      advanceAfter(
        { jobs, outbox, objects },
        as ?? (await jobs.getJob(JOB_ID))!,
        (await jobs.getBatch(JOB_ID, batchId))!,
        5_000,
      );
    const collectNow = (batchId: string, next?: NextBatch[]) =>
      jobs.moveBatch(
        { jobId: JOB_ID, batchId },
        batchWrite('planned', {
          state: 'collected',
          ...(next === undefined ? {} : { results: resultsOf({ next }) }),
        }),
        1,
      );
    return { jobs, outbox, follow, collectNow };
  }

  it('records the next round of the batch that was collected, without reading the others', async () => {
    const plan = planOf('0-00000', '0-00001');
    const { jobs, outbox, follow } = await start(plan, [
      batchOf('0-00000', { state: 'collected', results: resultsOf({ next: HALVES }) }),
      batchOf('0-00001'),
    ]);
    const added = await follow('0-00000');
    expect(added.map(({ batchId }) => batchId)).toEqual(['1-00000.0', '1-00000.1']);
    expect(await follow('0-00000')).toEqual([]);
    expect(outbox.messages).toEqual([]);
    expect(jobs.listings).toBe(1);
  });

  it('does nothing for a batch that was not collected', async () => {
    const { jobs, outbox, follow } = await start(planOf('0-00000'), [batchOf('0-00000', { state: 'ended' })]);
    expect(await follow('0-00000')).toEqual([]);
    expect([jobs.listings, outbox.messages]).toEqual([0, []]);
  });

  it('asks for the job to be finalized when the batch that the job waits for was the last but one', async () => {
    const plan = planOf('0-00000', '0-00001');
    const { outbox, follow, collectNow } = await start(plan, [batchOf('0-00000'), batchOf('0-00001')]);
    await collectNow('0-00000');
    await follow('0-00000');
    await collectNow('0-00001');
    expect(outbox.messages).toEqual([]);
    await follow('0-00001');
    expect(outbox.messages).toEqual([{ queue: 'finalize', message: { v: 1, jobId: JOB_ID } }]);
  });

  it('reads all batches of a large job a few times only, in whatever order they end', async () => {
    const ids = Array.from({ length: 400 }, (_, index) => batchIdOf(0, index));
    const orders = [ids, ids.toReversed(), ids.map((_, index) => ids[(index * 269) % ids.length]!)];
    for (const order of orders) {
      const submitted = ids.map((id) => batchOf(id, { remote: remoteOf({ submittedAt: 1_000 }) }));
      const { jobs, outbox, follow, collectNow } = await start(planOf(...ids), submitted);
      for (const batchId of order) {
        await collectNow(batchId);
        await follow(batchId);
      }
      expect(outbox.messages).toHaveLength(1);
      expect(jobs.listings).toBeLessThan(20);
    }
  });

  it('ends every job, whatever is collected at the same time and however old the job is that each has read', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 6 }),
        fc.infiniteStream(fc.nat()),
        async (rounds, picks) => {
          const plan = planOf(...rounds.map((_, index) => batchIdOf(0, index)));
          const { jobs, outbox, follow, collectNow } = await start(
            plan,
            plan.batches.map(({ batchId }) => batchOf(batchId)),
          );
          const jobsSeen: Job[] = [];
          for (;;) {
            jobsSeen.push((await jobs.getJob(JOB_ID))!);
            const open = (await jobs.listBatches(JOB_ID)).filter(({ state }) => state === 'planned');
            if (open.length === 0) break;
            expect(outbox.messages).toEqual([]);
            const together = open.filter(() => picks.next().value! % 2 === 0);
            for (const batch of together) {
              const more = batch.round < rounds[Number(batch.batchId.split('-')[1])]!;
              await collectNow(batch.batchId, more ? NEXT : undefined);
            }
            await Promise.all(
              together.map(({ batchId }) => follow(batchId, jobsSeen[picks.next().value! % jobsSeen.length])),
            );
          }
          expect(outbox.messages.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: propertyRuns(100) },
    );
  });
});
