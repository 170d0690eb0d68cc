import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { PARTITIONS, TTL_ATTRIBUTE } from '../../contract/table.ts';
import { BatchdropError } from '../../core/base/errors.ts';
import { toAdmitted } from '../../core/lifecycle/batch-transitions.ts';
import type { BatchRecord } from '../../core/model/batch.ts';
import type { Ledger, Reservation } from '../../core/model/ledger.ts';
import { changesOf } from '../../core/model/transition.ts';
import type { Demand, LedgerLessons, QuotaStore } from '../../core/ports/quota.ts';
import {
  isFirstOn,
  newLedger,
  type Release,
  releaseTokens,
  reservationFor,
  reserveOn,
  settled,
  settleOn,
} from '../../core/scheduling/ledger.ts';
import { type MinuteOfTurns, takeTurnOf, turnsLeftOf } from '../../core/scheduling/turns.ts';
import { DynamoDBItems, type Item, indexAttributes, type Key } from './items.ts';
import { isAdmissible } from './job-rules.ts';
import { batchKey } from './jobs.ts';
import { liveEntryOfBatch } from './live-index.ts';
import { readBatch, readLedger, readReservation } from './record-schemas.ts';

const ledgerKey = (name: string): Key => ({ pk: `${PARTITIONS.ledger}${name}`, sk: 'LEDGER' });
const reservationKey = (id: string): Key => ({ pk: `${PARTITIONS.reservation}${id}`, sk: 'RESERVATION' });
const BACKLOG_KEY: Key = { pk: PARTITIONS.backlog, sk: 'BACKLOG' };
const turnsKey = (name: string): Key => ({ pk: `${PARTITIONS.turns}${name}`, sk: 'TURNS' });

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
    batch: Pick<BatchRecord, 'jobId' | 'batchId' | 'tier'>,
    reservationId: string,
    demands: readonly Demand[],
    now: number,
  ): Promise<'admitted' | 'full' | 'moved'> {
    let verdict: 'admitted' | 'full' | 'moved' = 'moved';
    this.#items.expectNone(reservationKey(reservationId));
    const keys = [
      batchKey(batch),
      reservationKey(reservationId),
      ...demands.map(({ ledger }) => ledgerKey(ledger)),
    ];
    await this.#items.changeAll(keys, ([batchItem, reservationItem, ...ledgerItems]) => {
      verdict = 'moved';
      const record =
        batchItem === undefined ? undefined : readBatch(batchItem, this.#items.nameOf(batchItem));
      if (record === undefined || !isAdmissible(record, batch) || reservationItem !== undefined)
        return undefined;
      const ledgers = demands.map((demand, index) =>
        reserveOn(this.#readLedger(ledgerItems[index]), demand, reservationId, now),
      );
      verdict = 'full';
      if (!ledgers.every((ledger) => ledger !== undefined)) return undefined;
      verdict = 'admitted';
      const isAlone = isFirstOn(this.#readLedger(ledgerItems[0]));
      const admitted = {
        ...changesOf(batchItem!, toAdmitted(record, reservationId, isAlone)),
        updatedAt: now,
      };
      const reservation = reservationFor(batch, reservationId, demands, now);
      return [
        { ...admitted, ...indexAttributes(liveEntryOfBatch({ ...record, ...admitted })) },
        { ...reservation, ...indexAttributes({ live: 'reserved', due: now }) },
        ...ledgers.map((ledger) => ({ ...ledger })),
      ];
    });
    return verdict;
  }

  async giveBackTokens(reservationId: string, now: number): Promise<boolean> {
    return this.#release(reservationId, (reservation) => releaseTokens(reservation, now), now);
  }

  async settle(reservationId: string, now: number, used = 0): Promise<boolean> {
    return this.#release(reservationId, (reservation) => settled(reservation, used, now), now);
  }

  /** The reservation and every ledger that `rule` names change in one transaction, or none of them. */
  async #release(
    id: string,
    rule: (current: Reservation | undefined) => Release | undefined,
    now: number,
  ): Promise<boolean> {
    const key = reservationKey(id);
    for (;;) {
      // What a reservation holds only becomes less: if nothing was left when it was last seen, nothing is.
      const found = rule(this.#readReservation(await this.#items.getSeen(key)));
      if (found === undefined) return false;
      let hasMoved = false;
      const keys = [key, ...found.ledgers.map(({ name }) => ledgerKey(name))];
      const isDone = await this.#items.changeAll(keys, ([item, ...ledgerItems]) => {
        const release = rule(this.#readReservation(item));
        // Another worker gave back a part of it in between, so these are not its ledgers any more.
        hasMoved = release !== undefined && release.ledgers.length !== found.ledgers.length;
        if (release === undefined || hasMoved) return undefined;
        return [
          { ...release.reservation, ...(release.reservation.state === 'settled' ? endOf(now) : {}) },
          ...release.ledgers.map(({ name, amount, used }, index) => {
            const ledger = this.#readLedger(ledgerItems[index]);
            if (ledger === undefined) throw new BatchdropError(`ledger ${name} is missing from the table`);
            return settleOn(ledger, id, amount, used, now);
          }),
        ];
      });
      // Amounts only become fewer, so this ends.
      if (!hasMoved) return isDone;
      await this.#items.get(key);
    }
  }

  async changeLedger(
    name: string,
    rule: (current: Ledger | undefined) => LedgerLessons | undefined,
    now: number,
  ): Promise<void> {
    await this.#items.change(ledgerKey(name), (item) => {
      const current = this.#readLedger(item);
      const lessons = rule(current);
      return lessons === undefined
        ? undefined
        : { ...(current ?? newLedger(name, now)), ...lessons, updatedAt: now };
    });
  }

  async getBacklog(): Promise<string[]> {
    return backlogOf(await this.#items.get(BACKLOG_KEY));
  }

  async changeBacklog(rule: (current: readonly string[]) => string[] | undefined): Promise<void> {
    await this.#items.change(BACKLOG_KEY, (current) => {
      const scopes = rule(backlogOf(current));
      return scopes === undefined ? undefined : { v: 1, scopes };
    });
  }

  async *listReservations(): AsyncGenerator<Reservation> {
    yield* this.#items.live('reserved', (item) => readReservation(item, this.#items.nameOf(item)));
  }

  async takeTurn(name: string, perHour: number, now: number): Promise<number> {
    let waitMs = 0;
    await this.#items.change(turnsKey(name), (current) => {
      const taken = takeTurnOf(minutesOf(current), perHour, now);
      waitMs = 'waitMs' in taken ? taken.waitMs : 0;
      return 'waitMs' in taken ? undefined : { v: 1, minutes: taken.minutes };
    });
    return waitMs;
  }

  async turnsLeft(name: string, perHour: number, now: number): Promise<number> {
    return turnsLeftOf(minutesOf(await this.#items.get(turnsKey(name))), perHour, now);
  }

  #readReservation(item: Item | undefined): Reservation | undefined {
    return item === undefined ? undefined : readReservation(item, this.#items.nameOf(item));
  }

  #readLedger(item: Item | undefined): Ledger | undefined {
    return item === undefined ? undefined : readLedger(item, this.#items.nameOf(item));
  }
}

/** What takes a settled reservation out of the index, and in the end out of the table. */
function endOf(now: number): Item {
  return {
    [TTL_ATTRIBUTE]: Math.ceil((now + SETTLED_KEPT_MS) / 1000),
    ...indexAttributes(undefined),
  };
}

function backlogOf(item: Item | undefined): string[] {
  return (item?.scopes ?? []) as string[];
}

function minutesOf(item: Item | undefined): MinuteOfTurns[] {
  return (item?.minutes ?? []) as MinuteOfTurns[];
}
