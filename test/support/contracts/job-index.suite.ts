import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DAY_MS } from '../../../src/contract/time.ts';
import { type EndedJob, type JobEnd, type MonthRow, noAmounts } from '../../../src/core/model/job-end.ts';
import type { JobIndex } from '../../../src/core/ports/job-index.ts';

const NOON = Date.UTC(2026, 10, 30, 12);

/** The end of a job that cost 10 picodollars. */
export function jobEnd(jobId: string, ended: Partial<EndedJob> = {}, amounts = {}): JobEnd {
  const whole = { ...noAmounts(), jobs: 1, succeeded: 3, cost: 10n, ...amounts };
  return {
    ended: {
      v: 1,
      jobId,
      bucket: 'bucket',
      key: 'input/a.jsonl',
      droppedAt: NOON - DAY_MS,
      endedAt: NOON,
      route: 'films',
      apiKey: 'default',
      result: 'succeeded',
      counts: { requests: 3, succeeded: 3, failed: 0, invalid: 0 },
      usd: '0.00000000001',
      possibleUsd: '0',
      standardUsd: '0.00000000002',
      tiers: ['batch'],
      receiptKey: 'receipts/a.jsonl.json',
      ...ended,
    },
    rows: [
      { of: 'total', name: '', amounts: whole },
      { of: 'route', name: 'films', amounts: whole },
      { of: 'model', name: 'ft:gpt-5-nano:org#1', amounts: whole },
    ],
  };
}

/** What every {@link JobIndex} does. */
export function describeJobIndex(
  name: string,
  start: () => Promise<{ index: JobIndex; close(): Promise<void> }>,
): void {
  describe(`job index: ${name}`, () => {
    let fixture: Awaited<ReturnType<typeof start>>;
    beforeAll(async () => {
      fixture = await start();
    });
    afterAll(() => fixture?.close());

    const listed = async (day: string): Promise<string[]> =>
      (await Array.fromAsync(fixture.index.listEndedOn(day))).map(({ jobId }) => jobId);
    const monthOf = async (month: string): Promise<Record<string, MonthRow['amounts']>> =>
      Object.fromEntries(
        (await fixture.index.readMonth(month)).map(({ of, name: of_, amounts }) => [`${of} ${of_}`, amounts]),
      );

    test('lists a job once and adds it once, however often and at whatever time its end is recorded', async () => {
      const { index } = fixture;
      expect(await index.readMonth('2026-11')).toEqual([]);
      expect(await index.recordEnd(jobEnd('one'))).toBe(true);
      // A worker that came after a crash tells it later, here in another month.
      expect(await index.recordEnd(jobEnd('one', { endedAt: NOON + DAY_MS }))).toBe(false);
      const told = await Promise.all([1, 2, 3].map(() => index.recordEnd(jobEnd('two'))));
      expect(told.filter(Boolean)).toHaveLength(1);
      expect(await listed('2026-11-30')).toEqual(['two', 'one']);
      expect(await listed('2026-12-01')).toEqual([]);
      const sum = { ...noAmounts(), jobs: 2, succeeded: 6, cost: 20n };
      expect(await monthOf('2026-11')).toEqual({
        'total ': sum,
        'route films': sum,
        'model ft:gpt-5-nano:org#1': sum,
      });
      expect(await index.readMonth('2026-12')).toEqual([]);
    });

    test('gives a job back as it was recorded', async () => {
      const { index } = fixture;
      const end = jobEnd('whole', {
        key: 'input/whole.jsonl',
        versionId: 'v1',
        result: 'rejected',
        cancelledAt: NOON - 1_000,
        rejection: 'empty_file',
        duplicateOf: 'one',
      });
      await index.recordEnd(end);
      expect(await index.listEndedOf('bucket', 'input/whole.jsonl')).toEqual([end.ended]);
      const ofDay = await Array.fromAsync(index.listEndedOn('2026-11-30'));
      expect(ofDay.find(({ jobId }) => jobId === 'whole')).toEqual(end.ended);
    });

    test('lists the jobs of a day by their end, and those of a key by their drop, the last one first', async () => {
      const { index } = fixture;
      const key = 'input/b.jsonl';
      const [day, next] = [NOON - 2 * DAY_MS, NOON - DAY_MS];
      await index.recordEnd(jobEnd('early', { key, droppedAt: 2_000, endedAt: day }));
      await index.recordEnd(jobEnd('late', { key, droppedAt: 1_000, endedAt: day + 1 }));
      await index.recordEnd(jobEnd('next', { key, droppedAt: 3_000, endedAt: next }));
      await index.recordEnd(jobEnd('of another bucket', { key, bucket: 'other', endedAt: next }));
      expect(await listed('2026-11-28')).toEqual(['late', 'early']);
      const ofKey = await index.listEndedOf('bucket', key);
      expect(ofKey.map(({ jobId }) => jobId)).toEqual(['next', 'early', 'late']);
      expect(await index.listEndedOf('bucket', 'input/none.jsonl')).toEqual([]);
    });

    test('forgets what tells of one job, again without harm, and keeps the others and the sums of the month', async () => {
      const { index } = fixture;
      const key = 'input/forgotten.jsonl';
      const endedAt = Date.UTC(2027, 2, 1);
      const [one, other] = ['one of two', 'other of two'].map((jobId) => jobEnd(jobId, { key, endedAt }));
      for (const end of [one!, other!]) await index.recordEnd(end);
      const sums = await monthOf('2027-03');
      for (const _ of ['once', 'again']) await index.forget(one!.ended);
      expect(await listed('2027-03-01')).toEqual(['other of two']);
      expect(await index.listEndedOf('bucket', key)).toEqual([other!.ended]);
      expect(await monthOf('2027-03')).toEqual(sums);
      await index.forget({ bucket: 'bucket', key: 'input/none.jsonl', jobId: 'never there' });
      expect(await listed('2027-03-01')).toEqual(['other of two']);
    });

    test('adds money exactly, also beyond what a number holds', async () => {
      const { index } = fixture;
      const endedAt = Date.UTC(2027, 0, 1);
      const dear = 90_000_000_000_000_001n;
      for (const jobId of ['dear', 'dearer'])
        await index.recordEnd(jobEnd(jobId, { endedAt }, { cost: dear, possibleCost: 1n }));
      expect((await monthOf('2027-01'))['total ']).toEqual({
        ...noAmounts(),
        jobs: 2,
        succeeded: 6,
        cost: 2n * dear,
        possibleCost: 2n,
      });
    });

    test('adds all of many jobs that end at the same moment', async () => {
      const { index } = fixture;
      const endedAt = Date.UTC(2027, 1, 1);
      await Promise.all(
        Array.from({ length: 20 }, (_, job) => index.recordEnd(jobEnd(`crowd ${job}`, { endedAt }))),
      );
      expect((await monthOf('2027-02'))['total ']).toMatchObject({ jobs: 20, succeeded: 60, cost: 200n });
    });
  });
}
