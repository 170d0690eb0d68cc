import { DynamoDBJobs } from '../../../src/adapters/dynamodb/jobs.ts';
import { describeJobStore } from '../../support/contracts/job-store.suite.ts';
import { startLocalDynamoDB, TABLE } from '../../support/local-dynamodb.ts';
import { MemoryJobs } from '../../support/memory/jobs.ts';

describeJobStore('memory', async () => ({ jobs: new MemoryJobs(), close: async () => {} }));

describeJobStore('DynamoDB', async () => {
  const { client, close } = await startLocalDynamoDB();
  return { jobs: new DynamoDBJobs(client, { table: TABLE }), close };
});
