/** Reservations of batches that have left OpenAI, given back where the worker that should have done it died. */
import type { BatchRecord } from '../model/batch.ts';
import type { Reservation } from '../model/ledger.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { QuotaStore } from '../ports/quota.ts';
import type { JobStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { microdollarsOf } from '../pricing/bill.ts';

interface HealDeps {
  jobs: Pick<JobStore, 'acquireLease' | 'getBatch'>;
  quota: Pick<QuotaStore, 'listReservations' | 'settle' | 'giveBackTokens'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** How often reservations are held against their batches. */
const HEAL_EVERY_MS = 60 * 60_000;

/**
 * Settles reservations of batches that have left OpenAI: the worker that moved them died before it could. Once
 * an hour, for all workers together.
 */
export async function healReservations(deps: HealDeps): Promise<void> {
  const now = deps.ambient.now();
  // Not given back: it is the clock.
  if ((await deps.jobs.acquireLease('reservations', now, now + HEAL_EVERY_MS)) === undefined) return;
  for await (const reservation of deps.quota.listReservations()) {
    const { reservationId, jobId, batchId } = reservation;
    const batch = await deps.jobs.getBatch(jobId, batchId);
    if (await release(deps, reservation, batch))
      deps.telemetry.record('reservation.released', { jobId, batchId, reservationId });
  }
}

const ON_ITS_WAY: ReadonlySet<BatchRecord['state']> = new Set([
  'admitted',
  'uploaded',
  'submitting',
  'submitted',
]);

/**
 * Gives back what a reservation need not hold any more. Money is live for longer than tokens: until the batch is
 * collected, and with it what it cost. An attempt that the batch has left behind cost nothing: see `toWaiting`.
 */
async function release(
  { quota, ambient }: Pick<HealDeps, 'quota' | 'ambient'>,
  { reservationId }: Reservation,
  batch: BatchRecord | undefined,
): Promise<boolean> {
  if (batch?.admission?.reservation !== reservationId) return quota.settle(reservationId, ambient.now());
  if (ON_ITS_WAY.has(batch.state)) return false;
  return batch.state === 'ended'
    ? quota.giveBackTokens(reservationId, ambient.now())
    : quota.settle(reservationId, ambient.now(), microdollarsOf(batch));
}
