/** How a ledger changes when something is reserved on it and given back: pure, the same for the table and for memory. */
import type { BatchRecord, Ledger, Reservation } from '../model.ts';
import type { Demand } from '../ports.ts';
import { isTokensLedger } from './scopes.ts';

/** The ledger with the demand reserved on it, or `undefined` if there is no room. */
export function reserveOn(standing: Ledger | undefined, demand: Demand, now: number): Ledger | undefined {
  const ledger = standing ?? newLedger(demand.ledger, now);
  return hasRoom(ledger, demand)
    ? { ...ledger, reserved: ledger.reserved + demand.amount, updatedAt: now }
    : undefined;
}

/** Whether there is room for a demand. */
export function hasRoom(ledger: Pick<Ledger, 'reserved' | 'used'>, demand: Demand): boolean {
  if (ledger.reserved + ledger.used + demand.amount <= demand.limit) return true;
  return demand.mayGoAlone === true && ledger.reserved === 0;
}

/** Whether nothing is reserved on a ledger, so that what comes is alone on it. */
export function isFirstOn(ledger: Pick<Ledger, 'reserved'> | undefined): boolean {
  return (ledger?.reserved ?? 0) === 0;
}

/** The ledger after `amount` of it was given back and `used` of it is spent for good. */
export function settleOn(ledger: Ledger, amount: number, used: number, now: number): Ledger {
  return {
    ...ledger,
    // Never below nothing, whatever a person did to the table.
    reserved: Math.max(0, ledger.reserved - amount),
    used: ledger.used + used,
    updatedAt: now,
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
