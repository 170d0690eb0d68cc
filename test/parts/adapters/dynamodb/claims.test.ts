import { afterAll, beforeAll, expect, test } from 'vitest';
import { freeAllLeases } from '../../../../src/adapters/dynamodb/free-leases.ts';
import { DynamoDBJobs } from '../../../../src/adapters/dynamodb/jobs.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { batchOf, jobOf, jobWrite } from '../../../support/records.ts';

const NOW = 1_790_000_000_000;
const FAR = NOW + 1_000_000;

let server: Awaited<ReturnType<typeof startLocalDynamoDB>>;
let jobs: DynamoDBJobs;
beforeAll(async () => {
  server = await startLocalDynamoDB();
  jobs = new DynamoDBJobs(server.client, { table: TABLE });
});
afterAll(() => server.close());

test('everything that dead workers hold is free at once, due at once, and else as it was', async () => {
  const job = jobOf('held');
  await jobs.createJob(job);
  await jobs.leaseJob('held', 'ingesting', 'dead', NOW, FAR);
  const ingest = { starts: 3, restarts: 1 };
  await jobs.moveJob('held', jobWrite('ingesting', { ingest }), NOW, 'dead');
  const batch = batchOf('held', 0, { state: 'admitted' });
  await jobs.createBatch(batch);
  await jobs.leaseBatch(batch, 'admitted', 'dead', NOW, FAR);
  const idle = batchOf('held', 1, { state: 'admitted' });
  await jobs.createBatch(idle);
  const token = (await jobs.acquireLease('poll', NOW, FAR))!;
  const publication = { name: 'n', owner: 'o', order: '2', holder: 'dead' };
  await jobs.acquirePublication(publication, NOW, FAR);

  expect(await freeAllLeases(server.client, { table: TABLE }, NOW)).toBe(4);

  expect(await jobs.getJob('held')).toEqual({ ...job, ingest: { ...ingest, starts: 0 } });
  expect(await jobs.getBatch('held', batch.batchId)).toEqual(batch);
  const overdue = (await Array.fromAsync(jobs.listOverdue(NOW))).map((item) =>
    item.kind === 'job' ? item.jobId : item.batch.batchId,
  );
  expect(overdue.sort()).toEqual([batch.batchId, 'held'].sort());
  expect(await jobs.acquireLease('poll', NOW, FAR)).toBe(token + 1);
  expect(await jobs.acquirePublication({ ...publication, holder: 'other' }, NOW, FAR)).toBe('granted');
  await jobs.releaseLease('poll', token + 1);
  await jobs.abandonPublication({ ...publication, holder: 'other' });
  expect(await freeAllLeases(server.client, { table: TABLE }, NOW)).toBe(0);
});
