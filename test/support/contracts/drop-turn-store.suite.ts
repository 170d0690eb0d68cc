/** What every {@link DropTurnStore} does. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toCancelled } from '../../../src/core/lifecycle/job-transitions.ts';
import type { DropTurnStore } from '../../../src/core/ports/drops.ts';
import type { JobStore } from '../../../src/core/ports/records.ts';
import { jobOf } from '../records.ts';

const NOW = 1_790_000_000_000;
const LEASED_MS = 60_000;

/** Runs the suite on a store without records. */
export function describeDropTurnStore(
  name: string,
  open: () => Promise<{ jobs: JobStore; drops: DropTurnStore; close(): Promise<void> }>,
): void {
  describe(`turns of drops in ${name}`, () => {
    let jobs: JobStore;
    let drops: DropTurnStore;
    let close: () => Promise<void>;
    beforeAll(async () => {
      ({ jobs, drops, close } = await open());
    });
    afterAll(() => close());

    /** Records a job of a route and leases it to a worker. */
    async function leased(jobId: string, route: string, droppedAt = NOW): Promise<void> {
      const job = jobOf(jobId);
      const input = { ...job.input, lastModified: droppedAt };
      await jobs.createJob({ ...job, input, route: { ...job.route, name: route } });
      await jobs.leaseJob(jobId, 'ingesting', 'worker', NOW, NOW + LEASED_MS);
    }
    const take = (jobId: string, route: string, now = NOW, perDay = 1) =>
      drops.takeDropTurn({ jobId, route, limits: { perDay }, holder: 'worker' }, now);
    const takeFirst = (jobId: string, route: string, now: number, perDay = 1) =>
      drops.takeDropTurn({ jobId, route, limits: { perDay } }, now);
    const waiting = async (route: string) =>
      (await Array.fromAsync(drops.listWaitingDrops(route))).map(({ jobId }) => jobId);
    const overdue = async () =>
      (await Array.fromAsync(jobs.listOverdue(Number.MAX_SAFE_INTEGER))).map((item) =>
        item.kind === 'job' ? item.jobId : '',
      );

    test('are taken while there is room, and the worker keeps the job', async () => {
      await leased('a1', 'a');
      expect(await take('a1', 'a')).toMatchObject({ turn: { takenAt: NOW }, lease: { holder: 'worker' } });
      expect(await drops.listDropRoutes()).toContain('a');
      expect(await waiting('a')).toEqual([]);
    });

    test('that are not free have the job wait without a lease, out of the sight of the sweep', async () => {
      await leased('a3', 'a', NOW + 2_000);
      await leased('a2', 'a', NOW + 1_000);
      const job = await take('a3', 'a');
      expect(job).toMatchObject({ turn: { since: NOW, waitsFor: 'perDay' } });
      expect(job?.lease).toBeUndefined();
      await take('a2', 'a');
      expect(await waiting('a')).toEqual(['a2', 'a3']);
      expect(await overdue()).toEqual(['a1']);
      expect(await jobs.getJob('a3')).toEqual(job);
    });

    test('go to the first that waits, once, and give it back to the sweep', async () => {
      const tomorrow = NOW + 86_400_000;
      expect(await takeFirst('a2', 'a', tomorrow)).toMatchObject({ turn: { takenAt: tomorrow } });
      expect(await takeFirst('a2', 'a', tomorrow)).toBeUndefined();
      expect(await takeFirst('a3', 'a', tomorrow)).toMatchObject({ turn: { waitsFor: 'perDay' } });
      expect(await waiting('a')).toEqual(['a3']);
      expect((await overdue()).sort()).toEqual(['a1', 'a2']);
      expect(await takeFirst('a3', 'a', tomorrow, 2)).toMatchObject({ turn: { takenAt: tomorrow } });
    });

    test('are only for the worker that has the job, and for the poll only while none has it', async () => {
      await leased('b1', 'b');
      const other = { jobId: 'b1', route: 'b', limits: { perDay: 1 }, holder: 'other' };
      expect(await drops.takeDropTurn(other, NOW)).toBeUndefined();
      expect(await takeFirst('b1', 'b', NOW)).toBeUndefined();
      await take('b1', 'b');
      await leased('b2', 'b');
      await take('b2', 'b');
      await jobs.leaseJob('b2', 'ingesting', 'worker', NOW, NOW + LEASED_MS);
      expect(await takeFirst('b2', 'b', NOW, 9)).toBeUndefined();
      expect(await takeFirst('b2', 'b', NOW + LEASED_MS, 9)).toMatchObject({
        turn: { takenAt: NOW + LEASED_MS },
      });
    });

    test('are not waited for by a job that is cancelled', async () => {
      await leased('c1', 'c');
      await take('c1', 'c');
      await leased('c2', 'c');
      const job = (await take('c2', 'c'))!;
      await jobs.moveJob('c2', toCancelled(job, NOW, false), NOW);
      expect(await waiting('c')).toEqual([]);
      expect(await overdue()).toContain('c2');
    });

    test('of workers at once are counted one by one', async () => {
      const ids = Array.from({ length: 6 }, (_, index) => `d${index}`);
      for (const jobId of ids) await leased(jobId, 'd');
      const taken = await Promise.all(ids.map((jobId) => take(jobId, 'd', NOW, 3)));
      expect(taken.filter((job) => job?.turn?.takenAt !== undefined)).toHaveLength(3);
      expect(await waiting('d')).toHaveLength(3);
    });

    test('are free for the next drop at once when none waits any more', async () => {
      await leased('e1', 'e');
      await take('e1', 'e');
      await leased('e2', 'e');
      await take('e2', 'e');
      const later = NOW + 86_400_000;
      await takeFirst('e2', 'e', later, 9);
      await leased('e3', 'e');
      expect(await take('e3', 'e', later, 9)).toMatchObject({ turn: { waitsFor: 'earlierDrops' } });
      await takeFirst('e3', 'e', later, 9);
      await drops.noteNoneWaits('e', later + 300_000);
      await leased('e4', 'e');
      expect(await take('e4', 'e', later + 300_000, 9)).toMatchObject({ turn: { takenAt: later + 300_000 } });
    });
  });
}
