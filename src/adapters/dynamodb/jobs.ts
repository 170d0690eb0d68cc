/** {@link JobStore} on one DynamoDB table (`src/contract/table.ts` says which items there are). */
import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { type DynamoDBDocumentClient, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import {
  LIVE_INDEX_PARTITION_KEY,
  LIVE_INDEX_SORT_KEY,
  PARTITIONS,
  TABLE_PARTITION_KEY,
  TABLE_SORT_KEY,
  TTL_ATTRIBUTE,
} from '../../contract/table.ts';
import { JobForgottenError } from '../../core/base/errors.ts';
import type { BatchKey, BatchRecord } from '../../core/model/batch.ts';
import type { Job } from '../../core/model/job.ts';
import { type BatchTransition, changesOf, type JobTransition } from '../../core/model/transition.ts';
import type { JobStore, LatestJob, LiveItem, Publication } from '../../core/ports/records.ts';
import { DynamoDBItems, type Item, type ItemCheck, indexAttributes, type Key } from './items.ts';
import {
  afterPublication,
  decideHold,
  decidePublication,
  isAsExpected,
  isLeasable,
  type LeaseState,
  type PublicationState,
  recordedLatest,
  renewedHolder,
  renewedLease,
  takeLease,
} from './job-rules.ts';
import { liveEntryOfBatch, liveEntryOfJob, liveJobOf, liveOfWaitingDrops } from './live-index.ts';
import { readBatch, readJob, readLatest } from './record-schemas.ts';

/** The item is in the index with the very `due` that the sweep saw: any move since would have set another. */
const itemHasNotMoved = '#live = :moving AND #due = :seen';
const itemIsDueEarlier = '#due < :due';

const BATCH_SORT_KEY_PREFIX = 'BATCH#';
const DUPLICATE_SORT_KEY_PREFIX = 'DUPLICATE#';

/** The table's key of a job; all that belongs to the job is in the same partition. */
export const jobKey = (jobId: string): Key => ({ pk: `${PARTITIONS.job}${jobId}`, sk: 'JOB' });
/** The table's key of a batch. */
export const batchKey = (batch: BatchKey): Key => ({
  pk: jobKey(batch.jobId).pk,
  sk: `${BATCH_SORT_KEY_PREFIX}${batch.batchId}`,
});
/** The table's key of what is left of a job that was forgotten. */
export const tombstoneKey = (jobId: string): Key => ({
  pk: `${PARTITIONS.tombstone}${jobId}`,
  sk: 'TOMBSTONE',
});
const notForgotten = (jobId: string): ItemCheck => ({
  key: tombstoneKey(jobId),
  without: TABLE_PARTITION_KEY,
});
const leaseKey = (name: string): Key => ({ pk: `${PARTITIONS.lease}${name}`, sk: 'LEASE' });
/** The table's key of the job that is the latest at a key. */
export const latestKey = (key: string): Key => ({ pk: `${PARTITIONS.latest}${key}`, sk: 'LATEST' });
const duplicateKey = (ownerId: string, jobId: string): Key => ({
  pk: jobKey(ownerId).pk,
  sk: `${DUPLICATE_SORT_KEY_PREFIX}${jobId}`,
});
/** The table's key of who may write plain names. */
export const publicationKey = (name: string): Key => ({
  pk: `${PARTITIONS.publication}${name}`,
  sk: 'PUBLICATION',
});

export class DynamoDBJobs implements JobStore {
  readonly #client: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#client = client;
    this.#table = names.table;
    this.#items = new DynamoDBItems(client, names);
  }

  async createJob(job: Job): Promise<Job> {
    const { jobId } = job;
    const checks = [notForgotten(jobId)];
    const current = await this.#items.insertIf(jobKey(jobId), job, liveEntryOfJob(job), checks);
    if (current === 'refused') throw new JobForgottenError(jobId);
    return current === 'written' ? job : this.#readJob(current);
  }

  async getJob(jobId: string): Promise<Job | undefined> {
    const item = await this.#items.get(jobKey(jobId));
    return item === undefined ? undefined : this.#readJob(item);
  }

  leaseJob(
    jobId: string,
    state: Job['state'],
    holder: string,
    now: number,
    until: number,
  ): Promise<Job | undefined> {
    return this.#changeJob(jobId, (current) =>
      isLeasable(current, state, holder, now) ? { lease: { holder, until }, updatedAt: now } : undefined,
    );
  }

  moveJob(jobId: string, transition: JobTransition, now: number, holder?: string): Promise<Job | undefined> {
    return this.#changeJob(jobId, (current, item) =>
      isAsExpected(current, transition, holder)
        ? { ...changesOf(item, transition), updatedAt: now }
        : undefined,
    );
  }

  async recordLatest(key: string, job: LatestJob): Promise<LatestJob | undefined> {
    let before: LatestJob | undefined;
    await this.#items.change(latestKey(key), (current) => {
      const state = current === undefined ? undefined : readLatest(current, this.#items.nameOf(current));
      const decided = recordedLatest(state, job);
      before = decided.before;
      if (decided.next === undefined) return undefined;
      return { v: 1, job: undefined, before: undefined, [TTL_ATTRIBUTE]: undefined, ...decided.next };
    });
    return before;
  }

  async addDuplicate(ownerId: string, jobId: string): Promise<void> {
    await this.#items.insert(duplicateKey(ownerId, jobId), { v: 1, jobId }, undefined);
  }

  async listDuplicates(ownerId: string): Promise<string[]> {
    const duplicates: string[] = [];
    const items = this.#items.query({
      KeyConditionExpression: '#pk = :pk AND begins_with(#sk, :prefix)',
      ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY, '#sk': TABLE_SORT_KEY },
      ExpressionAttributeValues: { ':pk': jobKey(ownerId).pk, ':prefix': DUPLICATE_SORT_KEY_PREFIX },
      ConsistentRead: true,
    });
    for await (const item of items)
      duplicates.push(String(item[TABLE_SORT_KEY]).slice(DUPLICATE_SORT_KEY_PREFIX.length));
    return duplicates;
  }

  async createBatch(batch: BatchRecord): Promise<boolean> {
    const { jobId } = batch;
    // While its job is being removed, too: what is written then could be missed by the removal.
    const checks = [notForgotten(jobId), { key: jobKey(jobId), without: 'forgettingAt' }];
    const current = await this.#items.insertIf(batchKey(batch), batch, liveEntryOfBatch(batch), checks);
    if (current === 'refused') throw new JobForgottenError(jobId);
    return current === 'written';
  }

  async getBatch(jobId: string, batchId: string): Promise<BatchRecord | undefined> {
    const item = await this.#items.get(batchKey({ jobId, batchId }));
    return item === undefined ? undefined : this.#readBatch(item);
  }

  async listBatches(jobId: string): Promise<BatchRecord[]> {
    const batches: BatchRecord[] = [];
    const items = this.#items.query({
      KeyConditionExpression: '#pk = :pk AND begins_with(#sk, :prefix)',
      ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY, '#sk': TABLE_SORT_KEY },
      ExpressionAttributeValues: { ':pk': jobKey(jobId).pk, ':prefix': BATCH_SORT_KEY_PREFIX },
      ConsistentRead: true,
    });
    for await (const item of items) batches.push(this.#readBatch(item));
    return batches;
  }

  moveBatch(
    batch: BatchKey,
    transition: BatchTransition,
    now: number,
    holder?: string,
  ): Promise<BatchRecord | undefined> {
    return this.#changeBatch(batch, (current, item) =>
      isAsExpected(current, transition, holder)
        ? { ...changesOf(item, transition), updatedAt: now }
        : undefined,
    );
  }

  leaseBatch(
    batch: BatchKey,
    state: BatchRecord['state'],
    holder: string,
    now: number,
    until: number,
  ): Promise<BatchRecord | undefined> {
    return this.#changeBatch(batch, (current) =>
      isLeasable(current, state, holder, now) ? { lease: { holder, until }, updatedAt: now } : undefined,
    );
  }

  async renewBatch(batch: BatchKey, holder: string, now: number, until: number): Promise<boolean> {
    const renewed = await this.#changeBatch(batch, (current) => renewedHolder(current, holder, now, until));
    return renewed !== undefined;
  }

  async renewJob(jobId: string, holder: string, now: number, until: number): Promise<boolean> {
    const renewed = await this.#changeJob(jobId, (current) => renewedHolder(current, holder, now, until));
    return renewed !== undefined;
  }

  async *listWaiting(): AsyncGenerator<BatchRecord> {
    yield* this.#items.live('waiting', (item) => this.#readBatch(item));
  }

  /**
   * Jobs that have not ended, for a person who looks. A hint: the base record decides.
   * @param routes of which files may wait for their turn: see `DropTurnStore.listDropRoutes`.
   */
  async *listLiveJobs(routes: readonly string[]): AsyncGenerator<Job> {
    const jobs = this.#items.live('moving', (item) =>
      item[TABLE_SORT_KEY] === 'JOB' ? this.#readJob(item) : undefined,
    );
    for await (const job of jobs) if (job !== undefined) yield job;
    for (const route of routes)
      yield* this.#items.live(liveOfWaitingDrops(route), (item) => this.#readJob(item));
  }

  async *listAtOpenAI(): AsyncGenerator<BatchRecord> {
    yield* this.#items.live('openai', (item) => this.#readBatch(item));
  }

  async *listOverdue(now: number): AsyncGenerator<LiveItem> {
    yield* this.#items.live('moving', (item) => this.#readLiveItem(item), now);
  }

  async *listEnded(endedBy: number): AsyncGenerator<Job> {
    yield* this.#items.live('ended', (item) => this.#readJob(item), endedBy);
  }

  async *listForgetting(): AsyncGenerator<Job> {
    yield* this.#items.live('forgetting', (item) => this.#readJob(item));
  }

  async postpone(item: LiveItem, due: number): Promise<void> {
    try {
      await this.#client.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: item.kind === 'job' ? jobKey(item.jobId) : batchKey(item.batch),
          UpdateExpression: 'SET #due = :due',
          ConditionExpression: `${itemHasNotMoved} AND ${itemIsDueEarlier}`,
          ExpressionAttributeNames: { '#live': LIVE_INDEX_PARTITION_KEY, '#due': LIVE_INDEX_SORT_KEY },
          ExpressionAttributeValues: { ':moving': 'moving', ':seen': item.due, ':due': due },
        }),
      );
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
    }
  }

  async acquireLease(name: string, now: number, until: number): Promise<number | undefined> {
    const item = await this.#items.change(leaseKey(name), (current) => {
      const taken = takeLease(current as LeaseState | undefined, now, until);
      return taken === undefined ? undefined : { v: 1, ...taken };
    });
    return (item as LeaseState | undefined)?.token;
  }

  async renewLease(name: string, token: number, until: number): Promise<boolean> {
    const item = await this.#items.change(leaseKey(name), (current) => {
      const renewed = renewedLease(current as LeaseState | undefined, token, until);
      return renewed && { ...renewed };
    });
    return item !== undefined;
  }

  async releaseLease(name: string, token: number): Promise<void> {
    await this.#items.change(leaseKey(name), (current) =>
      (current as LeaseState | undefined)?.token === token ? { until: 0 } : undefined,
    );
  }

  async leaseTakenAt(name: string): Promise<number | undefined> {
    const lease = (await this.#items.get(leaseKey(name))) as LeaseState | undefined;
    return lease?.takenAt;
  }

  async acquirePublication(
    publication: Publication,
    now: number,
    until: number,
  ): Promise<'granted' | 'superseded' | 'busy'> {
    let decision: 'granted' | 'superseded' | 'busy' = 'busy';
    this.#items.expectNone(publicationKey(publication.name));
    await this.#items.change(publicationKey(publication.name), (current) => {
      decision = decidePublication((current ?? {}) as PublicationState, publication, now);
      if (decision !== 'granted') return undefined;
      return { v: 1, holder: { id: publication.holder, until }, [TTL_ATTRIBUTE]: undefined };
    });
    return decision;
  }

  async holdPublication(publication: Publication, now: number, until: number): Promise<'granted' | 'busy'> {
    let decision: 'granted' | 'busy' = 'busy';
    await this.#items.change(publicationKey(publication.name), (current) => {
      decision = decideHold((current ?? {}) as PublicationState, publication, now);
      return decision === 'granted' ? { v: 1, holder: { id: publication.holder, until } } : undefined;
    });
    return decision;
  }

  async renewPublication({ name, holder: id }: Publication, until: number): Promise<boolean> {
    const item = await this.#items.change(publicationKey(name), (current) =>
      (current as PublicationState | undefined)?.holder?.id === id ? { holder: { id, until } } : undefined,
    );
    return item !== undefined;
  }

  async abandonPublication({ name, holder: id }: Publication): Promise<void> {
    await this.#items.change(publicationKey(name), (current) =>
      (current as PublicationState | undefined)?.holder?.id === id ? { holder: undefined } : undefined,
    );
  }

  async releasePublication(publication: Publication): Promise<boolean> {
    const item = await this.#items.change(publicationKey(publication.name), (current) => {
      const next = afterPublication((current ?? {}) as PublicationState, publication);
      return next === undefined ? undefined : { published: next.published, holder: next.holder };
    });
    return item !== undefined;
  }

  async #changeJob(
    jobId: string,
    decide: (current: Job, item: Item) => Item | undefined,
  ): Promise<Job | undefined> {
    const item = await this.#items.change(jobKey(jobId), (current) => {
      if (current === undefined) return undefined;
      const job = this.#readJob(current);
      const changes = decide(job, current);
      if (changes === undefined) return undefined;
      return { ...changes, ...indexAttributes(liveEntryOfJob({ ...job, ...changes })) };
    });
    return item === undefined ? undefined : this.#readJob(item);
  }

  async #changeBatch(
    batch: BatchKey,
    decide: (current: BatchRecord, item: Item) => Item | undefined,
  ): Promise<BatchRecord | undefined> {
    const item = await this.#items.change(batchKey(batch), (current) => {
      if (current === undefined) return undefined;
      const record = this.#readBatch(current);
      const changes = decide(record, current);
      if (changes === undefined) return undefined;
      return { ...changes, ...indexAttributes(liveEntryOfBatch({ ...record, ...changes })) };
    });
    return item === undefined ? undefined : this.#readBatch(item);
  }

  #readLiveItem(item: Item): LiveItem {
    const due = item[LIVE_INDEX_SORT_KEY] as number;
    if (item[TABLE_SORT_KEY] === 'JOB') return liveJobOf(this.#readJob(item), due);
    return { kind: 'batch', batch: this.#readBatch(item), due };
  }

  #readJob(item: Item): Job {
    return readJob(item, this.#items.nameOf(item));
  }

  #readBatch(item: Item): BatchRecord {
    return readBatch(item, this.#items.nameOf(item));
  }
}
