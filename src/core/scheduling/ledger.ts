import type { BatchRecord } from '../model/batch.ts';
import type { Ledger, Reservation } from '../model/ledger.ts';
import type { Demand } from '../ports/quota.ts';
import { isTokensLedger } from './scopes.ts';

/**
 * The ledger with the demand reserved on it, or `undefined` if there is no room.
 * @param id of the reservation.
 */
export function reserveOn(
  current: Ledger | undefined,
  demand: Demand,
  id: string,
  now: number,
): Ledger | undefined {
  const ledger = current ?? newLedger(demand.ledger, now);
  if (!hasRoom(ledger, demand)) return undefined;
  const reserved = { ...ledger, reserved: ledger.reserved + demand.amount, updatedAt: now };
  const { probe, amount, limit } = demand;
  if (probe === undefined || reserved.reserved + ledger.used <= limit) return reserved;
  const { jobId, bytes } = probe;
  return { ...reserved, unjudged: { ...ledger.unjudged, [id]: { jobId, tokens: amount, bytes } } };
}

/** Whether there is room for a demand. */
export function hasRoom(ledger: Pick<Ledger, 'reserved' | 'used' | 'unjudged'>, demand: Demand): boolean {
  const after = ledger.reserved + ledger.used + demand.amount;
  if (after <= demand.limit) return true;
  if (demand.allowWhenIdle === true && ledger.reserved === 0) return true;
  const { probe } = demand;
  if (probe === undefined || after > probe.most) return false;
  const unjudged = Object.values(ledger.unjudged ?? {});
  const ofJob = unjudged.filter(({ jobId }) => jobId === probe.jobId);
  const bytes = ofJob.reduce((sum, other) => sum + other.bytes, probe.bytes);
  return unjudged.length < probe.count && bytes <= probe.jobBytes;
}

/** The batches that are not judged yet, without one; `undefined` if none are left. */
export function unjudgedWithout(
  unjudged: Ledger['unjudged'],
  id: string | undefined,
): Ledger['unjudged'] | undefined {
  const others = Object.entries(unjudged ?? {}).filter(([other]) => other !== id);
  return others.length === 0 ? undefined : Object.fromEntries(others);
}

/** Whether nothing is reserved on a ledger, so that what comes is alone on it. */
export function isFirstOn(ledger: Pick<Ledger, 'reserved'> | undefined): boolean {
  return (ledger?.reserved ?? 0) === 0;
}

/**
 * How a ledger changes when `amount` of it is given back and `used` of it is spent for good.
 * @param id of the reservation.
 */
export function settleOn(ledger: Ledger, id: string, amount: number, used: number, now: number) {
  return {
    // Never below nothing, whatever a person did to the table.
    reserved: Math.max(0, ledger.reserved - amount),
    used: ledger.used + used,
    updatedAt: now,
    ...(ledger.unjudged === undefined ? {} : { unjudged: unjudgedWithout(ledger.unjudged, id) }),
  };
}

/** What a reservation becomes, and what its ledgers lose and book. */
export interface Release {
  reservation: Pick<Reservation, 'state' | 'amounts' | 'updatedAt'>;
  ledgers: { name: string; amount: number; used: number }[];
}

/** Gives back what a reservation holds of enqueued tokens; `undefined`: nothing. */
export function releaseTokens(reservation: Reservation | undefined, now: number): Release | undefined {
  if (reservation?.state !== 'held') return undefined;
  const given = reservation.amounts.filter(({ ledger }) => isTokensLedger(ledger));
  if (given.length === 0) return undefined;
  const kept = reservation.amounts.filter(({ ledger }) => !isTokensLedger(ledger));
  return {
    reservation:
      kept.length === 0
        ? { state: 'settled', amounts: given, updatedAt: now }
        : { state: 'held', amounts: kept, updatedAt: now },
    ledgers: given.map(({ ledger: name, amount }) => ({ name, amount, used: 0 })),
  };
}

/** Gives everything back and books `used` wherever something can be used up; `undefined`: it was settled before. */
export function settled(
  reservation: Reservation | undefined,
  used: number,
  now: number,
): Release | undefined {
  if (reservation?.state !== 'held') return undefined;
  const { amounts } = reservation;
  return {
    reservation: { state: 'settled', amounts, updatedAt: now },
    ledgers: amounts.map(({ ledger: name, amount }) => ({
      name,
      amount,
      used: isTokensLedger(name) ? 0 : used,
    })),
  };
}

/** A ledger on which nothing was ever written. */
export function newLedger(name: string, now: number): Ledger {
  return { v: 1, name, reserved: 0, used: 0, updatedAt: now };
}

/** What is held for a batch from its admission on. */
export function reservationFor(
  { jobId, batchId }: Pick<BatchRecord, 'jobId' | 'batchId'>,
  reservationId: string,
  demands: readonly Demand[],
  now: number,
): Reservation {
  return {
    v: 1,
    reservationId,
    jobId,
    batchId,
    state: 'held',
    amounts: demands.map(({ ledger, amount }) => ({ ledger, amount })),
    createdAt: now,
    updatedAt: now,
  };
}
