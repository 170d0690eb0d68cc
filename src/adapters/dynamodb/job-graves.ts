import { DeleteCommand, type DynamoDBDocumentClient, TransactWriteCommand } from '@aws-sdk/lib-dynamodb';
import { TABLE_PARTITION_KEY, TABLE_SORT_KEY, TTL_ATTRIBUTE } from '../../contract/table.ts';
import { SECOND_MS } from '../../contract/time.ts';
import type { Tombstone } from '../../core/model/tombstone.ts';
import type { JobGraves, LatestJob, Publication } from '../../core/ports/records.ts';
import { DynamoDBItems } from './items.ts';
import { isLatestOf, type PublicationState } from './job-rules.ts';
import { jobKey, latestKey, publicationKey, tombstoneKey } from './jobs.ts';
import { readLatest, readTombstone } from './record-schemas.ts';

/** {@link JobGraves} on the table: the only writer that deletes items. */
export class DynamoDBJobGraves implements JobGraves {
  readonly #client: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#client = client;
    this.#table = names.table;
    this.#items = new DynamoDBItems(client, names);
  }

  async getTombstone(jobId: string): Promise<Tombstone | undefined> {
    const item = await this.#items.get(tombstoneKey(jobId));
    return item === undefined ? undefined : readTombstone(item, this.#items.nameOf(item));
  }

  async bury(tombstone: Tombstone): Promise<void> {
    const Key = jobKey(tombstone.jobId);
    const items = this.#items.query({
      KeyConditionExpression: '#pk = :pk',
      ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY, '#sk': TABLE_SORT_KEY },
      ExpressionAttributeValues: { ':pk': Key.pk },
      ProjectionExpression: '#pk, #sk',
      ConsistentRead: true,
    });
    for await (const item of items) {
      const sk = item[TABLE_SORT_KEY];
      if (sk === Key.sk) continue;
      await this.#client.send(new DeleteCommand({ TableName: this.#table, Key: { pk: Key.pk, sk } }));
    }
    const Item = { ...tombstoneKey(tombstone.jobId), ...tombstone, rev: 1 };
    await this.#client.send(
      new TransactWriteCommand({
        TransactItems: [
          { Put: { TableName: this.#table, Item } },
          { Delete: { TableName: this.#table, Key } },
        ],
      }),
    );
  }

  async forgetPublication({ name, holder }: Publication, expiresAt: number): Promise<boolean> {
    const item = await this.#items.change(publicationKey(name), (current) =>
      (current as PublicationState | undefined)?.holder?.id === holder
        ? { published: undefined, holder: undefined, [TTL_ATTRIBUTE]: inSeconds(expiresAt) }
        : undefined,
    );
    return item !== undefined;
  }

  async forgetLatest(key: string, job: LatestJob, expiresAt: number): Promise<void> {
    await this.#items.change(latestKey(key), (current) => {
      const state = current === undefined ? undefined : readLatest(current, this.#items.nameOf(current));
      if (!isLatestOf(state, job)) return undefined;
      return { job: undefined, before: undefined, [TTL_ATTRIBUTE]: inSeconds(expiresAt) };
    });
  }
}

function inSeconds(time: number): number {
  return Math.ceil(time / SECOND_MS);
}
