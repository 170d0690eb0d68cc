import { DynamoDBJobGraves } from '../../../src/adapters/dynamodb/job-graves.ts';
import { DynamoDBJobs } from '../../../src/adapters/dynamodb/jobs.ts';
import { describeJobStore } from '../../support/contracts/job-store.suite.ts';
import { startLocalDynamoDB, TABLE } from '../../support/local-dynamodb.ts';
import { MemoryGraves } from '../../support/memory/graves.ts';
import { MemoryJobs } from '../../support/memory/jobs.ts';

describeJobStore('memory', async () => {
  const jobs = new MemoryJobs();
  return { jobs, graves: new MemoryGraves(jobs), close: async () => {} };
});

describeJobStore('DynamoDB', async () => {
  const { client, close } = await startLocalDynamoDB();
  const names = { table: TABLE };
  return { jobs: new DynamoDBJobs(client, names), graves: new DynamoDBJobGraves(client, names), close };
});
