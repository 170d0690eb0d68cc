import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { TTL_ATTRIBUTE } from '../contract/table.ts';
import { newLedger, reservationFor, reserveOn, settleOn } from '../core/admission/ledger.ts';
import { type MinuteOfTurns, takeTurnOf, turnsLeftOf } from '../core/admission/turns.ts';
import { BatchdropError } from '../core/errors.ts';
import type { BatchRecord, Ledger, Reservation } from '../core/model.ts';
import type { Demand, LedgerLessons, QuotaStore } from '../core/ports.ts';
import { DynamoDBItems, type Item, indexAttributes, type Key } from './dynamodb-items.ts';
import { batchKey } from './dynamodb-jobs.ts';
import { admittedWith } from './job-rules.ts';
import { liveEntryOfBatch } from './live-index.ts';
import { readBatch, readLedger, readReservation } from './record-schemas.ts';

const ledgerKey = (name: string): Key => ({ pk: `LEDGER#${name}`, sk: 'LEDGER' });
const reservationKey = (id: string): Key => ({ pk: `RESERVATION#${id}`, sk: 'RESERVATION' });
const turnsKey = (name: string): Key => ({ pk: `TURNS#${name}`, sk: 'TURNS' });

/** How long a settled reservation is kept, for a person who wants to know. */
const SETTLED_KEPT_MS = 7 * 24 * 60 * 60_000;

/** {@link QuotaStore} on the table: a reservation, its ledgers and the batch's row change in one transaction. */
export class DynamoDBQuota implements QuotaStore {
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#items = new DynamoDBItems(client, names);
  }

  async getLedger(name: string): Promise<Ledger | undefined> {
    return this.#readLedger(await this.#items.get(ledgerKey(name)));
  }

  async admit(
    batch: Pick<BatchRecord, 'jobId' | 'batchId'>,
    reservationId: string,
    demands: readonly Demand[],
    now: number,
  ): Promise<'admitted' | 'full' | 'moved'> {
    let verdict: 'admitted' | 'full' | 'moved' = 'moved';
    const keys = [
      batchKey(batch),
      reservationKey(reservationId),
      ...demands.map(({ ledger }) => ledgerKey(ledger)),
    ];
    await this.#items.changeAll(keys, ([batchItem, reservationItem, ...ledgerItems]) => {
      verdict = 'moved';
      const record =
        batchItem === undefined ? undefined : readBatch(batchItem, this.#items.nameOf(batchItem));
      if (record?.state !== 'planned' || reservationItem !== undefined) return undefined;
      const ledgers = demands.map((demand, index) =>
        reserveOn(this.#readLedger(ledgerItems[index]), demand, now),
      );
      verdict = 'full';
      if (!ledgers.every((ledger) => ledger !== undefined)) return undefined;
      verdict = 'admitted';
      const admitted = admittedWith(reservationId, now);
      const reservation = reservationFor(batch, reservationId, demands, now);
      return [
        { ...admitted, ...indexAttributes(liveEntryOfBatch({ ...record, ...admitted })) },
        { ...reservation, ...indexAttributes({ live: 'reserved', due: now }) },
        ...ledgers.map((ledger) => ({ ...ledger })),
      ];
    });
    return verdict;
  }

  async settle(
    reservationId: string,
    now: number,
    used: Readonly<Record<string, number>> = {},
  ): Promise<boolean> {
    const standing = await this.#items.get(reservationKey(reservationId));
    if (standing === undefined) return false;
    const { amounts } = readReservation(standing, this.#items.nameOf(standing));
    const keys = [reservationKey(reservationId), ...amounts.map(({ ledger }) => ledgerKey(ledger))];
    return this.#items.changeAll(keys, ([item, ...ledgerItems]) => {
      if (item === undefined || readReservation(item, this.#items.nameOf(item)).state !== 'held')
        return undefined;
      const settled = {
        state: 'settled',
        updatedAt: now,
        [TTL_ATTRIBUTE]: Math.ceil((now + SETTLED_KEPT_MS) / 1000),
        ...indexAttributes(undefined),
      };
      return [
        settled,
        ...amounts.map(({ ledger: name, amount }, index) => {
          const ledger = this.#readLedger(ledgerItems[index]);
          if (ledger === undefined) throw new BatchdropError(`ledger ${name} is missing from the table`);
          return { ...settleOn(ledger, amount, used[name] ?? 0, now) };
        }),
      ];
    });
  }

  async changeLedger(
    name: string,
    rule: (standing: Ledger | undefined) => LedgerLessons | undefined,
    now: number,
  ): Promise<void> {
    await this.#items.change(ledgerKey(name), (item) => {
      const standing = this.#readLedger(item);
      const lessons = rule(standing);
      return lessons === undefined
        ? undefined
        : { ...(standing ?? newLedger(name, now)), ...lessons, updatedAt: now };
    });
  }

  async *listReservations(): AsyncGenerator<Reservation> {
    yield* this.#items.live('reserved', (item) => readReservation(item, this.#items.nameOf(item)));
  }

  async takeTurn(name: string, perHour: number, now: number): Promise<number> {
    let waitMs = 0;
    await this.#items.change(turnsKey(name), (standing) => {
      const taken = takeTurnOf(minutesOf(standing), perHour, now);
      waitMs = 'waitMs' in taken ? taken.waitMs : 0;
      return 'waitMs' in taken ? undefined : { v: 1, minutes: taken.minutes };
    });
    return waitMs;
  }

  async turnsLeft(name: string, perHour: number, now: number): Promise<number> {
    return turnsLeftOf(minutesOf(await this.#items.get(turnsKey(name))), perHour, now);
  }

  #readLedger(item: Item | undefined): Ledger | undefined {
    return item === undefined ? undefined : readLedger(item, this.#items.nameOf(item));
  }
}

function minutesOf(item: Item | undefined): MinuteOfTurns[] {
  return (item?.minutes ?? []) as MinuteOfTurns[];
}
