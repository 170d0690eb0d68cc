/**
 * Frees what workers hold in the table, all at once: for a deployment of which surely no worker lives, as the local
 * stack when it starts and after it has stopped. Anywhere else, leases run out by themselves.
 */
import { type DynamoDBDocumentClient, ScanCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import {
  LIVE_INDEX_PARTITION_KEY,
  LIVE_INDEX_SORT_KEY,
  PARTITIONS,
  TABLE_PARTITION_KEY,
  TABLE_SORT_KEY,
} from '../../contract/table.ts';
import type { IngestProgress } from '../../core/model/job.ts';
import type { Item } from './items.ts';

const NAMES = {
  '#pk': TABLE_PARTITION_KEY,
  '#lease': 'lease',
  '#holder': 'holder',
  '#until': 'until',
};

/**
 * @param now epoch ms. What was leased is due then, so that the next sweep takes it up even if its message is gone.
 * @returns how many records were freed.
 */
export async function freeAllLeases(
  client: DynamoDBDocumentClient,
  { table }: { table: string },
  now: number,
): Promise<number> {
  let freed = 0;
  let start: Item | undefined;
  do {
    const page = await client.send(
      new ScanCommand({
        TableName: table,
        ConsistentRead: true,
        FilterExpression:
          'attribute_exists(#lease) OR attribute_exists(#holder) OR (begins_with(#pk, :lease) AND #until > :none)',
        ExpressionAttributeNames: NAMES,
        ExpressionAttributeValues: { ':lease': PARTITIONS.lease, ':none': 0 },
        ExclusiveStartKey: start,
      }),
    );
    for (const item of page.Items ?? []) await free(client, table, item, now);
    freed += page.Items?.length ?? 0;
    start = page.LastEvaluatedKey;
  } while (start !== undefined);
  return freed;
}

async function free(client: DynamoDBDocumentClient, table: string, item: Item, now: number): Promise<void> {
  const set: Item = {};
  if ('until' in item) set.until = 0;
  if (item[LIVE_INDEX_PARTITION_KEY] === 'moving') set[LIVE_INDEX_SORT_KEY] = now;
  // That its worker was stopped says nothing about the file: it must not count among the runs that died over it.
  if (item.ingest !== undefined) set.ingest = { ...(item.ingest as IngestProgress), starts: 0 };
  const removed = ['lease', 'holder'].filter((name) => name in item);
  const names = Object.keys(set);
  const clauses = [
    ...(names.length === 0 ? [] : [`SET ${names.map((name) => `#${name} = :${name}`).join(', ')}`]),
    ...(removed.length === 0 ? [] : [`REMOVE ${removed.map((name) => `#${name}`).join(', ')}`]),
  ];
  await client.send(
    new UpdateCommand({
      TableName: table,
      Key: {
        [TABLE_PARTITION_KEY]: item[TABLE_PARTITION_KEY],
        [TABLE_SORT_KEY]: item[TABLE_SORT_KEY],
      },
      UpdateExpression: clauses.join(' '),
      ExpressionAttributeNames: Object.fromEntries([...names, ...removed].map((name) => [`#${name}`, name])),
      ExpressionAttributeValues:
        names.length === 0 ? undefined : Object.fromEntries(names.map((name) => [`:${name}`, set[name]])),
    }),
  );
}
