/**
 * Leases: the one place that says for how long a worker owns what it has taken. A lease is short and is renewed
 * beside the work, so that what a dead worker held is free again in minutes, however long the work may take.
 *
 * A worker that could not renew finds out before its next side effect: {@link Lease.check} throws, and the writes that
 * carry the lease fail once another worker has it. See docs/adr/0020-short-leases.md.
 */
import type { OwnText } from '../../contract/event-fields.ts';
import { NotYetError } from '../base/errors.ts';
import { reasonOf } from '../base/own-text.ts';
import type { Ambient, Deadline, Sleep } from '../ports/ambient.ts';
import type { Telemetry } from '../ports/telemetry.ts';

/**
 * What a worker takes or renews now is its own for so long (ms). It outlasts two renewals that fail in a row, each of
 * which may take a minute (`REQUEST_TIMEOUT_MS` times `MAX_ATTEMPTS` in src/runtime/clients.ts, and the waits in
 * between).
 */
export const LEASE_MS = 3 * 60_000;

/** How much longer than its worker a lease may hold (ms), because clocks differ a little: Lambda keeps them by NTP. */
const BEYOND_WORKER_MS = 5_000;

/**
 * Until when (epoch ms) what a worker takes at `now` is its own: for the length of a lease, or as long as the worker
 * lives, if that is shorter. A function that is killed because its time is over leaves nothing that others have to
 * wait for.
 */
export function leaseUntil(now: number, deadline: Deadline): number {
  return now + Math.min(LEASE_MS, deadline.remainingMs() + BEYOND_WORKER_MS);
}

/** How often a lease is renewed (ms). A step that is shorter costs no renewal, and most are. */
export const RENEW_EVERY_MS = 30_000;

/**
 * No side effect begins so near to the end of a lease (ms): it must be over, and clocks differ, before another worker
 * may take over.
 */
export const LEASE_MARGIN_MS = 60_000;

/** When another worker may try again what this one had to leave (ms). */
const RETRY_MS = 60_000;

/** The lease ran out, or another worker has it: this one must not change anything any more. */
export class LeaseLostError extends NotYetError {
  constructor(what: string) {
    super(`the lease on ${what} was lost: it was not renewed in time, or another worker took over`, RETRY_MS);
  }
}

/** A lease that is being renewed. */
export interface Lease {
  /** Whether a side effect may begin. */
  isHeld(): boolean;
  /** @throws {LeaseLostError} if a side effect must not begin any more. */
  check(): void;
  /** The holder has given it back: what follows does not need it, and it is not renewed any more. */
  released(): void;
}

/** What renewing takes. */
export interface LeaseDeps {
  ambient: Pick<Ambient, 'now'>;
  heartbeat: Sleep;
  telemetry: Telemetry;
}

/** A lease that was taken. */
export interface HeldLease {
  /** What it is on, for messages: kind and id. */
  what: OwnText;
  /** Epoch ms until which it holds. */
  until: number;
  /** How long a renewal holds (ms). Default: {@link LEASE_MS}. */
  leaseMs?: number;
  /** It holds until its worker has been ended, whatever that does: it is not renewed. Default: `false`. */
  isForLife?: boolean;
  /** Makes it hold until `until`. `false`: another worker has it. */
  renew(now: number, until: number): Promise<boolean>;
}

/**
 * Does the work that a lease was taken for, and renews the lease meanwhile. Giving it back is up to `work`.
 * @returns what `work` gives, once no renewal is under way any more.
 */
export async function whileLeased<Result>(
  deps: LeaseDeps,
  held: HeldLease,
  work: (lease: Lease) => Promise<Result>,
): Promise<Result> {
  const lease = new RenewedLease(deps, held);
  const renewing = lease.keep();
  try {
    return await work(lease);
  } finally {
    lease.released();
    await renewing;
  }
}

class RenewedLease implements Lease {
  readonly #deps: LeaseDeps;
  readonly #held: HeldLease;
  #until: number;
  #isLost = false;
  readonly #ended = new AbortController();

  constructor(deps: LeaseDeps, held: HeldLease) {
    this.#deps = deps;
    this.#held = held;
    this.#until = held.until;
  }

  isHeld(): boolean {
    if (this.#ended.signal.aborted) return true;
    // Its worker must have been ended before a lease for life runs out.
    const marginMs = this.#held.isForLife ? 0 : LEASE_MARGIN_MS;
    return !this.#isLost && this.#deps.ambient.now() < this.#until - marginMs;
  }

  check(): void {
    if (!this.isHeld()) throw new LeaseLostError(this.#held.what);
  }

  released(): void {
    // With a reason of ours: without one, each abort makes an exception with its stack.
    this.#ended.abort('the lease is given back');
  }

  /** Renews until it is given back, or lost. Never rejects. */
  async keep(): Promise<void> {
    const { ambient, heartbeat, telemetry } = this.#deps;
    const { what, leaseMs = LEASE_MS, isForLife } = this.#held;
    if (isForLife) return;
    const ended = this.#ended.signal;
    while (!this.#isLost) {
      await heartbeat(RENEW_EVERY_MS, ended);
      if (ended.aborted) return;
      const now = ambient.now();
      const until = now + leaseMs;
      try {
        this.#isLost = !(await this.#held.renew(now, until));
        this.#until = until;
      } catch (error) {
        telemetry.record('renewal.failed', {
          lease: what,
          leftMs: this.#until - ambient.now(),
          reason: reasonOf(error),
        });
      }
    }
    // A lease that was released meanwhile has no owner, which is no loss.
    if (!ended.aborted) telemetry.record('lease.lost', { lease: what });
  }
}
