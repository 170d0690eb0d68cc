import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { expect, onTestFinished, test } from 'vitest';
import { DynamoDBWebhooks } from '../../../../src/adapters/dynamodb/webhooks.ts';
import { describeWebhookStore } from '../../../support/contracts/webhook-store.suite.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { MemoryWebhooks } from '../../../support/memory/webhooks.ts';

describeWebhookStore('memory', async () => ({ webhooks: new MemoryWebhooks(), close: async () => {} }));

describeWebhookStore('DynamoDB', async () => {
  const { client, close } = await startLocalDynamoDB();
  return { webhooks: new DynamoDBWebhooks(client, { table: TABLE }), close };
});

test('an event is kept for 72 hours, and longer for no one who sends it again', async () => {
  const { client, close } = await startLocalDynamoDB();
  onTestFinished(close);
  const webhooks = new DynamoDBWebhooks(client, { table: TABLE });
  await webhooks.putObserved('wh_1', 1_000_000);
  await webhooks.putObserved('wh_1', 9_000_000);
  const key = { pk: 'WEBHOOK#wh_1', sk: 'WEBHOOK' };
  const { Item } = await client.send(new GetCommand({ TableName: TABLE, Key: key }));
  expect(Item?.expiresAt).toBe(1_000 + 72 * 3_600);
});
