import { HOUR_MS, MINUTE_MS } from '../../contract/time.ts';
import { type Backoff, waitAfter } from '../base/backoff.ts';
import type { Suspension, SuspensionProof } from '../model/suspension.ts';

/**
 * When the first probe goes, and the most that lies between two: a refused create costs an upload at most, so it is
 * tried soon; a batch whose requests fail one by one has to run to its end.
 */
const PROBE_BACKOFF: Readonly<Record<SuspensionProof, Backoff>> = {
  created: { firstMs: 5 * MINUTE_MS, maxMs: 30 * MINUTE_MS },
  collected: { firstMs: 30 * MINUTE_MS, maxMs: 4 * HOUR_MS },
};

/** The scope suspended. Another error meanwhile (of a batch sent before) changes the reason only. */
export function suspended(
  current: Suspension | undefined,
  scope: string,
  reason: string,
  provenBy: SuspensionProof,
  now: number,
): Suspension {
  if (current?.isSuspended) {
    // What takes more to refute wins: a created batch says nothing of an account without credit.
    return {
      ...current,
      reason,
      saidAt: now,
      provenBy: stronger(current.provenBy, provenBy),
      updatedAt: now,
    };
  }
  const probeAt = now + PROBE_BACKOFF[provenBy].firstMs;
  return {
    v: 1,
    scope,
    isSuspended: true,
    reason,
    saidAt: now,
    provenBy,
    suspendedAt: now,
    probes: 0,
    probeAt,
    updatedAt: now,
  };
}

/** The suspension with one more probe on its way, or `undefined` if none may go. */
export function probed(current: Suspension | undefined, now: number): Suspension | undefined {
  if (!current?.isSuspended || now < current.probeAt) return undefined;
  const probes = current.probes + 1;
  return {
    ...current,
    probes,
    probeAt: now + waitAfter(PROBE_BACKOFF[current.provenBy], probes + 1),
    updatedAt: now,
  };
}

/** The suspension lifted, or `undefined` if there is none or the proof does not refute it. */
export function lifted(
  current: Suspension | undefined,
  proof: SuspensionProof,
  now: number,
): Suspension | undefined {
  if (!current?.isSuspended || stronger(current.provenBy, proof) !== proof) return undefined;
  return { ...current, isSuspended: false, updatedAt: now };
}

function stronger(one: SuspensionProof, other: SuspensionProof): SuspensionProof {
  return one === 'collected' ? one : other;
}
