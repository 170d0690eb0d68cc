import { QueryCommand } from '@aws-sdk/lib-dynamodb';
import { expect, test } from 'vitest';
import { DynamoDBIgnoredDrops } from '../../../../src/adapters/dynamodb/ignored-drops.ts';
import { describeIgnoredDropStore } from '../../../support/contracts/ignored-drop-store.suite.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { MemoryIgnoredDrops } from '../../../support/memory/ignored-drops.ts';

describeIgnoredDropStore('memory', async () => ({ store: new MemoryIgnoredDrops(), close: async () => {} }));

describeIgnoredDropStore('DynamoDB', async () => {
  const { client, close } = await startLocalDynamoDB();
  return { store: new DynamoDBIgnoredDrops(client, { table: TABLE }), close };
});

test('an ignored drop expires 14 days after it was seen', async () => {
  const { client, close } = await startLocalDynamoDB();
  try {
    const at = Date.UTC(2026, 10, 30, 12);
    await new DynamoDBIgnoredDrops(client, { table: TABLE }).note({
      v: 1,
      key: 'input/a',
      why: 'ignored',
      at,
    });
    const { Items } = await client.send(
      new QueryCommand({
        TableName: TABLE,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': 'IGNORED#2026-11-30' },
      }),
    );
    expect(Items).toEqual([
      {
        pk: 'IGNORED#2026-11-30',
        sk: 'input/a',
        v: 1,
        why: 'ignored',
        at,
        expiresAt: Date.UTC(2026, 11, 14, 12) / 1000,
      },
    ]);
  } finally {
    await close();
  }
});
