/** {@link JobIndex} on the table. */
import { randomInt } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import {
  DeleteCommand,
  type DynamoDBDocumentClient,
  TransactWriteCommand,
  type TransactWriteCommandInput,
} from '@aws-sdk/lib-dynamodb';
import { PARTITIONS, TABLE_PARTITION_KEY, TABLE_SORT_KEY, TTL_ATTRIBUTE } from '../../contract/table.ts';
import { DAY_MS, SECOND_MS } from '../../contract/time.ts';
import { BatchdropError } from '../../core/base/errors.ts';
import {
  type Amounts,
  byDrop,
  dayOf,
  type EndedJob,
  type JobEnd,
  type MonthRow,
  monthOf,
} from '../../core/model/job-end.ts';
import type { JobIndex } from '../../core/ports/job-index.ts';
import { DynamoDBItems, type Item, isLostRace, type Key } from './items.ts';
import { readEndedJob, readMonthItem } from './record-schemas.ts';

/** For so long an ended job is listed. */
const LISTED_MS = 400 * DAY_MS;

/** All jobs of a month write its total: those that end at the same moment step back for a while, each a little longer. */
const MAX_LOST_RACES = 50;
const STEP_BACK_MS = 20;
const MAX_STEP_BACK_MS = 1_000;

const dayKey = ({ endedAt, jobId }: EndedJob): Key => ({
  pk: `${PARTITIONS.jobs}${dayOf(endedAt)}`,
  sk: `${new Date(endedAt).toISOString()}#${jobId}`,
});
const inputKey = ({ bucket, key, jobId }: Pick<EndedJob, 'bucket' | 'key' | 'jobId'>): Key => ({
  pk: `${PARTITIONS.input}${bucket}/${key}`,
  sk: jobId,
});
const monthKey = (month: string, { of, name }: MonthRow): Key => ({
  pk: `${PARTITIONS.month}${month}`,
  sk: of === 'total' ? 'TOTAL' : `${of.toUpperCase()}#${name}`,
});

type Write = NonNullable<TransactWriteCommandInput['TransactItems']>[number];

export class DynamoDBJobIndex implements JobIndex {
  readonly #client: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#client = client;
    this.#table = names.table;
    this.#items = new DynamoDBItems(client, names);
  }

  async recordEnd({ ended, rows }: JobEnd): Promise<boolean> {
    const item = { ...ended, [TTL_ATTRIBUTE]: Math.ceil((ended.endedAt + LISTED_MS) / SECOND_MS) };
    const month = monthOf(ended.endedAt);
    const writes: Write[] = [
      // First, and alone in having a condition: its key has no time in it, so it tells that the job was counted.
      {
        Put: {
          TableName: this.#table,
          Item: { ...inputKey(ended), ...item },
          ConditionExpression: 'attribute_not_exists(#pk)',
          ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY },
        },
      },
      { Put: { TableName: this.#table, Item: { ...dayKey(ended), ...item } } },
      ...rows.map((row) => this.#addition(monthKey(month, row), row.amounts)),
    ];
    for (let race = 0; race < MAX_LOST_RACES; race += 1) {
      if (race > 0) await wait(randomInt(Math.min(MAX_STEP_BACK_MS, STEP_BACK_MS * 2 ** race)));
      try {
        await this.#client.send(new TransactWriteCommand({ TransactItems: writes }));
        return true;
      } catch (error) {
        if (isCounted(error)) return false;
        if (!isLostRace(error)) throw error;
      }
    }
    throw new BatchdropError(
      `job ${ended.jobId} could not be added to month ${month} of table ${this.#table}: other jobs were, ${MAX_LOST_RACES} times in a row`,
    );
  }

  async *listEndedOn(day: string): AsyncGenerator<EndedJob> {
    const items = this.#items.query({ ...ofPartition(`${PARTITIONS.jobs}${day}`), ScanIndexForward: false });
    for await (const item of items) yield this.#read(item);
  }

  async listEndedOf(bucket: string, key: string): Promise<EndedJob[]> {
    const { pk } = inputKey({ bucket, key, jobId: '' });
    const ended: EndedJob[] = [];
    for await (const item of this.#items.query(ofPartition(pk))) ended.push(this.#read(item));
    return ended.sort(byDrop);
  }

  async forget(job: Pick<EndedJob, 'bucket' | 'key' | 'jobId'>): Promise<void> {
    const item = await this.#items.get(inputKey(job));
    if (item === undefined) return;
    // The one that tells of the other goes last.
    for (const Key of [dayKey(this.#read(item)), inputKey(job)])
      await this.#client.send(new DeleteCommand({ TableName: this.#table, Key }));
  }

  async readMonth(month: string): Promise<MonthRow[]> {
    const rows: MonthRow[] = [];
    for await (const item of this.#items.query(ofPartition(`${PARTITIONS.month}${month}`))) {
      const sk = String(item[TABLE_SORT_KEY]);
      const at = sk.indexOf('#');
      const of = (at === -1 ? sk : sk.slice(0, at)).toLowerCase() as MonthRow['of'];
      const name = at === -1 ? '' : sk.slice(at + 1);
      rows.push({ of, name, amounts: readMonthItem(item, this.#items.nameOf(item)) });
    }
    return rows;
  }

  #addition(key: Key, amounts: Amounts): Write {
    const names = Object.keys(amounts) as (keyof Amounts)[];
    return {
      Update: {
        TableName: this.#table,
        Key: key,
        UpdateExpression: `SET #v = :v ADD ${names.map((name) => `#${name} :${name}`).join(', ')}`,
        ExpressionAttributeNames: {
          '#v': 'v',
          ...Object.fromEntries(names.map((name) => [`#${name}`, name])),
        },
        ExpressionAttributeValues: {
          ':v': 1,
          ...Object.fromEntries(names.map((name) => [`:${name}`, amounts[name]])),
        },
      },
    };
  }

  #read(item: Item): EndedJob {
    return readEndedJob(item, this.#items.nameOf(item));
  }
}

function ofPartition(pk: string) {
  return {
    KeyConditionExpression: '#pk = :pk',
    ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY },
    ExpressionAttributeValues: { ':pk': pk },
    ConsistentRead: true,
  };
}

function isCounted(error: unknown): boolean {
  return (
    error instanceof TransactionCanceledException &&
    error.CancellationReasons?.[0]?.Code === 'ConditionalCheckFailed'
  );
}
