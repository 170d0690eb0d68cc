/**
 * A batch or a job that this worker has leased: the record, the lease and the transitions that its holder may make.
 * Steps see nothing of the lease but that it may be lost.
 */
import type { DropLimits } from '../../contract/drop-limits.ts';
import type { OwnText } from '../../contract/event-fields.ts';
import { NotYetError } from '../base/errors.ts';
import { ownText } from '../base/own-text.ts';
import type { BatchKey, BatchRecord, BatchState } from '../model/batch.ts';
import type { Job } from '../model/job.ts';
import type { BatchTransition, JobTransition } from '../model/transition.ts';
import type { Ambient, Deadline } from '../ports/ambient.ts';
import type { DropTurnStore } from '../ports/drops.ts';
import type { Delivery } from '../ports/outbox.ts';
import type { JobStore } from '../ports/records.ts';
import { toReleased } from './batch-transitions.ts';
import { type GuardedPorts, guardPorts } from './guarded-ports.ts';
import { toReleased as toJobReleased } from './job-transitions.ts';
import { type HeldLease, LEASE_MS, type Lease, type LeaseDeps, leaseUntil, whileLeased } from './lease.ts';
import { type FailureDeps, recordFailure } from './step-failure.ts';

/** What leasing takes. */
export interface LeasingDeps {
  jobs: JobStore;
  ambient: Ambient;
  deadline: Deadline;
}

/** When another worker may try again what this one had to leave (ms). */
const RETRY_MS = 60_000;

/** The record is not this worker's any more: nothing was written. */
export class TakenOverError extends NotYetError {
  constructor(what: string) {
    super(`${what} was taken over by another worker`, RETRY_MS);
  }
}

interface Leasable {
  lease?: { holder: string; until: number };
  updatedAt: number;
}

abstract class Leased<Record extends Leasable, Transition extends { clear: readonly string[] }> {
  /** A fresh id of this worker. */
  readonly holder: string;
  readonly #ambient: Pick<Ambient, 'now'>;
  #record: Record;
  /** While {@link work} does. */
  #lease: Lease | undefined;

  protected constructor(record: Record, ambient: Pick<Ambient, 'now'>) {
    this.#record = record;
    this.holder = record.lease!.holder;
    this.#ambient = ambient;
  }

  /** The record as this worker read or wrote it last. */
  get record(): Record {
    return this.#record;
  }

  protected abstract readonly what: OwnText;
  protected abstract write(transition: Transition, now: number): Promise<Record | undefined>;
  protected abstract renew(now: number, until: number): Promise<boolean>;

  /**
   * Does the work that it was leased for, and renews the lease meanwhile.
   * @param work gets `deps` with ports whose side effects throw {@link LeaseLostError} once the lease is lost. A
   * transition that gives the record back ends the lease.
   */
  work<Deps extends LeaseDeps & GuardedPorts, Result>(
    deps: Deps,
    work: (deps: Deps) => Promise<Result>,
  ): Promise<Result> {
    const { lease, updatedAt } = this.#record;
    const held: HeldLease = {
      what: this.what,
      until: lease!.until,
      // What is leased for less than a lease takes is leased for as long as the worker lives.
      isForLife: lease!.until < updatedAt + LEASE_MS,
      renew: (now, until) => this.renew(now, until),
    };
    return whileLeased(deps, held, (own) => {
      this.#lease = own;
      return work(guardPorts(deps, own));
    });
  }

  /** Whether this worker has given it back, by whichever transition. */
  get isReleased(): boolean {
    return this.#record.lease?.holder !== this.holder;
  }

  /** Whether a side effect may begin. */
  get isHeld(): boolean {
    return this.#lease?.isHeld() ?? true;
  }

  /**
   * Writes a transition.
   * @returns the record as it is then.
   * @throws {TakenOverError} if another worker has it, or it is in another state; nothing was written.
   */
  async move(transition: Transition): Promise<Record> {
    return this.adopt(await this.write(transition, this.#ambient.now()));
  }

  /** Takes over what was written; `undefined`: nothing was. */
  protected adopt(written: Record | undefined): Record {
    if (written === undefined) throw new TakenOverError(this.what);
    this.#record = written;
    if (this.isReleased) this.#lease?.released();
    return written;
  }

  /** Writes a transition that does not matter to a worker that has been followed by another one. */
  async tryMove(transition: Transition): Promise<boolean> {
    try {
      await this.move(transition);
      return true;
    } catch (error) {
      if (error instanceof TakenOverError) return false;
      throw error;
    }
  }
}

/** A batch that this worker has. */
export class LeasedBatch extends Leased<BatchRecord, BatchTransition> {
  readonly #jobs: JobStore;
  protected readonly what: OwnText;

  private constructor(jobs: JobStore, batch: BatchRecord, ambient: Pick<Ambient, 'now'>) {
    super(batch, ambient);
    this.#jobs = jobs;
    this.what = ownText`batch ${batch.batchId} of job ${batch.jobId}`;
  }

  /** Leases a batch; `undefined` if it is in another state or another worker has it. */
  static async lease(
    { jobs, ambient, deadline }: LeasingDeps,
    key: BatchKey,
    state: BatchState,
  ): Promise<LeasedBatch | undefined> {
    const holder = ambient.nonce();
    const now = ambient.now();
    const batch = await jobs.leaseBatch(key, state, holder, now, leaseUntil(now, deadline));
    return batch === undefined ? undefined : new LeasedBatch(jobs, batch, ambient);
  }

  protected write(transition: BatchTransition, now: number): Promise<BatchRecord | undefined> {
    return this.#jobs.moveBatch(this.record, transition, now, this.holder);
  }

  protected renew(now: number, until: number): Promise<boolean> {
    return this.#jobs.renewBatch(this.record, this.holder, now, until);
  }

  /**
   * Gives the batch back after an error.
   * @param sendAgain puts the same message on its queue once more.
   * @returns whether the message is done with; otherwise the caller throws the error.
   */
  fail(
    deps: Omit<FailureDeps, 'jobs'>,
    error: unknown,
    sendAgain: (delivery: Delivery) => Promise<void>,
  ): Promise<boolean> {
    const { ambient, telemetry } = deps;
    return recordFailure(
      { jobs: this.#jobs, ambient, telemetry },
      this.record,
      this.holder,
      error,
      sendAgain,
    );
  }

  /** Gives the batch back as it is. */
  async release(): Promise<void> {
    await this.tryMove(toReleased(this.record));
  }
}

/** A job that this worker has. */
export class LeasedJob extends Leased<Job, JobTransition> {
  readonly #jobs: JobStore;
  protected readonly what: OwnText;

  private constructor(jobs: JobStore, job: Job, ambient: Pick<Ambient, 'now'>) {
    super(job, ambient);
    this.#jobs = jobs;
    this.what = ownText`job ${job.jobId}`;
  }

  /** Leases a job; `undefined` if it is in another state or another worker has it. */
  static async lease(
    { jobs, ambient, deadline }: LeasingDeps,
    jobId: string,
    state: Job['state'],
  ): Promise<LeasedJob | undefined> {
    const holder = ambient.nonce();
    const now = ambient.now();
    const job = await jobs.leaseJob(jobId, state, holder, now, leaseUntil(now, deadline));
    return job === undefined ? undefined : new LeasedJob(jobs, job, ambient);
  }

  protected write(transition: JobTransition, now: number): Promise<Job | undefined> {
    return this.#jobs.moveJob(this.record.jobId, transition, now, this.holder);
  }

  protected renew(now: number, until: number): Promise<boolean> {
    return this.#jobs.renewJob(this.record.jobId, this.holder, now, until);
  }

  /**
   * Takes the file's turn among those of its route, or has it wait, and so gives it back.
   * @throws {TakenOverError} as {@link move}.
   */
  async takeDropTurn(
    drops: Pick<DropTurnStore, 'takeDropTurn'>,
    limits: DropLimits | undefined,
    now: number,
  ): Promise<Job> {
    const { jobId, route } = this.record;
    return this.adopt(
      await drops.takeDropTurn({ jobId, route: route.name, limits, holder: this.holder }, now),
    );
  }

  /** Gives the job back as it is. */
  async release(): Promise<void> {
    await this.tryMove(toJobReleased(this.record));
  }
}
