import { DynamoDBJobs } from '../../src/adapters/dynamodb/jobs.ts';
import { MemoryJobs } from '../support/memory/jobs.ts';
import { describeJobStore } from './job-store.suite.ts';
import { startLocalDynamoDB, TABLE } from './local-dynamodb.ts';

describeJobStore('memory', async () => ({ jobs: new MemoryJobs(), close: async () => {} }));

describeJobStore('DynamoDB', async () => {
  const { client, close } = await startLocalDynamoDB();
  return { jobs: new DynamoDBJobs(client, { table: TABLE }), close };
});
