import { type DynamoDBDocumentClient, GetCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DynamoDBJobGraves } from '../../../../src/adapters/dynamodb/job-graves.ts';
import { DynamoDBJobs } from '../../../../src/adapters/dynamodb/jobs.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { batchOf, jobOf } from '../../../support/records.ts';

const BY = 'arn:aws:iam::123456789012:user/one';

async function start() {
  const { client, close } = await startLocalDynamoDB();
  onTestFinished(close);
  const jobs = new DynamoDBJobs(client, { table: TABLE });
  const itemsOf = async (jobId: string) => {
    const { Items = [] } = await client.send(
      new QueryCommand({
        TableName: TABLE,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': `JOB#${jobId}` },
      }),
    );
    return Items.map(({ sk }) => sk as string);
  };
  return { client, jobs, graves: new DynamoDBJobGraves(client, { table: TABLE }), itemsOf };
}

test('a job is buried with its batches and duplicates, others stay, and a second time is fine', async () => {
  const { jobs, graves, itemsOf } = await start();
  for (const jobId of ['one', 'two']) {
    await jobs.createJob(jobOf(jobId));
    await jobs.createBatch(batchOf(jobId));
    await jobs.addDuplicate(jobId, 'three');
  }
  const tombstone = { v: 1, jobId: 'one', forgottenAt: 5, by: BY, reason: 'asked to' } as const;
  expect(await graves.getTombstone('one')).toBeUndefined();
  await graves.bury(tombstone);
  expect(await itemsOf('one')).toEqual([]);
  expect(await jobs.getJob('one')).toBeUndefined();
  expect(await itemsOf('two')).toEqual(['BATCH#0-00000', 'DUPLICATE#three', 'JOB']);
  await graves.bury(tombstone);
  expect(await graves.getTombstone('one')).toEqual(tombstone);
});

describe('what is known of a key beside its jobs', () => {
  const publication = { name: 'b/a', owner: 'input/a.jsonl', order: '2', holder: 'one' };
  const older = { ...publication, order: '1', holder: 'two' };
  const EXPIRES_AT = 1_700_000_000_500;

  async function itemOf(client: DynamoDBDocumentClient, pk: string, sk: string) {
    const { Item } = await client.send(new GetCommand({ TableName: TABLE, Key: { pk, sk } }));
    return Item;
  }

  test('of who has published only the name is left, which expires; who publishes next keeps it', async () => {
    const { client, jobs, graves } = await start();
    const item = () => itemOf(client, 'PUBLICATION#b/a', 'PUBLICATION');
    await jobs.acquirePublication(publication, 0, 100);
    await jobs.releasePublication(publication);
    expect(await graves.forgetPublication(older, EXPIRES_AT)).toBe(false);
    expect(await item()).toMatchObject({ published: { order: '2' } });
    await jobs.holdPublication(older, 0, 100);
    expect(await graves.forgetPublication(older, EXPIRES_AT)).toBe(true);
    const { rev: _, write: __, ...left } = (await item())!;
    expect(left).toEqual({ pk: 'PUBLICATION#b/a', sk: 'PUBLICATION', v: 1, expiresAt: 1_700_000_001 });
    expect(await jobs.acquirePublication({ ...older, holder: 'three' }, 0, 100)).toBe('granted');
    expect(await item()).not.toHaveProperty('expiresAt');
  });

  test('of the latest job only its time is left, which expires; another job is left as it is', async () => {
    const { client, jobs, graves } = await start();
    const item = () => itemOf(client, 'LATEST#b/input/a.jsonl', 'LATEST');
    const first = { jobId: 'one', lastModified: 1_000 };
    await graves.forgetLatest('b/input/a.jsonl', first, EXPIRES_AT);
    expect(await item()).toBeUndefined();
    await jobs.recordLatest('b/input/a.jsonl', first);
    await graves.forgetLatest('b/input/a.jsonl', { ...first, jobId: 'two' }, EXPIRES_AT);
    expect(await item()).toMatchObject({ job: first });
    await graves.forgetLatest('b/input/a.jsonl', first, EXPIRES_AT);
    expect(await item()).toMatchObject({ lastModified: 1_000, expiresAt: 1_700_000_001 });
    expect(JSON.stringify(await item())).not.toContain('one');
    const second = { jobId: 'two', lastModified: 2_000 };
    expect(await jobs.recordLatest('b/input/a.jsonl', second)).toBeUndefined();
    expect(await item()).not.toHaveProperty('expiresAt');
  });
});
