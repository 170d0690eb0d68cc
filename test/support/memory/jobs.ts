import {
  afterPublication,
  decideHold,
  decidePublication,
  isAdmissible,
  isAsExpected,
  isLatestOf,
  isLeasable,
  type LatestState,
  type LeaseState,
  type PublicationState,
  recordedLatest,
  renewedHolder,
  renewedLease,
  takeLease,
} from '../../../src/adapters/dynamodb/job-rules.ts';
import {
  type LiveEntry,
  liveEntryOfBatch,
  liveEntryOfJob,
  liveJobOf,
  liveOfWaitingDrops,
} from '../../../src/adapters/dynamodb/live-index.ts';
import { JobForgottenError } from '../../../src/core/base/errors.ts';
import { toAdmitted } from '../../../src/core/lifecycle/batch-transitions.ts';
import type { BatchKey, BatchRecord } from '../../../src/core/model/batch.ts';
import type { Job } from '../../../src/core/model/job.ts';
import { type BatchTransition, changesOf, type JobTransition } from '../../../src/core/model/transition.ts';
import type { JobStore, LatestJob, LiveItem, Publication } from '../../../src/core/ports/records.ts';
import { plainCopy } from '../plain-copy.ts';

/** A record with its place in the index. */
interface Stored<Record> {
  record: Record;
  live: LiveEntry;
}

/** {@link JobStore} in memory. Gives and takes copies, as a table does. */
export class MemoryJobs implements JobStore {
  readonly #jobs = new Map<string, Stored<Job>>();
  /** By job, then by batch. */
  readonly #batches = new Map<string, Map<string, Stored<BatchRecord>>>();
  readonly #leases = new Map<string, LeaseState>();
  /** The job that is the latest at each key without versions. */
  readonly #latest = new Map<string, LatestState>();
  /** By owner. */
  readonly #duplicates = new Map<string, string[]>();
  readonly #publications = new Map<string, PublicationState>();
  /** Jobs that have a tombstone. */
  readonly #forgotten = new Map<string, true>();

  /** What stands now. Call what this gives to go back to it, as a table that is restored to a point in time. */
  snapshot(): () => void {
    const maps = [
      this.#jobs,
      this.#batches,
      this.#leases,
      this.#latest,
      this.#duplicates,
      this.#publications,
      this.#forgotten,
    ];
    return snapshotOf(maps as Map<string, unknown>[]);
  }

  async createJob(job: Job): Promise<Job> {
    if (this.#forgotten.has(job.jobId)) throw new JobForgottenError(job.jobId);
    if (!this.#jobs.has(job.jobId)) this.#storeJob(job);
    return plainCopy(this.#jobs.get(job.jobId)!.record);
  }

  async getJob(jobId: string): Promise<Job | undefined> {
    return plainCopy(this.#jobs.get(jobId)?.record);
  }

  async leaseJob(
    jobId: string,
    state: Job['state'],
    holder: string,
    now: number,
    until: number,
  ): Promise<Job | undefined> {
    const current = this.#jobs.get(jobId);
    if (current === undefined || !isLeasable(current.record, state, holder, now)) return undefined;
    return this.#changeJob(current.record, { lease: { holder, until }, updatedAt: now });
  }

  async moveJob(
    jobId: string,
    transition: JobTransition,
    now: number,
    holder?: string,
  ): Promise<Job | undefined> {
    const record = this.#jobs.get(jobId)?.record;
    if (record === undefined || !isAsExpected(record, transition, holder)) return undefined;
    return this.#changeJob(record, { ...changesOf(record, transition), updatedAt: now });
  }

  /** Writes what becomes of a job's turn, for {@link MemoryDropTurns}; nothing can come in between. */
  changeTurn(jobId: string, now: number, rule: (job: Job) => JobTransition | undefined): Job | undefined {
    const record = this.#jobs.get(jobId)?.record;
    const transition = record === undefined ? undefined : rule(plainCopy(record));
    if (transition === undefined) return undefined;
    return this.#changeJob(record!, { ...changesOf(record!, transition), updatedAt: now });
  }

  /** Jobs that wait for the limits of a route. */
  async *listWaitingDrops(route: string): AsyncGenerator<Job> {
    for (const item of this.#live(liveOfWaitingDrops(route)))
      if (item.kind === 'job') yield plainCopy(this.#jobs.get(item.jobId)!.record);
  }

  async recordLatest(key: string, job: LatestJob): Promise<LatestJob | undefined> {
    const { next, before } = recordedLatest(this.#latest.get(key), job);
    if (next !== undefined) this.#latest.set(key, plainCopy(next));
    return plainCopy(before);
  }

  async addDuplicate(ownerId: string, jobId: string): Promise<void> {
    this.#duplicates.set(ownerId, [...new Set([...(this.#duplicates.get(ownerId) ?? []), jobId])].sort());
  }

  async listDuplicates(ownerId: string): Promise<string[]> {
    return [...(this.#duplicates.get(ownerId) ?? [])];
  }

  async createBatch(batch: BatchRecord): Promise<boolean> {
    if (this.#findBatch(batch) !== undefined) return false;
    const { jobId } = batch;
    if (this.#forgotten.has(jobId) || this.#jobs.get(jobId)?.record.forgettingAt !== undefined)
      throw new JobForgottenError(jobId);
    this.#storeBatch(batch);
    return true;
  }

  async getBatch(jobId: string, batchId: string): Promise<BatchRecord | undefined> {
    return plainCopy(this.#findBatch({ jobId, batchId })?.record);
  }

  async listBatches(jobId: string): Promise<BatchRecord[]> {
    return [...(this.#batches.get(jobId)?.values() ?? [])]
      .map(({ record }) => plainCopy(record))
      .sort((one, other) => (one.batchId < other.batchId ? -1 : 1));
  }

  async moveBatch(
    batch: BatchKey,
    transition: BatchTransition,
    now: number,
    holder?: string,
  ): Promise<BatchRecord | undefined> {
    const record = this.#findBatch(batch)?.record;
    if (record === undefined || !isAsExpected(record, transition, holder)) return undefined;
    return this.#changeBatch(record, { ...changesOf(record, transition), updatedAt: now });
  }

  /** `planned -> admitted`, for {@link MemoryQuota}; nothing can come in between. */
  admitBatch(
    batch: BatchKey & Pick<BatchRecord, 'tier'>,
    reservation: string,
    isAlone: boolean,
    now: number,
  ): boolean {
    const current = this.#findBatch(batch);
    if (current === undefined || !isAdmissible(current.record, batch)) return false;
    const admitted = changesOf(current.record, toAdmitted(current.record, reservation, isAlone));
    this.#changeBatch(current.record, { ...admitted, updatedAt: now });
    return true;
  }

  async leaseBatch(
    batch: BatchKey,
    state: BatchRecord['state'],
    holder: string,
    now: number,
    until: number,
  ): Promise<BatchRecord | undefined> {
    const current = this.#findBatch(batch);
    if (current === undefined || !isLeasable(current.record, state, holder, now)) return undefined;
    return this.#changeBatch(current.record, { lease: { holder, until }, updatedAt: now });
  }

  async renewBatch(batch: BatchKey, holder: string, now: number, until: number): Promise<boolean> {
    const current = this.#findBatch(batch)?.record;
    const changes = renewedHolder(current, holder, now, until);
    if (changes !== undefined) this.#changeBatch(current!, changes);
    return changes !== undefined;
  }

  async renewJob(jobId: string, holder: string, now: number, until: number): Promise<boolean> {
    const current = this.#jobs.get(jobId)?.record;
    const changes = renewedHolder(current, holder, now, until);
    if (changes !== undefined) this.#changeJob(current!, changes);
    return changes !== undefined;
  }

  async *listWaiting(): AsyncGenerator<BatchRecord> {
    for (const item of this.#live('waiting')) if (item.kind === 'batch') yield item.batch;
  }

  async *listAtOpenAI(): AsyncGenerator<BatchRecord> {
    for (const item of this.#live('openai')) if (item.kind === 'batch') yield item.batch;
  }

  async *listOverdue(now: number): AsyncGenerator<LiveItem> {
    for (const item of this.#live('moving')) if (item.due <= now) yield item;
  }

  async *listEnded(endedBy: number): AsyncGenerator<Job> {
    for (const item of this.#live('ended')) {
      if (item.kind === 'job' && item.due <= endedBy) yield plainCopy(this.#jobs.get(item.jobId)!.record);
    }
  }

  async *listForgetting(): AsyncGenerator<Job> {
    for (const item of this.#live('forgetting'))
      if (item.kind === 'job') yield plainCopy(this.#jobs.get(item.jobId)!.record);
  }

  async postpone(item: LiveItem, due: number): Promise<void> {
    const current = item.kind === 'job' ? this.#jobs.get(item.jobId) : this.#findBatch(item.batch);
    if (current?.live?.live !== 'moving' || current.live.due !== item.due || due <= item.due) return;
    current.live = { live: 'moving', due };
  }

  async acquireLease(name: string, now: number, until: number): Promise<number | undefined> {
    const taken = takeLease(this.#leases.get(name), now, until);
    if (taken !== undefined) this.#leases.set(name, taken);
    return taken?.token;
  }

  async renewLease(name: string, token: number, until: number): Promise<boolean> {
    const renewed = renewedLease(this.#leases.get(name), token, until);
    if (renewed !== undefined) this.#leases.set(name, renewed);
    return renewed !== undefined;
  }

  async releaseLease(name: string, token: number): Promise<void> {
    const lease = this.#leases.get(name);
    if (lease?.token === token) this.#leases.set(name, { ...lease, until: 0 });
  }

  async leaseTakenAt(name: string): Promise<number | undefined> {
    return this.#leases.get(name)?.takenAt;
  }

  async acquirePublication(
    publication: Publication,
    now: number,
    until: number,
  ): Promise<'granted' | 'superseded' | 'busy'> {
    const state = this.#publications.get(publication.name) ?? {};
    const decision = decidePublication(state, publication, now);
    if (decision === 'granted') {
      this.#publications.set(publication.name, { ...state, holder: { id: publication.holder, until } });
    }
    return decision;
  }

  async holdPublication(publication: Publication, now: number, until: number): Promise<'granted' | 'busy'> {
    const state = this.#publications.get(publication.name) ?? {};
    const decision = decideHold(state, publication, now);
    if (decision === 'granted')
      this.#publications.set(publication.name, { ...state, holder: { id: publication.holder, until } });
    return decision;
  }

  /** For {@link MemoryGraves}. `false`: another holder has it. */
  forgetPublication({ name, holder }: Publication): boolean {
    const isHeld = this.#publications.get(name)?.holder?.id === holder;
    if (isHeld) this.#publications.delete(name);
    return isHeld;
  }

  /** The same. */
  forgetLatest(key: string, job: LatestJob): void {
    if (isLatestOf(this.#latest.get(key), job)) this.#latest.delete(key);
  }

  /** The names that are kept beside jobs, for assertions. */
  namesKept(): string[] {
    return [...this.#publications.keys(), ...this.#latest.keys()];
  }

  async renewPublication({ name, holder: id }: Publication, until: number): Promise<boolean> {
    const state = this.#publications.get(name);
    if (state?.holder?.id !== id) return false;
    this.#publications.set(name, { ...state, holder: { id, until } });
    return true;
  }

  async abandonPublication({ name, holder: id }: Publication): Promise<void> {
    const { holder, ...rest } = this.#publications.get(name) ?? {};
    if (holder?.id === id) this.#publications.set(name, rest);
  }

  async releasePublication(publication: Publication): Promise<boolean> {
    const next = afterPublication(this.#publications.get(publication.name) ?? {}, publication);
    if (next !== undefined) this.#publications.set(publication.name, next);
    return next !== undefined;
  }

  /** Removes every record of a job: for {@link MemoryGraves}. */
  deleteJob(jobId: string): void {
    for (const records of [this.#jobs, this.#batches, this.#duplicates]) records.delete(jobId);
    this.#forgotten.set(jobId, true);
  }

  #findBatch({ jobId, batchId }: BatchKey): Stored<BatchRecord> | undefined {
    return this.#batches.get(jobId)?.get(batchId);
  }

  #storeJob(job: Job): void {
    this.#jobs.set(job.jobId, { record: plainCopy(job), live: liveEntryOfJob(job) });
  }

  #storeBatch(batch: BatchRecord): void {
    const ofJob = this.#batches.get(batch.jobId) ?? new Map<string, Stored<BatchRecord>>();
    this.#batches.set(batch.jobId, ofJob);
    ofJob.set(batch.batchId, { record: plainCopy(batch), live: liveEntryOfBatch(batch) });
  }

  #changeJob(current: Job, changes: object): Job {
    const changed = withChanges(current, changes);
    this.#storeJob(changed);
    return plainCopy(changed);
  }

  #changeBatch(current: BatchRecord, changes: object): BatchRecord {
    const changed = withChanges(current, changes);
    this.#storeBatch(changed);
    return plainCopy(changed);
  }

  /** A snapshot, those due first: what is stored meanwhile is not seen, as in an index that lags. */
  #live(live: NonNullable<LiveEntry>['live']): LiveItem[] {
    const items: LiveItem[] = [];
    for (const { record, live: entry } of this.#jobs.values()) {
      if (entry?.live !== live) continue;
      items.push(liveJobOf(record, entry.due));
    }
    for (const ofJob of this.#batches.values()) {
      for (const { record, live: entry } of ofJob.values()) {
        if (entry?.live !== live) continue;
        items.push({ kind: 'batch', batch: plainCopy(record), due: entry.due });
      }
    }
    return items.sort((one, other) => one.due - other.due);
  }
}

/** A copy of maps, and what puts it back. */
export function snapshotOf(maps: readonly Map<string, unknown>[]): () => void {
  const kept = structuredClone(maps);
  return () => {
    for (const [index, map] of maps.entries()) {
      map.clear();
      for (const [key, value] of structuredClone(kept[index]!)) map.set(key, value);
    }
  };
}

/** A change to `undefined` removes the attribute. */
function withChanges<Changed extends object>(current: Changed, changes: object): Changed {
  return Object.fromEntries(
    Object.entries({ ...current, ...changes }).filter(([, value]) => value !== undefined),
  ) as Changed;
}
