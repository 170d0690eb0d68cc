import { HOUR_MS, MINUTE_MS } from '../../contract/time.ts';
import { type Backoff, waitAfter } from '../base/backoff.ts';
import type { Park, ParkProof } from '../model/park.ts';

/**
 * When the first probe goes, and the most that lies between two: a refused create costs an upload at most, so it is tried
 * soon; a batch whose requests fail one by one has to run to its end.
 */
const PROBE_BACKOFF: Readonly<Record<ParkProof, Backoff>> = {
  created: { firstMs: 5 * MINUTE_MS, maxMs: 30 * MINUTE_MS },
  collected: { firstMs: 30 * MINUTE_MS, maxMs: 4 * HOUR_MS },
};

/** The park as it becomes. What goes wrong again while it stands (batches sent before it) changes the reason only. */
export function parked(
  standing: Park | undefined,
  scope: string,
  reason: string,
  provenBy: ParkProof,
  now: number,
): Park {
  if (standing?.isParked) {
    // What takes more to refute wins: a created batch says nothing of an account without credit.
    return { ...standing, reason, provenBy: stronger(standing.provenBy, provenBy), updatedAt: now };
  }
  const probeAt = now + PROBE_BACKOFF[provenBy].firstMs;
  return { v: 1, scope, isParked: true, reason, provenBy, parkedAt: now, probes: 0, probeAt, updatedAt: now };
}

/** The park with one more probe on its way, or `undefined` if none may go. */
export function probed(standing: Park | undefined, now: number): Park | undefined {
  if (!standing?.isParked || now < standing.probeAt) return undefined;
  const probes = standing.probes + 1;
  return {
    ...standing,
    probes,
    probeAt: now + waitAfter(PROBE_BACKOFF[standing.provenBy], probes + 1),
    updatedAt: now,
  };
}

/** The park lifted, or `undefined` if there is none or the proof does not refute it. */
export function unparked(standing: Park | undefined, proof: ParkProof, now: number): Park | undefined {
  if (!standing?.isParked || stronger(standing.provenBy, proof) !== proof) return undefined;
  return { ...standing, isParked: false, updatedAt: now };
}

function stronger(one: ParkProof, other: ParkProof): ParkProof {
  return one === 'collected' ? one : other;
}
