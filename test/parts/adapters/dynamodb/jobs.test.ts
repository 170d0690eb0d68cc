import { GetCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { DynamoDBJobs } from '../../../../src/adapters/dynamodb/jobs.ts';
import { all } from '../../../support/contracts/job-store.suite.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { batchOf, batchWrite, jobOf, jobWrite } from '../../../support/records.ts';

const NOW = 1_790_000_000_000;
const FAR = NOW + 1_000_000_000;

let dynamodb: Awaited<ReturnType<typeof startLocalDynamoDB>>;
let jobs: DynamoDBJobs;

beforeAll(async () => {
  dynamodb = await startLocalDynamoDB();
  jobs = new DynamoDBJobs(dynamodb.client, { table: TABLE });
});
afterAll(() => dynamodb?.close());

const keyOf = (jobId: string, sk = 'JOB') => ({ TableName: TABLE, Key: { pk: `JOB#${jobId}`, sk } });

function setAttribute(jobId: string, sk: string, name: string, value: unknown) {
  return dynamodb.client.send(
    new UpdateCommand({
      ...keyOf(jobId, sk),
      UpdateExpression: 'SET #name = :value',
      ExpressionAttributeNames: { '#name': name },
      ExpressionAttributeValues: { ':value': value },
    }),
  );
}

describe('items of other deployments', () => {
  test('ignores attributes that it does not know, and keeps them when it writes', async () => {
    const batch = batchOf('later');
    await jobs.createBatch(batch);
    await jobs.createJob(jobOf('later'));
    await setAttribute('later', `BATCH#${batch.batchId}`, 'shape', 'flex');
    await setAttribute('later', 'JOB', 'budget', { usd: 5 });
    expect(await jobs.getBatch('later', batch.batchId)).toEqual(batch);
    await jobs.moveBatch(batch, batchWrite('planned', { state: 'uploaded' }), NOW);
    await jobs.moveJob('later', jobWrite('ingesting', { state: 'running' }), NOW);
    const batchItem = await dynamodb.client.send(new GetCommand(keyOf('later', `BATCH#${batch.batchId}`)));
    expect(batchItem.Item).toMatchObject({ state: 'uploaded', shape: 'flex' });
    const jobItem = await dynamodb.client.send(new GetCommand(keyOf('later')));
    expect(jobItem.Item).toMatchObject({ state: 'running', budget: { usd: 5 } });
  });

  test('reads a route that has more or fewer settings than it knows', async () => {
    const job = jobOf('route');
    const { maxTries: _, ...route } = job.route;
    await jobs.createJob(job);
    await setAttribute('route', 'JOB', 'route', { ...route, window: '4h' });
    expect((await jobs.getJob('route'))!.route).toEqual({ ...route, maxTries: 3 });
  });

  test('fails, naming item and version, on a version that it does not know', async () => {
    await jobs.createJob(jobOf('newer'));
    await setAttribute('newer', 'JOB', 'v', 2);
    await expect(jobs.getJob('newer')).rejects.toThrow(
      'item JOB#newer JOB of table batchdrop-test has version 2, this deployment reads version 1',
    );
    await expect(jobs.moveJob('newer', jobWrite('ingesting', { state: 'running' }), NOW)).rejects.toThrow(
      'version 2',
    );
    await setAttribute('newer', 'JOB', 'v', 1);
  });

  test('fails, naming the attribute but not its value, on an item that it cannot read', async () => {
    await jobs.createJob(jobOf('odd'));
    await setAttribute('odd', 'JOB', 'planKey', { secret: 'value' });
    const reading = jobs.getJob('odd');
    await expect(reading).rejects.toThrow(/item JOB#odd JOB .* planKey: /);
    await expect(reading).rejects.not.toThrow(/value/);
    await setAttribute('odd', 'JOB', 'planKey', 'work/plan');
  });

  test('lists the items that it can read before it fails on one that it cannot', async () => {
    const submitted = { state: 'submitted' } as const;
    for (const index of [0, 1, 2]) await jobs.createBatch(batchOf('mixed', index, submitted));
    await setAttribute('mixed', 'BATCH#0-00001', 'v', 9);
    const seen: string[] = [];
    const listing = (async () => {
      for await (const { batchId } of jobs.listAtOpenAI()) seen.push(batchId);
    })();
    await expect(listing).rejects.toThrow('BATCH#0-00001 of table batchdrop-test has version 9');
    expect(seen.sort()).toEqual(['0-00000', '0-00002']);
    await setAttribute('mixed', 'BATCH#0-00001', 'v', 1);
    expect(await all(jobs.listAtOpenAI())).toHaveLength(3);
  });
});

describe('the index', () => {
  test('holds no attribute of an item that needs nothing', async () => {
    const batch = batchOf('done');
    await jobs.createBatch(batch);
    await jobs.moveBatch(batch, batchWrite('planned', { state: 'collected' }), NOW);
    const { Item } = await dynamodb.client.send(new GetCommand(keyOf('done', `BATCH#${batch.batchId}`)));
    expect(Item).not.toHaveProperty('live');
    expect(Item).not.toHaveProperty('due');
  });

  test('pages through more items than one answer holds', async () => {
    const lastError = 'x'.repeat(20_000);
    for (let index = 0; index < 60; index += 1) {
      await jobs.createBatch(batchOf('paged', index, { state: 'admitted', wait: { lastError } }));
    }
    const due = (await all(jobs.listOverdue(FAR))).filter(
      (item) => item.kind === 'batch' && item.batch.jobId === 'paged',
    );
    expect(due).toHaveLength(60);
  });
});

describe('an answer that is lost', () => {
  /** A store whose next write is carried out, but whose answer does not come: the SDK sends the write again. */
  function storeWithLostAnswer(command: string) {
    const client = dynamodb.newClient();
    onTestFinished(() => client.destroy());
    let writes = 0;
    client.middlewareStack.add(
      (next, context) => async (args) => {
        if (context.commandName !== command) return next(args);
        writes += 1;
        const isFirst = writes === 1;
        const result = await next(args);
        if (!isFirst) return result;
        throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET', name: 'TimeoutError' });
      },
      // Inside of the SDK's retries.
      { step: 'deserialize', priority: 'high' },
    );
    return { lossy: new DynamoDBJobs(client, { table: TABLE }), writes: () => writes };
  }

  test('is not taken for somebody else: a new batch is new', async () => {
    const { lossy, writes } = storeWithLostAnswer('TransactWriteItemsCommand');
    expect(await lossy.createBatch(batchOf('lost1'))).toBe(true);
    expect(writes()).toBe(2);
    expect(await lossy.createBatch(batchOf('lost1'))).toBe(false);
  });

  test('is not taken for somebody else: an update holds', async () => {
    const batch = batchOf('lost2');
    await jobs.createBatch(batch);
    const { lossy, writes } = storeWithLostAnswer('UpdateItemCommand');
    expect(await lossy.moveBatch(batch, batchWrite('planned', { state: 'uploaded' }), NOW + 1)).toMatchObject(
      { state: 'uploaded', updatedAt: NOW + 1 },
    );
    expect(writes()).toBe(2);
  });

  test('is not taken for somebody else: a lease is held', async () => {
    const { lossy, writes } = storeWithLostAnswer('UpdateItemCommand');
    expect(await lossy.acquireLease('lost3', NOW, NOW + 100)).toBe(1);
    expect(writes()).toBe(2);
  });

  test('is not taken for somebody else: a publication is granted', async () => {
    const { lossy, writes } = storeWithLostAnswer('UpdateItemCommand');
    const publication = { name: 'lost4', owner: 'input/a', order: '1', holder: 'h' };
    expect(await lossy.acquirePublication(publication, NOW, NOW + 100)).toBe('granted');
    expect(writes()).toBe(2);
  });
});

test('fails when an item that a lease is kept in is not as it was written', async () => {
  await dynamodb.client.send(
    new PutCommand({ TableName: TABLE, Item: { pk: 'LEASE#odd', sk: 'LEASE', token: 'x', until: 0 } }),
  );
  await expect(jobs.acquireLease('odd', NOW, NOW + 1)).rejects.toThrow('LEASE#odd');
});
