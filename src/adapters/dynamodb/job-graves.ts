import { DeleteCommand, type DynamoDBDocumentClient, TransactWriteCommand } from '@aws-sdk/lib-dynamodb';
import { TABLE_PARTITION_KEY, TABLE_SORT_KEY } from '../../contract/table.ts';
import type { Tombstone } from '../../core/model/tombstone.ts';
import type { JobGraves } from '../../core/ports/records.ts';
import { DynamoDBItems, type Key } from './items.ts';
import { jobKey } from './jobs.ts';
import { readTombstone } from './record-schemas.ts';

const tombstoneKey = (jobId: string): Key => ({ pk: `TOMBSTONE#${jobId}`, sk: 'TOMBSTONE' });

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
}
