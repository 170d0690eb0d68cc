/** How a ledger changes when something is reserved on it and given back: pure, the same for the table and for memory. */
import type { BatchRecord, Ledger, Reservation } from '../model.ts';
import type { Demand } from '../ports.ts';

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
