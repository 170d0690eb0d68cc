/** Ledgers of what is limited, and scopes that are suspended. */
import type { BatchRecord } from '../model/batch.ts';
import type { Ledger, Reservation } from '../model/ledger.ts';
import type { Suspension, SuspensionProof } from '../model/suspension.ts';

/** How much of a ledger is wanted. */
export interface Demand {
  ledger: string;
  amount: number;
  /** Granted if everything reserved and used, with `amount`, is not above this. */
  limit: number;
  /** Granted beyond the limit, too, if nothing else is reserved. */
  allowWhenIdle?: boolean;
  /** Granted beyond the limit, too, to see whether OpenAI takes it. */
  probe?: Probe;
}

/** How a batch may be sent beyond what is proven. */
export interface Probe {
  jobId: string;
  bytes: number;
  /** So many may be unjudged at a time, with this one. */
  count: number;
  /** So many bytes of its job may be unjudged at a time, with this one. */
  jobBytes: number;
  /** Everything reserved and used, with this one, must not be above this. */
  most: number;
}

/**
 * Who may have how much of what is limited. Reservations and ledgers change together or not at all, so that their sums
 * always agree.
 */
export interface QuotaStore {
  /** `undefined` if nothing was ever written on it. */
  getLedger(name: string): Promise<Ledger | undefined>;
  /**
   * `planned -> admitted`: in one step, the batch moves on and all that it demands is reserved.
   * `full`: a ledger has no room; `moved`: the batch is not waiting any more, or in another tier than the one that was
   * judged. Nothing was written then.
   */
  admit(
    batch: Pick<BatchRecord, 'jobId' | 'batchId' | 'tier'>,
    reservationId: string,
    demands: readonly Demand[],
    now: number,
  ): Promise<'admitted' | 'full' | 'moved'>;
  /**
   * Gives back the enqueued tokens that a reservation holds; money stays held. `false`: it holds none (any more).
   */
  giveBackTokens(reservationId: string, now: number): Promise<boolean>;
  /**
   * Gives back all that a reservation still holds and books `used` on every ledger of it that is not one of tokens.
   * `false`: it was settled before, or never made; nothing was written.
   * @param used millionths of a USD. Default: 0.
   */
  settle(reservationId: string, now: number, used?: number): Promise<boolean>;
  /** Changes what is known of a ledger's limit, by a rule that may be asked again; `undefined` leaves it. */
  changeLedger(
    name: string,
    rule: (current: Ledger | undefined) => LedgerLessons | undefined,
    now: number,
  ): Promise<void>;
  /**
   * The scopes that batches waited for when all that waits was last looked at, see `backlogScopesOf`. A hint, so that
   * what comes next does not have to look at all of it again.
   */
  getBacklog(): Promise<string[]>;
  /** Changes that, by a rule that may be asked again; `undefined` leaves it. */
  changeBacklog(rule: (current: readonly string[]) => string[] | undefined): Promise<void>;
  /** Reservations that are not settled, oldest first. A hint: the base record decides. */
  listReservations(): AsyncIterable<Reservation>;
  /**
   * One of `perHour` turns that any 60 minutes have.
   * @returns 0 if it was granted and is counted, else the milliseconds until one may be free.
   */
  takeTurn(name: string, perHour: number, now: number): Promise<number>;
  /** How many turns are free at `now`. */
  turnsLeft(name: string, perHour: number, now: number): Promise<number>;
}

/** What a ledger learns from OpenAI's answers. */
export type LedgerLessons = {
  [Lesson in
    | 'limit'
    | 'limitLearnedAt'
    | 'ceiling'
    | 'refusals'
    | 'lastRefusal'
    | 'pausedUntil'
    | 'unjudged'
    | 'probes'
    | 'refusedAt'
    | 'sharedAt'
    | 'pace'
    | 'notOfferedAt']?: Ledger[Lesson] | undefined;
};

/** Scopes whose batches wait for a person. */
export interface SuspensionStore {
  /** The suspension of a scope; `undefined` if it is not suspended. */
  getSuspension(scope: string): Promise<Suspension | undefined>;
  /** The suspensions of everything that is sent with an API key: of the key itself, and of its models. */
  getSuspensions(apiKey: string): Promise<Suspension[]>;
  /** Suspends a scope; one that is suspended already changes its reason only. */
  suspend(scope: string, reason: string, provenBy: SuspensionProof, now: number): Promise<void>;
  /** Takes the right to send one batch of a suspended scope. `false`: it is not time yet, or the right is taken. */
  takeProbe(scope: string, now: number): Promise<boolean>;
  /** Lifts a suspension that `proof` refutes. `false`: there was none, or it takes more to refute it. */
  lift(scope: string, proof: SuspensionProof, now: number): Promise<boolean>;
}
