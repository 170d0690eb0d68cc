import { QueryCommand } from '@aws-sdk/lib-dynamodb';
import { expect, onTestFinished, test } from 'vitest';
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
  return { jobs, graves: new DynamoDBJobGraves(client, { table: TABLE }), itemsOf };
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
