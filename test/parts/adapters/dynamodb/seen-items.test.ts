/** What a process has seen of the table saves reads, and is never believed where another process has written since. */
import { GetCommand, TransactWriteCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DynamoDBJobs } from '../../../../src/adapters/dynamodb/jobs.ts';
import { DynamoDBQuota } from '../../../../src/adapters/dynamodb/quota.ts';
import { SeenItems } from '../../../../src/adapters/dynamodb/seen-items.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { batchOf, batchWrite } from '../../../support/records.ts';

const NOW = 1_790_000_000_000;

let dynamodb: Awaited<ReturnType<typeof startLocalDynamoDB>>;
beforeAll(async () => {
  dynamodb = await startLocalDynamoDB();
});
afterAll(() => dynamodb?.close());

/** The adapters of one process, and what it sends. */
function newProcess() {
  const client = dynamodb.newClient();
  const sent: string[] = [];
  const send = client.send.bind(client) as (command: unknown) => Promise<unknown>;
  client.send = ((command: object) => {
    if (command instanceof GetCommand) sent.push('get');
    if (command instanceof UpdateCommand) sent.push('update');
    if (command instanceof TransactWriteCommand) sent.push('transact');
    return send(command);
  }) as typeof client.send;
  const names = { table: TABLE };
  return {
    jobs: new DynamoDBJobs(client, names),
    quota: new DynamoDBQuota(client, names),
    sent: () => sent.splice(0),
  };
}

test('a write after a read, or after a write, of the same item reads nothing', async () => {
  const one = newProcess();
  const batch = batchOf('mine');
  await one.jobs.createBatch(batch);
  await one.jobs.moveBatch(batch, batchWrite('planned', { state: 'uploaded' }), NOW);
  const claimed = await one.jobs.leaseBatch(batch, 'uploaded', 'me', NOW, NOW + 1);
  expect(one.sent()).toEqual(['transact', 'update', 'update']);
  expect(claimed).toEqual(await one.jobs.getBatch('mine', batch.batchId));
});

test('a write of another process in between is seen, and nothing of it is lost', async () => {
  const [one, other] = [newProcess(), newProcess()];
  const batch = batchOf('both');
  await one.jobs.createBatch(batch);
  await other.jobs.moveBatch(batch, batchWrite('planned', { wait: { lastError: 'theirs' } }), NOW);
  const written = await one.jobs.moveBatch(batch, batchWrite('planned', { hold: { reason: 'ours' } }), NOW);
  expect(written).toMatchObject({ wait: { lastError: 'theirs' }, hold: { reason: 'ours' } });
});

test('a change that what was seen forbids is made if what is there now allows it, and the other way round', async () => {
  const [one, other] = [newProcess(), newProcess()];
  const batch = batchOf('moves');
  await one.jobs.createBatch(batch);
  await other.jobs.moveBatch(batch, batchWrite('planned', { state: 'ended' }), NOW);
  expect(await one.jobs.leaseBatch(batch, 'ended', 'me', NOW, NOW + 1)).toMatchObject({
    lease: { holder: 'me' },
  });
  await other.jobs.moveBatch(batch, batchWrite('ended', { state: 'collected' }), NOW, 'me');
  expect(await one.jobs.moveBatch(batch, batchWrite('ended', {}), NOW, 'me')).toBeUndefined();
});

test('an admission of what was just recorded is one read of each new ledger and one transaction', async () => {
  const [one, other] = [newProcess(), newProcess()];
  const demand = { ledger: 'tokens/seen', amount: 10, limit: 15 };
  const [first, second] = [batchOf('first'), batchOf('second')];
  for (const batch of [first, second]) await one.jobs.createBatch(batch);
  one.sent();
  expect(await one.quota.admit(first, 'r1', [demand], NOW)).toBe('admitted');
  expect(one.sent()).toEqual(['get', 'transact']);
  // Another process has given it back: what was seen says full, what is there does not.
  expect(await other.quota.settle('r1', NOW)).toBe(true);
  expect(await one.quota.admit(second, 'r2', [demand], NOW)).toBe('admitted');
  expect(await one.quota.settle('r2', NOW)).toBe(true);
  expect(await one.quota.settle('r2', NOW)).toBe(false);
  expect(await one.quota.settle('r1', NOW)).toBe(false);
  expect(await other.quota.getLedger('tokens/seen')).toMatchObject({ reserved: 0 });
});

test('only the last thousand items are kept', () => {
  const seen = new SeenItems();
  for (let index = 0; index <= 1_000; index++) seen.note({ pk: `${index}`, sk: 'x' }, { index });
  expect(seen.find({ pk: '0', sk: 'x' })).toBeUndefined();
  expect(seen.find({ pk: '1', sk: 'x' })).toEqual({ item: { index: 1 } });
});
