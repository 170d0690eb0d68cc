/**
 * {@link JobStore} on one DynamoDB table (`src/contract/table.ts` says which items there are).
 *
 * Every change to an item is made the same way: read it consistently, let a rule decide, write under the condition that
 * nobody has written since (`rev`), and begin again if somebody has. So the sparse index attributes always follow from
 * the whole record, and attributes that a later deployment added stay. Each write carries an id of its own (`write`):
 * when the answer was lost and the SDK sends the write again, the condition fails on our own write, and the id tells.
 */
import { randomUUID } from 'node:crypto';
import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import {
  type DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  type QueryCommandInput,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import {
  LIVE_INDEX,
  LIVE_INDEX_PARTITION_KEY,
  LIVE_INDEX_SORT_KEY,
  TABLE_PARTITION_KEY,
  TABLE_SORT_KEY,
} from '../contract/table.ts';
import { BatchdropError } from '../core/errors.ts';
import type { BatchRecord, Job } from '../core/model.ts';
import type { JobStore, LiveItem, Publication } from '../core/ports.ts';
import {
  afterPublication,
  decidePublication,
  isAsExpected,
  isClaimable,
  type LeaseState,
  type PublicationState,
  takeLease,
} from './job-rules.ts';
import { type LiveEntry, liveEntryOfBatch, liveEntryOfJob } from './live-index.ts';
import { readBatch, readJob } from './record-schemas.ts';

type Item = Record<string, unknown>;
type Key = { [TABLE_PARTITION_KEY]: string; [TABLE_SORT_KEY]: string };
type BatchKey = Pick<BatchRecord, 'jobId' | 'batchId'>;

/** Attributes beside those of the record. */
const REVISION = 'rev';
const WRITE_ID = 'write';

const itemDoesNotExist = `attribute_not_exists(#${TABLE_PARTITION_KEY})`;
const itemIsAsRead = `#${REVISION} = :${REVISION}`;
/** The item is in the index with the very `due` that the sweep saw: any move since would have set another. */
const itemHasNotMoved = '#live = :moving AND #due = :seen';
const itemIsDueEarlier = '#due < :due';

/** Each lost race means that somebody else wrote; so many in a row mean that something is wrong. */
const MAX_LOST_RACES = 50;

const BATCH_SORT_KEY_PREFIX = 'BATCH#';

const jobKey = (jobId: string): Key => ({ pk: `JOB#${jobId}`, sk: 'JOB' });
const batchKey = (batch: BatchKey): Key => ({
  pk: `JOB#${batch.jobId}`,
  sk: `${BATCH_SORT_KEY_PREFIX}${batch.batchId}`,
});
const leaseKey = (name: string): Key => ({ pk: `LEASE#${name}`, sk: 'LEASE' });
const contentKey = (content: string): Key => ({ pk: `CONTENT#${content}`, sk: 'CONTENT' });
const publicationKey = (name: string): Key => ({ pk: `PUBLICATION#${name}`, sk: 'PUBLICATION' });

export class DynamoDBJobs implements JobStore {
  readonly #client: DynamoDBDocumentClient;
  readonly #table: string;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#client = client;
    this.#table = names.table;
  }

  async claimJob(job: Job): Promise<Job> {
    const standing = await this.#insert(jobKey(job.jobId), job, liveEntryOfJob(job));
    return standing === undefined ? job : this.#readJob(standing);
  }

  async getJob(jobId: string): Promise<Job | undefined> {
    const item = await this.#get(jobKey(jobId));
    return item === undefined ? undefined : this.#readJob(item);
  }

  takeJob(
    jobId: string,
    state: Job['state'],
    claim: string,
    now: number,
    until: number,
  ): Promise<Job | undefined> {
    return this.#changeJob(jobId, (standing) =>
      isClaimable(standing, state, claim, now) ? { claim, claimedUntil: until, updatedAt: now } : undefined,
    );
  }

  async moveJob(
    jobId: string,
    expected: Parameters<JobStore['moveJob']>[1],
    changes: Parameters<JobStore['moveJob']>[2],
    now: number,
  ): Promise<boolean> {
    const moved = await this.#changeJob(jobId, (standing) =>
      isAsExpected(standing, expected) ? { ...changes, updatedAt: now } : undefined,
    );
    return moved !== undefined;
  }

  async claimContent(content: string, jobId: string, replaces?: string): Promise<string> {
    let stands = jobId;
    await this.#change(contentKey(content), (standing) => {
      const current = standing?.jobId as string | undefined;
      const isFree = current === undefined || current === replaces;
      stands = isFree ? jobId : current;
      return isFree && current !== jobId ? { v: 1, jobId } : undefined;
    });
    return stands;
  }

  async addBatch(batch: BatchRecord): Promise<boolean> {
    return (await this.#insert(batchKey(batch), batch, liveEntryOfBatch(batch))) === undefined;
  }

  async getBatch(jobId: string, batchId: string): Promise<BatchRecord | undefined> {
    const item = await this.#get(batchKey({ jobId, batchId }));
    return item === undefined ? undefined : this.#readBatch(item);
  }

  async listBatches(jobId: string): Promise<BatchRecord[]> {
    const batches: BatchRecord[] = [];
    const items = this.#query({
      KeyConditionExpression: '#pk = :pk AND begins_with(#sk, :prefix)',
      ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY, '#sk': TABLE_SORT_KEY },
      ExpressionAttributeValues: { ':pk': jobKey(jobId).pk, ':prefix': BATCH_SORT_KEY_PREFIX },
      ConsistentRead: true,
    });
    for await (const item of items) batches.push(this.#readBatch(item));
    return batches;
  }

  updateBatch(
    batch: BatchKey,
    expected: { state: BatchRecord['state']; claim?: string; openaiBatchId?: string },
    changes: Parameters<JobStore['updateBatch']>[2],
    now: number,
  ): Promise<BatchRecord | undefined> {
    return this.#changeBatch(batch, (standing) =>
      isAsExpected(standing, expected) ? { ...changes, updatedAt: now } : undefined,
    );
  }

  claimBatch(
    batch: BatchKey,
    state: BatchRecord['state'],
    claim: string,
    now: number,
    until: number,
  ): Promise<BatchRecord | undefined> {
    return this.#changeBatch(batch, (standing) =>
      isClaimable(standing, state, claim, now) ? { claim, claimedUntil: until, updatedAt: now } : undefined,
    );
  }

  async *listAtOpenAI(): AsyncGenerator<BatchRecord> {
    for await (const item of this.#live('openai')) if (item.kind === 'batch') yield item.batch;
  }

  async *listOverdue(now: number): AsyncGenerator<LiveItem> {
    yield* this.#live('moving', now);
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
    const item = await this.#change(leaseKey(name), (standing) => {
      const taken = takeLease(standing as LeaseState | undefined, now, until);
      return taken === undefined ? undefined : { v: 1, ...taken };
    });
    return (item as LeaseState | undefined)?.token;
  }

  async releaseLease(name: string, token: number): Promise<void> {
    await this.#change(leaseKey(name), (standing) =>
      (standing as LeaseState | undefined)?.token === token ? { until: 0 } : undefined,
    );
  }

  async acquirePublication(
    publication: Publication,
    now: number,
    until: number,
  ): Promise<'granted' | 'superseded' | 'busy'> {
    let decision: 'granted' | 'superseded' | 'busy' = 'busy';
    await this.#change(publicationKey(publication.name), (standing) => {
      decision = decidePublication((standing ?? {}) as PublicationState, publication, now);
      return decision === 'granted' ? { v: 1, holder: { id: publication.holder, until } } : undefined;
    });
    return decision;
  }

  async releasePublication(publication: Publication): Promise<boolean> {
    const item = await this.#change(publicationKey(publication.name), (standing) => {
      const next = afterPublication((standing ?? {}) as PublicationState, publication);
      return next === undefined ? undefined : { published: next.published, holder: next.holder };
    });
    return item !== undefined;
  }

  async #changeJob(jobId: string, decide: (standing: Job) => Item | undefined): Promise<Job | undefined> {
    const item = await this.#change(jobKey(jobId), (standing) => {
      if (standing === undefined) return undefined;
      const job = this.#readJob(standing);
      const changes = decide(job);
      if (changes === undefined) return undefined;
      return { ...changes, ...indexAttributes(liveEntryOfJob({ ...job, ...changes })) };
    });
    return item === undefined ? undefined : this.#readJob(item);
  }

  async #changeBatch(
    batch: BatchKey,
    decide: (standing: BatchRecord) => Item | undefined,
  ): Promise<BatchRecord | undefined> {
    const item = await this.#change(batchKey(batch), (standing) => {
      if (standing === undefined) return undefined;
      const record = this.#readBatch(standing);
      const changes = decide(record);
      if (changes === undefined) return undefined;
      return { ...changes, ...indexAttributes(liveEntryOfBatch({ ...record, ...changes })) };
    });
    return item === undefined ? undefined : this.#readBatch(item);
  }

  /** Writes a new item; gives the one that stands if there is one already. */
  async #insert(key: Key, record: object, live: LiveEntry): Promise<Item | undefined> {
    const writeId = randomUUID();
    try {
      await this.#client.send(
        new PutCommand({
          TableName: this.#table,
          Item: { ...key, ...record, ...live, [REVISION]: 1, [WRITE_ID]: writeId },
          ConditionExpression: itemDoesNotExist,
          ExpressionAttributeNames: { [`#${TABLE_PARTITION_KEY}`]: TABLE_PARTITION_KEY },
        }),
      );
      return undefined;
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
    }
    const standing = await this.#get(key);
    if (standing === undefined) {
      throw new BatchdropError(
        `${this.#nameOf(key)} was there and is not any more: items must not be deleted`,
      );
    }
    return standing[WRITE_ID] === writeId ? undefined : standing;
  }

  /**
   * Changes an item in one step. `decide` gets what stands and gives the attributes to set (`undefined` removes one), or
   * `undefined` to leave it; it is asked again when somebody wrote in between.
   * @returns the item as written, or `undefined` if it was left.
   */
  async #change(
    key: Key,
    decide: (standing: Item | undefined) => Item | undefined,
  ): Promise<Item | undefined> {
    for (let race = 0; race < MAX_LOST_RACES; race += 1) {
      const standing = await this.#get(key);
      const changes = decide(standing);
      if (changes === undefined) return undefined;
      const writeId = randomUUID();
      const revision = standing?.[REVISION] as number | undefined;
      try {
        const { Attributes } = await this.#client.send(
          new UpdateCommand({
            TableName: this.#table,
            Key: key,
            ReturnValues: 'ALL_NEW',
            ...updateExpressionOf(
              { ...changes, [REVISION]: (revision ?? 0) + 1, [WRITE_ID]: writeId },
              revision,
            ),
          }),
        );
        return Attributes;
      } catch (error) {
        if (!(error instanceof ConditionalCheckFailedException)) throw error;
        const winner = await this.#get(key);
        if (winner?.[WRITE_ID] === writeId) return winner;
      }
    }
    throw new BatchdropError(
      `${this.#nameOf(key)} changed ${MAX_LOST_RACES} times in a row while it was being written`,
    );
  }

  async #get(key: Key): Promise<Item | undefined> {
    const { Item } = await this.#client.send(
      new GetCommand({ TableName: this.#table, Key: key, ConsistentRead: true }),
    );
    return Item;
  }

  async *#query(input: Omit<QueryCommandInput, 'TableName'>): AsyncGenerator<Item> {
    let start: QueryCommandInput['ExclusiveStartKey'];
    do {
      const page = await this.#client.send(
        new QueryCommand({
          TableName: this.#table,
          ...input,
          ...(start === undefined ? {} : { ExclusiveStartKey: start }),
        }),
      );
      yield* page.Items ?? [];
      start = page.LastEvaluatedKey;
    } while (start !== undefined);
  }

  /** Items of the index, those due first. One that cannot be read must not stop the others: it is reported last. */
  async *#live(live: 'openai' | 'moving', dueBy = Number.MAX_SAFE_INTEGER): AsyncGenerator<LiveItem> {
    const items = this.#query({
      IndexName: LIVE_INDEX,
      KeyConditionExpression: '#live = :live AND #due <= :due',
      ExpressionAttributeNames: { '#live': LIVE_INDEX_PARTITION_KEY, '#due': LIVE_INDEX_SORT_KEY },
      ExpressionAttributeValues: { ':live': live, ':due': dueBy },
    });
    const unreadable: unknown[] = [];
    for await (const item of items) {
      let liveItem: LiveItem;
      try {
        liveItem = this.#readLiveItem(item);
      } catch (error) {
        unreadable.push(error);
        continue;
      }
      yield liveItem;
    }
    if (unreadable.length > 0) {
      const more = unreadable.length === 1 ? '' : ` (and ${unreadable.length - 1} more)`;
      throw new BatchdropError(`${(unreadable[0] as Error).message}${more}`, { cause: unreadable[0] });
    }
  }

  #readLiveItem(item: Item): LiveItem {
    const due = item[LIVE_INDEX_SORT_KEY] as number;
    if (item[TABLE_SORT_KEY] === 'JOB') {
      const { jobId, state } = this.#readJob(item);
      return { kind: 'job', jobId, state, due };
    }
    return { kind: 'batch', batch: this.#readBatch(item), due };
  }

  #readJob(item: Item): Job {
    return readJob(item, this.#nameOf(item));
  }

  #readBatch(item: Item): BatchRecord {
    return readBatch(item, this.#nameOf(item));
  }

  #nameOf(key: Item): string {
    return `item ${String(key[TABLE_PARTITION_KEY])} ${String(key[TABLE_SORT_KEY])} of table ${this.#table}`;
  }
}

/** Both attributes or, to leave the index, none. */
function indexAttributes(entry: LiveEntry): Item {
  return { [LIVE_INDEX_PARTITION_KEY]: entry?.live, [LIVE_INDEX_SORT_KEY]: entry?.due };
}

/** Sets what has a value, removes what is `undefined`, if the item still has this revision (or does not exist yet). */
function updateExpressionOf(changes: Item, revision: number | undefined) {
  const names: Record<string, string> = {};
  const values: Item = {};
  const sets: string[] = [];
  const removes: string[] = [];
  for (const [index, [attribute, value]] of Object.entries(changes).entries()) {
    names[`#a${index}`] = attribute;
    if (value === undefined) removes.push(`#a${index}`);
    else {
      values[`:a${index}`] = value;
      sets.push(`#a${index} = :a${index}`);
    }
  }
  if (revision === undefined) names[`#${TABLE_PARTITION_KEY}`] = TABLE_PARTITION_KEY;
  else {
    names[`#${REVISION}`] = REVISION;
    values[`:${REVISION}`] = revision;
  }
  return {
    UpdateExpression: `SET ${sets.join(', ')}${removes.length > 0 ? ` REMOVE ${removes.join(', ')}` : ''}`,
    ConditionExpression: revision === undefined ? itemDoesNotExist : itemIsAsRead,
    ExpressionAttributeNames: names,
    ExpressionAttributeValues: values,
  };
}
