import { TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { expect, onTestFinished, test } from 'vitest';
import { DynamoDBJobs } from '../../../../src/adapters/dynamodb/jobs.ts';
import { DynamoDBQuota } from '../../../../src/adapters/dynamodb/quota.ts';
import { DynamoDBSuspensions } from '../../../../src/adapters/dynamodb/suspensions.ts';
import { describeAdmissionStores } from '../../../support/contracts/quota.suite.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { MemoryJobs } from '../../../support/memory/jobs.ts';
import { MemoryQuota } from '../../../support/memory/quota.ts';
import { MemorySuspensions } from '../../../support/memory/suspensions.ts';
import { batchOf } from '../../../support/records.ts';

const NOW = 1_790_000_000_000;
const DEMANDS = [{ ledger: 'tokens', amount: 10, limit: 100 }];

describeAdmissionStores('memory', async () => {
  const jobs = new MemoryJobs();
  return { jobs, quota: new MemoryQuota(jobs), suspensions: new MemorySuspensions(), close: async () => {} };
});

describeAdmissionStores('DynamoDB', async () => {
  const { client, close } = await startLocalDynamoDB();
  const table = { table: TABLE };
  return {
    jobs: new DynamoDBJobs(client, table),
    quota: new DynamoDBQuota(client, table),
    suspensions: new DynamoDBSuspensions(client, table),
    close,
  };
});

async function table() {
  const dynamodb = await startLocalDynamoDB();
  onTestFinished(() => dynamodb.close());
  return { ...dynamodb, jobs: new DynamoDBJobs(dynamodb.client, { table: TABLE }) };
}

test('knows its own transaction when the answer was lost and the SDK sends it again', async () => {
  const { jobs, newClient } = await table();
  const client = newClient();
  let sent = 0;
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const result = await next(args);
        if (commandName !== 'TransactWriteItemsCommand' || sent++ > 0) return result;
        // As DynamoDB answers a transaction that it does not know to be the same.
        throw new TransactionCanceledException({
          message: 'cancelled',
          $metadata: {},
          CancellationReasons: [{ Code: 'ConditionalCheckFailed' }, { Code: 'None' }, { Code: 'None' }],
        });
      },
    { step: 'initialize' },
  );
  const quota = new DynamoDBQuota(client, { table: TABLE });
  const batch = batchOf('lost');
  await jobs.createBatch(batch);
  expect(await quota.admit(batch, 'r', DEMANDS, NOW)).toBe('admitted');
  expect(sent).toBe(1);
  expect(await quota.getLedger('tokens')).toMatchObject({ reserved: 10 });
});

test('lets a transaction fail that is cancelled for another reason than a race', async () => {
  const { jobs, newClient } = await table();
  const client = newClient();
  client.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        if (commandName !== 'TransactWriteItemsCommand') return next(args);
        throw new TransactionCanceledException({
          message: 'cancelled',
          $metadata: {},
          CancellationReasons: [{ Code: 'ValidationError' }],
        });
      },
    { step: 'initialize' },
  );
  const batch = batchOf('bad');
  await jobs.createBatch(batch);
  const quota = new DynamoDBQuota(client, { table: TABLE });
  await expect(quota.admit(batch, 'r', DEMANDS, NOW)).rejects.toThrow('cancelled');
});

test('has a settled reservation forgotten after a week, and no other item', async () => {
  const { client, jobs } = await table();
  const quota = new DynamoDBQuota(client, { table: TABLE });
  const batch = batchOf('job');
  await jobs.createBatch(batch);
  await quota.admit(batch, 'r', DEMANDS, NOW);
  const read = async (pk: string, sk: string) =>
    (await client.send(new GetCommand({ TableName: TABLE, Key: { pk, sk } }))).Item!;
  expect(await read('RESERVATION#r', 'RESERVATION')).not.toHaveProperty('expiresAt');
  await quota.settle('r', NOW);
  const settled = await read('RESERVATION#r', 'RESERVATION');
  expect(settled.expiresAt).toBe(NOW / 1000 + 7 * 86_400);
  expect(settled).not.toHaveProperty('live');
  expect(await read('LEDGER#tokens', 'LEDGER')).not.toHaveProperty('expiresAt');
});
