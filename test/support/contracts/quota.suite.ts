import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MINUTE_MS } from '../../../src/contract/time.ts';
import type { BatchRecord } from '../../../src/core/model/batch.ts';
import type { Demand, QuotaStore, SuspensionStore } from '../../../src/core/ports/quota.ts';
import type { JobStore } from '../../../src/core/ports/records.ts';
import { newLedger } from '../../../src/core/scheduling/ledger.ts';
import { batchOf, batchWrite } from '../records.ts';
import { all } from './job-store.suite.ts';

const NOW = 1_790_000_000_000;

export interface AdmissionStores {
  jobs: JobStore;
  quota: QuotaStore;
  suspensions: SuspensionStore;
  close(): Promise<void>;
}

/** What every {@link QuotaStore} and {@link SuspensionStore} does. */
export function describeAdmissionStores(name: string, start: () => Promise<AdmissionStores>): void {
  describe(`quota store: ${name}`, () => {
    let stores: AdmissionStores;
    let idsMade = 0;
    beforeAll(async () => {
      stores = await start();
    });
    afterAll(() => stores?.close());

    const fresh = (what: string): string => {
      idsMade += 1;
      return `${what}-${idsMade}`;
    };
    const waitingBatch = async (changes: Partial<BatchRecord> = {}): Promise<BatchRecord> => {
      const batch = batchOf(fresh('job'), 0, changes);
      await stores.jobs.createBatch(batch);
      return batch;
    };
    const demand = (ledger: string, amount: number, limit = 100): Demand => ({ ledger, amount, limit });
    const held = async (id: string) =>
      (await all(stores.quota.listReservations())).filter(({ reservationId }) => reservationId === id);
    const stateOf = async ({ jobId, batchId }: BatchRecord) =>
      (await stores.jobs.getBatch(jobId, batchId))?.state;

    test('marks a batch that was admitted while nothing else was reserved on its first ledger', async () => {
      const [tokens, money] = [fresh('tokens'), fresh('money')];
      const admitted = async () => {
        const batch = await waitingBatch();
        await stores.quota.admit(batch, fresh('reservation'), [demand(tokens, 1), demand(money, 1)], NOW);
        return stores.jobs.getBatch(batch.jobId, batch.batchId);
      };
      expect(await admitted()).toHaveProperty('admission.sentAlone', true);
      expect(await admitted()).not.toHaveProperty('admission.sentAlone');
    });

    test('admits a batch, reserves on every ledger and keeps the reservation, in one step', async () => {
      const batch = await waitingBatch();
      const [tokens, money, id] = [fresh('tokens'), fresh('money'), fresh('reservation')];
      const demands = [demand(tokens, 60), demand(money, 7)];
      expect(await stores.quota.admit(batch, id, demands, NOW + 1)).toBe('admitted');
      expect(await stores.jobs.getBatch(batch.jobId, batch.batchId)).toEqual({
        ...batch,
        state: 'admitted',
        admission: { sentAlone: true, reservation: id },

        updatedAt: NOW + 1,
      });
      expect(await stores.quota.getLedger(tokens)).toEqual({ ...newLedger(tokens, NOW + 1), reserved: 60 });
      expect(await stores.quota.getLedger(money)).toEqual({ ...newLedger(money, NOW + 1), reserved: 7 });
      expect(await held(id)).toEqual([
        {
          v: 1,
          reservationId: id,
          jobId: batch.jobId,
          batchId: batch.batchId,
          state: 'held',
          amounts: [
            { ledger: tokens, amount: 60 },
            { ledger: money, amount: 7 },
          ],
          createdAt: NOW + 1,
          updatedAt: NOW + 1,
        },
      ]);
    });

    test('does not admit a batch that is in another tier than the one it was judged in', async () => {
      const judged = await waitingBatch({ tier: 'flex' });
      await stores.jobs.moveBatch(judged, batchWrite('planned', { tier: 'standard' }), NOW);
      const [slices, id] = [fresh('slices'), fresh('reservation')];
      expect(await stores.quota.admit(judged, id, [demand(slices, 1)], NOW)).toBe('moved');
      expect(await stateOf(judged)).toBe('planned');
      expect(await stores.quota.getLedger(slices)).toBeUndefined();
    });

    test('writes nothing when one of several ledgers is full', async () => {
      const batch = await waitingBatch();
      const [roomy, full, id] = [fresh('roomy'), fresh('full'), fresh('reservation')];
      const demands = [demand(roomy, 1), demand(full, 101)];
      expect(await stores.quota.admit(batch, id, demands, NOW)).toBe('full');
      expect(await stateOf(batch)).toBe('planned');
      expect(await stores.quota.getLedger(roomy)).toBeUndefined();
      expect(await held(id)).toEqual([]);
    });

    test('counts what is used beside what is reserved, and admits up to the limit exactly', async () => {
      const ledger = fresh('ledger');
      const first = fresh('reservation');
      await stores.quota.admit(await waitingBatch(), first, [demand(ledger, 50)], NOW);
      await stores.quota.settle(first, NOW, 30);
      expect(await stores.quota.getLedger(ledger)).toMatchObject({ reserved: 0, used: 30 });
      const admit = async (amount: number) =>
        stores.quota.admit(await waitingBatch(), fresh('reservation'), [demand(ledger, amount)], NOW);
      expect(await admit(71)).toBe('full');
      expect(await admit(70)).toBe('admitted');
    });

    test('lets one above the limit go alone if it may, and no other beside it', async () => {
      const ledger = fresh('ledger');
      const alone = { ...demand(ledger, 500), allowWhenIdle: true };
      expect(await stores.quota.admit(await waitingBatch(), fresh('r'), [alone], NOW)).toBe('admitted');
      expect(await stores.quota.admit(await waitingBatch(), fresh('r'), [alone], NOW)).toBe('full');
      expect(await stores.quota.admit(await waitingBatch(), fresh('r'), [demand(ledger, 1)], NOW)).toBe(
        'full',
      );
    });

    test('admits no batch that does not wait, and none twice', async () => {
      const ledger = fresh('ledger');
      const gone = await waitingBatch({ state: 'uploaded' });
      expect(await stores.quota.admit(gone, fresh('r'), [demand(ledger, 1)], NOW)).toBe('moved');
      const nobody = { jobId: 'nobody', batchId: '0-00000' };
      expect(await stores.quota.admit(nobody, fresh('r'), [demand(ledger, 1)], NOW)).toBe('moved');
      const batch = await waitingBatch();
      const verdicts = await Promise.all(
        Array.from({ length: 6 }, () => stores.quota.admit(batch, fresh('r'), [demand(ledger, 1)], NOW)),
      );
      expect(verdicts.sort()).toEqual(['admitted', ...Array.from({ length: 5 }, () => 'moved')]);
      expect(await stores.quota.getLedger(ledger)).toMatchObject({ reserved: 1 });
    });

    test('never reserves more than the limit, however many want the last of it at once', async () => {
      const ledger = fresh('ledger');
      const batches = await Promise.all(Array.from({ length: 12 }, () => waitingBatch()));
      const verdicts = await Promise.all(
        batches.map((batch) => stores.quota.admit(batch, fresh('r'), [demand(ledger, 30)], NOW)),
      );
      expect(verdicts.filter((verdict) => verdict === 'admitted')).toHaveLength(3);
      expect(await stores.quota.getLedger(ledger)).toMatchObject({ reserved: 90 });
    });

    test('gives a reservation back once, however often and however many at once ask for it', async () => {
      const [ledger, id, other] = [fresh('ledger'), fresh('reservation'), fresh('reservation')];
      await stores.quota.admit(await waitingBatch(), id, [demand(ledger, 40)], NOW);
      await stores.quota.admit(await waitingBatch(), other, [demand(ledger, 5)], NOW);
      const settled = await Promise.all(Array.from({ length: 5 }, () => stores.quota.settle(id, NOW + 1)));
      expect(settled.filter(Boolean)).toHaveLength(1);
      expect(await stores.quota.settle(id, NOW + 2)).toBe(false);
      expect(await stores.quota.getLedger(ledger)).toMatchObject({ reserved: 5, used: 0 });
      expect(await held(id)).toEqual([]);
      expect(await held(other)).toHaveLength(1);
    });

    test('gives back tokens and money of one reservation at different times, each once', async () => {
      const [tokens, money, id] = [`tokens/default/${fresh('model')}`, fresh('budget'), fresh('reservation')];
      await stores.quota.admit(await waitingBatch(), id, [demand(tokens, 60), demand(money, 7)], NOW);
      const given = await Promise.all(
        Array.from({ length: 4 }, () => stores.quota.giveBackTokens(id, NOW + 1)),
      );
      expect(given.filter(Boolean)).toHaveLength(1);
      expect(await stores.quota.getLedger(tokens)).toMatchObject({ reserved: 0, used: 0 });
      expect(await stores.quota.getLedger(money)).toMatchObject({ reserved: 7, used: 0 });
      expect(await held(id)).toMatchObject([{ state: 'held', amounts: [{ ledger: money, amount: 7 }] }]);
      const settled = await Promise.all(Array.from({ length: 4 }, () => stores.quota.settle(id, NOW + 2, 5)));
      expect(settled.filter(Boolean)).toHaveLength(1);
      expect(await stores.quota.giveBackTokens(id, NOW + 3)).toBe(false);
      expect(await stores.quota.getLedger(tokens)).toMatchObject({ reserved: 0, used: 0 });
      expect(await stores.quota.getLedger(money)).toMatchObject({ reserved: 0, used: 5 });
      expect(await held(id)).toEqual([]);
    });

    test('settles both at once where tokens were not given back, and books money alone', async () => {
      for (const isRaced of [false, true]) {
        const [tokens, money, id] = [
          `tokens/default/${fresh('model')}`,
          fresh('budget'),
          fresh('reservation'),
        ];
        await stores.quota.admit(await waitingBatch(), id, [demand(tokens, 60), demand(money, 7)], NOW);
        await Promise.all([
          stores.quota.settle(id, NOW + 1, 9),
          ...(isRaced ? [stores.quota.giveBackTokens(id, NOW + 1)] : []),
        ]);
        expect(await stores.quota.getLedger(tokens)).toMatchObject({ reserved: 0, used: 0 });
        expect(await stores.quota.getLedger(money)).toMatchObject({ reserved: 0, used: 9 });
        expect(await held(id)).toEqual([]);
      }
    });

    test('a reservation of tokens alone is settled when they are given back', async () => {
      const [tokens, id] = [`tokens/default/${fresh('model')}`, fresh('reservation')];
      await stores.quota.admit(await waitingBatch(), id, [demand(tokens, 60)], NOW);
      expect(await stores.quota.giveBackTokens(id, NOW + 1)).toBe(true);
      expect(await stores.quota.settle(id, NOW + 1, 5)).toBe(false);
      expect(await held(id)).toEqual([]);
    });

    test('settles nothing for a reservation that was never made', async () => {
      expect(await stores.quota.settle(fresh('reservation'), NOW)).toBe(false);
    });

    test('lists what is held, oldest first', async () => {
      const ledger = fresh('ledger');
      const ids = [fresh('reservation'), fresh('reservation'), fresh('reservation')];
      for (const [index, at] of [NOW + 5, NOW + 1, NOW + 3].entries()) {
        await stores.quota.admit(await waitingBatch(), ids[index]!, [demand(ledger, 1)], at);
      }
      const listed = (await all(stores.quota.listReservations()))
        .map(({ reservationId }) => reservationId)
        .filter((id) => ids.includes(id));
      expect(listed).toEqual([ids[1], ids[2], ids[0]]);
    });

    test('keeps what is reserved while lessons change the rest of a ledger', async () => {
      const ledger = fresh('ledger');
      await stores.quota.admit(await waitingBatch(), fresh('r'), [demand(ledger, 40)], NOW);
      const lesson = { limit: 90, limitLearnedAt: NOW, ceiling: 45, refusals: 1, pausedUntil: NOW + 9 };
      await stores.quota.changeLedger(ledger, () => lesson, NOW + 1);
      const taught = { ...newLedger(ledger, NOW + 1), reserved: 40, ...lesson };
      expect(await stores.quota.getLedger(ledger)).toEqual(taught);
      await stores.quota.changeLedger(ledger, () => undefined, NOW + 2);
      expect(await stores.quota.getLedger(ledger)).toEqual(taught);
      const { refusals: _, pausedUntil: __, ...rest } = taught;
      await stores.quota.changeLedger(
        ledger,
        (current) => {
          expect(current).toEqual(taught);
          return { refusals: undefined, pausedUntil: undefined };
        },
        NOW + 3,
      );
      expect(await stores.quota.getLedger(ledger)).toEqual({ ...rest, updatedAt: NOW + 3 });
    });

    test('teaches a ledger on which nothing was reserved', async () => {
      const ledger = fresh('ledger');
      await stores.quota.changeLedger(ledger, () => ({ ceiling: 5 }), NOW);
      expect(await stores.quota.getLedger(ledger)).toEqual({ ...newLedger(ledger, NOW), ceiling: 5 });
    });

    test('gives as many turns an hour as there are, to workers that ask at once', async () => {
      const name = fresh('turns');
      expect(await stores.quota.turnsLeft(name, 4, NOW)).toBe(4);
      const waits = await Promise.all(Array.from({ length: 7 }, () => stores.quota.takeTurn(name, 4, NOW)));
      expect(waits.filter((wait) => wait === 0)).toHaveLength(4);
      expect(await stores.quota.turnsLeft(name, 4, NOW)).toBe(0);
      const wait = Math.max(...waits);
      expect(wait).toBeGreaterThan(60 * MINUTE_MS);
      expect(await stores.quota.takeTurn(name, 4, NOW + wait - 1)).toBe(1);
      expect(await stores.quota.takeTurn(name, 4, NOW + wait)).toBe(0);
    });

    test('suspends a scope until something proves that it is over', async () => {
      const scope = fresh('scope');
      expect(await stores.suspensions.getSuspension(scope)).toBeUndefined();
      expect(await stores.suspensions.lift(scope, 'collected', NOW)).toBe(false);
      await stores.suspensions.suspend(scope, 'invalid_api_key', 'created', NOW);
      const suspension = await stores.suspensions.getSuspension(scope);
      expect(suspension).toMatchObject({ scope, reason: 'invalid_api_key', suspendedAt: NOW, probes: 0 });
      await stores.suspensions.suspend(scope, 'billing_hard_limit_reached', 'created', NOW + 1);
      expect(await stores.suspensions.getSuspension(scope)).toEqual({
        ...suspension,
        reason: 'billing_hard_limit_reached',
        saidAt: NOW + 1,
        updatedAt: NOW + 1,
      });
      expect(await stores.suspensions.lift(scope, 'created', NOW + 2)).toBe(true);
      expect(await stores.suspensions.getSuspension(scope)).toBeUndefined();
    });

    test('does not take a created batch for proof that requests are answered again', async () => {
      const scope = fresh('scope');
      await stores.suspensions.suspend(scope, 'invalid_api_key', 'created', NOW);
      await stores.suspensions.suspend(scope, 'insufficient_quota', 'collected', NOW);
      expect(await stores.suspensions.lift(scope, 'created', NOW)).toBe(false);
      expect(await stores.suspensions.lift(scope, 'collected', NOW)).toBe(true);
    });

    test('lets one probe go each time, ever more rarely', async () => {
      const scope = fresh('scope');
      expect(await stores.suspensions.takeProbe(scope, NOW)).toBe(false);
      await stores.suspensions.suspend(scope, 'invalid_api_key', 'created', NOW);
      let { probeAt } = (await stores.suspensions.getSuspension(scope))!;
      const waits: number[] = [];
      for (let probe = 0; probe < 5; probe++) {
        expect(await stores.suspensions.takeProbe(scope, probeAt - 1)).toBe(false);
        const at = probeAt;
        const taken = await Promise.all([1, 2, 3].map(() => stores.suspensions.takeProbe(scope, at)));
        expect(taken.filter(Boolean)).toHaveLength(1);
        probeAt = (await stores.suspensions.getSuspension(scope))!.probeAt;
        waits.push((probeAt - at) / MINUTE_MS);
      }
      expect(waits).toEqual([10, 20, 30, 30, 30]);
    });

    test('suspends a scope again after it was lifted, with a fresh count of probes', async () => {
      const scope = fresh('scope');
      await stores.suspensions.suspend(scope, 'one', 'created', NOW);
      await stores.suspensions.takeProbe(scope, NOW + 60 * MINUTE_MS);
      await stores.suspensions.lift(scope, 'created', NOW + 61 * MINUTE_MS);
      await stores.suspensions.suspend(scope, 'two', 'created', NOW + 62 * MINUTE_MS);
      expect(await stores.suspensions.getSuspension(scope)).toMatchObject({
        reason: 'two',
        probes: 0,
        suspendedAt: NOW + 62 * MINUTE_MS,
      });
    });
  });
}
