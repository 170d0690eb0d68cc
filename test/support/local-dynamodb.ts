import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateTableCommand, waitUntilTableExists } from '@aws-sdk/client-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { startDynamoDb } from '../../local/services/dynamodb/server.ts';
import {
  LIVE_INDEX,
  LIVE_INDEX_PARTITION_KEY,
  LIVE_INDEX_SORT_KEY,
  TABLE_PARTITION_KEY,
  TABLE_SORT_KEY,
} from '../../src/contract/table.ts';
import { createDynamoDBClient } from '../../src/runtime/clients.ts';

export const TABLE = 'batchdrop-test';

/** Makes the table of the contract, and waits until it is there. */
export async function createTable(client: DynamoDBDocumentClient, table = TABLE): Promise<void> {
  await client.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: TABLE_PARTITION_KEY, AttributeType: 'S' },
        { AttributeName: TABLE_SORT_KEY, AttributeType: 'S' },
        { AttributeName: LIVE_INDEX_PARTITION_KEY, AttributeType: 'S' },
        { AttributeName: LIVE_INDEX_SORT_KEY, AttributeType: 'N' },
      ],
      KeySchema: [
        { AttributeName: TABLE_PARTITION_KEY, KeyType: 'HASH' },
        { AttributeName: TABLE_SORT_KEY, KeyType: 'RANGE' },
      ],
      GlobalSecondaryIndexes: [
        {
          IndexName: LIVE_INDEX,
          KeySchema: [
            { AttributeName: LIVE_INDEX_PARTITION_KEY, KeyType: 'HASH' },
            { AttributeName: LIVE_INDEX_SORT_KEY, KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'ALL' },
        },
      ],
    }),
  );
  await waitUntilTableExists({ client, maxWaitTime: 30, minDelay: 1 }, { TableName: table });
}

/**
 * A local DynamoDB with the table of the contract.
 * @param folder that keeps it. Default: one of its own, which is removed.
 */
export async function startLocalDynamoDB(folder?: string): Promise<{
  client: DynamoDBDocumentClient;
  endpoint: string;
  /** Another client of the same table, into whose calls a test may reach. */
  newClient(): DynamoDBDocumentClient;
  close(): Promise<void>;
}> {
  const dir = folder ?? (await mkdtemp(join(tmpdir(), 'batchdrop-dynamodb-')));
  const server = await startDynamoDb({ dir });
  const newClient = () =>
    createDynamoDBClient({
      endpoint: server.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' },
    });
  const client = newClient();
  await createTable(client);
  return {
    client,
    endpoint: server.endpoint,
    newClient,
    close: async () => {
      client.destroy();
      await server.close();
      if (folder === undefined) await rm(dir, { recursive: true, force: true });
    },
  };
}
