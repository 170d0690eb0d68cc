import type { BatchRecord } from '../../../src/core/model/batch.ts';
import type { Ledger, Reservation } from '../../../src/core/model/ledger.ts';
import type { Demand, LedgerLessons, QuotaStore } from '../../../src/core/ports/quota.ts';
import {
  isFirstOn,
  newLedger,
  type Release,
  releaseTokens,
  reservationFor,
  reserveOn,
  settled,
  settleOn,
} from '../../../src/core/scheduling/ledger.ts';
import { type MinuteOfTurns, takeTurnOf, turnsLeftOf } from '../../../src/core/scheduling/turns.ts';
import { plainCopy } from '../plain-copy.ts';
import { type MemoryJobs, snapshotOf } from './jobs.ts';

/** {@link QuotaStore} in memory, beside the jobs whose batches it admits. */
export class MemoryQuota implements QuotaStore {
  readonly #jobs: MemoryJobs;
  readonly #ledgers = new Map<string, Ledger>();
  readonly #reservations = new Map<string, Reservation>();
  readonly #turns = new Map<string, MinuteOfTurns[]>();
  /** One entry, in a map so that it is part of a snapshot. */
  readonly #backlog = new Map<'scopes', string[]>();

  constructor(jobs: MemoryJobs) {
    this.#jobs = jobs;
  }

  /** As {@link MemoryJobs.snapshot}: both stand in one table. */
  snapshot(): () => void {
    return snapshotOf([this.#ledgers, this.#reservations, this.#turns, this.#backlog] as Map<
      string,
      unknown
    >[]);
  }

  async getLedger(name: string): Promise<Ledger | undefined> {
    return plainCopy(this.#ledgers.get(name));
  }

  async admit(
    batch: Pick<BatchRecord, 'jobId' | 'batchId' | 'tier'>,
    reservationId: string,
    demands: readonly Demand[],
    now: number,
  ): Promise<'admitted' | 'full' | 'moved'> {
    const ledgers: Ledger[] = [];
    for (const demand of demands) {
      const ledger = reserveOn(this.#ledgers.get(demand.ledger), demand, reservationId, now);
      if (ledger === undefined) return 'full';
      ledgers.push(ledger);
    }
    const isAlone = isFirstOn(this.#ledgers.get(demands[0]?.ledger ?? ''));
    if (!this.#jobs.admitBatch(batch, reservationId, isAlone, now)) return 'moved';
    for (const ledger of ledgers) this.#ledgers.set(ledger.name, ledger);
    this.#reservations.set(reservationId, reservationFor(batch, reservationId, demands, now));
    return 'admitted';
  }

  async giveBackTokens(reservationId: string, now: number): Promise<boolean> {
    return this.#release(reservationId, (reservation) => releaseTokens(reservation, now), now);
  }

  async settle(reservationId: string, now: number, used = 0): Promise<boolean> {
    return this.#release(reservationId, (reservation) => settled(reservation, used, now), now);
  }

  #release(
    id: string,
    rule: (current: Reservation | undefined) => Release | undefined,
    now: number,
  ): boolean {
    const current = this.#reservations.get(id);
    const release = rule(current);
    if (release === undefined) return false;
    for (const { name, amount, used } of release.ledgers)
      this.#change(name, (ledger) => settleOn(ledger!, id, amount, used, now), now);
    this.#reservations.set(id, { ...current!, ...release.reservation });
    return true;
  }

  async changeLedger(
    name: string,
    rule: (current: Ledger | undefined) => LedgerLessons | undefined,
    now: number,
  ): Promise<void> {
    this.#change(name, rule, now);
  }

  #change(name: string, rule: (current: Ledger | undefined) => object | undefined, now: number): void {
    const current = this.#ledgers.get(name);
    const changes = rule(plainCopy(current));
    if (changes === undefined) return;
    const ledger = { ...(current ?? newLedger(name, now)), ...changes, updatedAt: now };
    this.#ledgers.set(
      name,
      Object.fromEntries(
        Object.entries(ledger).filter(([, value]) => value !== undefined),
      ) as unknown as Ledger,
    );
  }

  async getBacklog(): Promise<string[]> {
    return [...(this.#backlog.get('scopes') ?? [])];
  }

  async changeBacklog(rule: (current: readonly string[]) => string[] | undefined): Promise<void> {
    const scopes = rule(await this.getBacklog());
    if (scopes !== undefined) this.#backlog.set('scopes', [...scopes]);
  }

  async *listReservations(): AsyncGenerator<Reservation> {
    const held = [...this.#reservations.values()].filter(({ state }) => state === 'held');
    yield* plainCopy(held.sort((one, other) => one.createdAt - other.createdAt));
  }

  async takeTurn(name: string, perHour: number, now: number): Promise<number> {
    const taken = takeTurnOf(this.#turns.get(name) ?? [], perHour, now);
    if ('waitMs' in taken) return taken.waitMs;
    this.#turns.set(name, taken.minutes);
    return 0;
  }

  async turnsLeft(name: string, perHour: number, now: number): Promise<number> {
    return turnsLeftOf(this.#turns.get(name) ?? [], perHour, now);
  }
}
