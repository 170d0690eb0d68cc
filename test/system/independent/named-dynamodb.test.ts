/**
 * The contracts on a DynamoDB that a person names by `DYNAMODB_ENDPOINT`, such as DynamoDB Local, whose licence asks for an
 * AWS account in good standing. Without the variable there is nothing to run.
 */
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createDynamoDBClient } from '../../../src/runtime/clients.ts';
import { createTable } from '../../support/local-dynamodb.ts';
import { describeDynamoDBStores } from './dynamodb-contracts.ts';

const endpoint = process.env.DYNAMODB_ENDPOINT || undefined;
/** What is not on this machine may be somebody's account. */
const LOOPBACK = ['127.0.0.1', '[::1]', 'localhost'];
const isOfThisMachine = endpoint !== undefined && LOOPBACK.includes(new URL(endpoint).hostname);

test.skipIf(endpoint === undefined)('DYNAMODB_ENDPOINT names a service on this machine', () => {
  expect(isOfThisMachine, `${endpoint}: expected a URL of ${LOOPBACK.join(', ')}`).toBe(true);
});

if (isOfThisMachine)
  describeDynamoDBStores('the one at DYNAMODB_ENDPOINT', async () => {
    const table = `batchdrop-${randomUUID()}`;
    const client = createDynamoDBClient({
      endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
    await createTable(client, table);
    return { client, table, close: async () => client.destroy() };
  });
