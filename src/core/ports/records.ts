/** The table: records of jobs and batches, and which worker may write what. */
import type { BatchKey, BatchRecord } from '../model/batch.ts';
import type { InputListing } from '../model/input-listing.ts';
import type { Job } from '../model/job.ts';
import type { KeptShutdowns } from '../model/shutdown.ts';
import type { Tombstone } from '../model/tombstone.ts';
import type { BatchTransition, JobTransition } from '../model/transition.ts';

/** Which live batches and jobs need to be looked at. */
export type LiveItem =
  | {
      kind: 'job';
      jobId: string;
      state: Job['state'];
      due: number;
      /** See {@link Job.waitsFor}. */
      waitsFor?: string | undefined;
      cancelledAt?: number | undefined;
    }
  | { kind: 'batch'; batch: BatchRecord; due: number };

/** A job, as it is recorded at a key without versions. */
export interface LatestJob {
  jobId: string;
  /** Epoch milliseconds, whole seconds. */
  lastModified: number;
}

/** Jobs and batches. Every write is conditional on what the caller read. */
export interface JobStore {
  /**
   * Records the job unless it exists; returns the one in the table.
   * @throws {JobForgottenError} if it was forgotten; nothing was written.
   */
  createJob(job: Job): Promise<Job>;
  getJob(jobId: string): Promise<Job | undefined>;
  /**
   * Leases the job to one worker until `until`, as {@link leaseBatch} does a batch; `undefined` if it is in another
   * state or another worker has it.
   */
  leaseJob(
    jobId: string,
    state: Job['state'],
    holder: string,
    now: number,
    until: number,
  ): Promise<Job | undefined>;
  /**
   * Writes a transition, if the job is in the state that it begins in and, where `holder` is given, is still leased
   * to it.
   * @returns the job as it is then; `undefined`: the expectation did not hold, nothing was written.
   */
  moveJob(jobId: string, transition: JobTransition, now: number, holder?: string): Promise<Job | undefined>;
  /**
   * Records the job that is the latest at a key of a bucket without versioning, unless a later one is recorded.
   * @param key bucket and key.
   * @returns the job that was the latest before it; `undefined` if there was none, if a later one is, or if two
   * objects were put within one second, so that their order is unknown. The same job gets the same answer again.
   */
  recordLatest(key: string, job: LatestJob): Promise<LatestJob | undefined>;
  /** Notes that a job is about to wait for its owner; once is enough. */
  addDuplicate(ownerId: string, jobId: string): Promise<void>;
  /** All jobs that were noted for an owner, whatever has become of them; in the order of their ids. */
  listDuplicates(ownerId: string): Promise<string[]>;
  /**
   * Records a new batch. `false`: it exists already, nothing was written.
   * @throws {JobForgottenError} if its job was forgotten or is being forgotten; nothing was written.
   */
  createBatch(batch: BatchRecord): Promise<boolean>;
  getBatch(jobId: string, batchId: string): Promise<BatchRecord | undefined>;
  /** Every batch of a job, consistent, ordered by batch id as text. */
  listBatches(jobId: string): Promise<BatchRecord[]>;
  /**
   * Writes a transition, if the batch is in the state that it begins in, names the batch at OpenAI that it is about,
   * and, where `holder` is given, is still leased to it.
   * @returns the batch as it is then; `undefined`: the expectation did not hold, nothing was written.
   */
  moveBatch(
    batch: BatchKey,
    transition: BatchTransition,
    now: number,
    holder?: string,
  ): Promise<BatchRecord | undefined>;
  /** Leases the batch to one worker until `until`; `undefined` if it is in another state or another worker has it. */
  leaseBatch(
    batch: BatchKey,
    state: BatchRecord['state'],
    holder: string,
    now: number,
    until: number,
  ): Promise<BatchRecord | undefined>;
  /** Planned batches, those of the oldest job first. A hint: the base record decides. */
  listWaiting(): AsyncIterable<BatchRecord>;
  /** Batches that wait at OpenAI. A hint: the base record decides. */
  listAtOpenAI(): AsyncIterable<BatchRecord>;
  /** Jobs and batches that are ours to move and have not moved by `now`. A hint: the base record decides. */
  listOverdue(now: number): AsyncIterable<LiveItem>;
  /**
   * Jobs that ended by `endedBy` and whose files below `work/` are not removed yet, those that ended first come
   * first. A hint: the base record decides.
   */
  listEnded(endedBy: number): AsyncIterable<Job>;
  /** Jobs that are being removed, those first whose removal began first. A hint: the base record decides. */
  listForgetting(): AsyncIterable<Job>;
  /** Looks at an overdue item again not before `due`. */
  postpone(item: LiveItem, due: number): Promise<void>;
  /**
   * Makes the lease on a batch hold until `until`, whatever state it is in. `false`: another worker has it, or none.
   */
  renewBatch(batch: BatchKey, holder: string, now: number, until: number): Promise<boolean>;
  /** The same for a job. */
  renewJob(jobId: string, holder: string, now: number, until: number): Promise<boolean>;
  /** Takes a named lease; the token grows with each holder. `undefined`: another worker holds it. */
  acquireLease(name: string, now: number, until: number): Promise<number | undefined>;
  /** Makes a named lease hold until `until`. `false`: it was given back, or another one has it. */
  renewLease(name: string, token: number, until: number): Promise<boolean>;
  /** Gives the lease back if the token still holds it. */
  releaseLease(name: string, token: number): Promise<void>;
  /** When a named lease was last taken, epoch ms, also if it has been given back since. `undefined`: never. */
  leaseTakenAt(name: string): Promise<number | undefined>;
  /**
   * Who may write the plain names of an input key. `granted`: this holder, until `until`; `superseded`: a version
   * with a greater `order`, or another owner, has published; `busy`: another holder is publishing.
   */
  acquirePublication(
    publication: Publication,
    now: number,
    until: number,
  ): Promise<'granted' | 'superseded' | 'busy'>;
  /**
   * Keeps others from writing the plain names of an input key until `until`, whichever version has published.
   * `busy`: another holder has them.
   */
  holdPublication(publication: Publication, now: number, until: number): Promise<'granted' | 'busy'>;
  /** Makes a publication hold until `until`. `false`: another holder took over, or it has ended. */
  renewPublication(publication: Publication, until: number): Promise<boolean>;
  /** Gives a publication back that did not come about; nothing is superseded by it. One that is not held is fine. */
  abandonPublication(publication: Publication): Promise<void>;
  /**
   * Ends a publication that this holder still has: from now on, versions with a smaller `order` are superseded.
   * `false`: its time had run out and another holder took over, so what was written may be another worker's by now.
   */
  releasePublication(publication: Publication): Promise<boolean>;
}

/** Removes the records of jobs for good. */
export interface JobGraves {
  /** What is left of a job that was forgotten; `undefined` if it was not. */
  getTombstone(jobId: string): Promise<Tombstone | undefined>;
  /**
   * Removes all records of a job: those of its batches first; last, in one step, its own for the tombstone. Safe to
   * repeat.
   */
  bury(tombstone: Tombstone): Promise<void>;
  /**
   * Forgets which version has published the plain names that this holder has; the names expire at `expiresAt` (epoch
   * ms), unless another worker writes them before. `false`: another holder took over, nothing was written.
   */
  forgetPublication(publication: Publication, expiresAt: number): Promise<boolean>;
  /** The same for the job that is recorded as the latest at a key without versions, if that is this job. */
  forgetLatest(key: string, job: LatestJob, expiresAt: number): Promise<void>;
}

/** How far the listing of inputs is. */
export interface ListingStore {
  /** `undefined` if there was none yet. */
  getListing(): Promise<InputListing | undefined>;
  /**
   * Writes what follows generation `next.generation - 1`.
   * @returns `false` if that is not the current one: another worker wrote, and nothing was written here.
   */
  putListing(next: InputListing): Promise<boolean>;
}

/** Shutdown dates of models, as the provider's list of models shows them. A hint: the provider's refusal decides. */
export interface ShutdownStore {
  /** `undefined` if none were kept yet for the key. */
  getShutdowns(apiKey: string): Promise<KeptShutdowns | undefined>;
  /** Writes what follows generation `next.generation - 1`; as {@link ListingStore.putListing}. */
  putShutdowns(next: KeptShutdowns): Promise<boolean>;
}

/** One worker's turn at the plain names of an input key. */
export interface Publication {
  /** The bucket and the names' common part. */
  name: string;
  /** Whose names they are: another input whose names come out the same never gets them. */
  owner: string;
  /** Sorts the versions of an input by age; compared as text. */
  order: string;
  /** A fresh id of this worker. */
  holder: string;
}
