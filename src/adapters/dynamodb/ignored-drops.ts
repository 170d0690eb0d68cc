import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { type DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb';
import { PARTITIONS, TABLE_PARTITION_KEY, TABLE_SORT_KEY, TTL_ATTRIBUTE } from '../../contract/table.ts';
import { DAY_MS, SECOND_MS } from '../../contract/time.ts';
import { IGNORED_DAYS, type IgnoredDrop } from '../../core/model/ignored-drop.ts';
import { dayOf } from '../../core/model/job-end.ts';
import type { IgnoredDropStore } from '../../core/ports/ignored-drops.ts';
import { DynamoDBItems, type Key } from './items.ts';
import { readIgnoredDrop } from './record-schemas.ts';

/** A sort key has room for every key that S3 allows: 1,024 bytes each. */
const dropKey = (day: string, key: string): Key => ({ pk: `${PARTITIONS.ignored}${day}`, sk: key });

/** {@link IgnoredDropStore} on the table. The object's key is the sort key, and nowhere else in the item. */
export class DynamoDBIgnoredDrops implements IgnoredDropStore {
  readonly #client: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#client = client;
    this.#table = names.table;
    this.#items = new DynamoDBItems(client, names);
  }

  async note({ key, ...drop }: IgnoredDrop): Promise<void> {
    const expiresAt = Math.ceil((drop.at + IGNORED_DAYS * DAY_MS) / SECOND_MS);
    try {
      await this.#client.send(
        new PutCommand({
          TableName: this.#table,
          Item: { ...dropKey(dayOf(drop.at), key), ...drop, [TTL_ATTRIBUTE]: expiresAt },
          ConditionExpression: 'attribute_not_exists(#pk)',
          ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY },
        }),
      );
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
    }
  }

  async *listOn(day: string, prefix: string): AsyncGenerator<IgnoredDrop> {
    // DynamoDB takes no empty prefix.
    const below =
      prefix === ''
        ? { condition: '#pk = :pk', names: {}, values: {} }
        : {
            condition: '#pk = :pk AND begins_with(#sk, :prefix)',
            names: { '#sk': TABLE_SORT_KEY },
            values: { ':prefix': prefix },
          };
    const items = this.#items.query({
      KeyConditionExpression: below.condition,
      ExpressionAttributeNames: { '#pk': TABLE_PARTITION_KEY, ...below.names },
      ExpressionAttributeValues: { ':pk': dropKey(day, '').pk, ...below.values },
      ConsistentRead: true,
    });
    for await (const item of items)
      yield readIgnoredDrop({ ...item, key: item[TABLE_SORT_KEY] }, this.#items.nameOf(item));
  }
}
