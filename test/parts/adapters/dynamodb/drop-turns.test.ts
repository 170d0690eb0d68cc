import { DynamoDBDropTurns } from '../../../../src/adapters/dynamodb/drop-turns.ts';
import { DynamoDBJobs } from '../../../../src/adapters/dynamodb/jobs.ts';
import { describeDropTurnStore } from '../../../support/contracts/drop-turn-store.suite.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { MemoryDropTurns } from '../../../support/memory/drop-turns.ts';
import { MemoryJobs } from '../../../support/memory/jobs.ts';

describeDropTurnStore('memory', async () => {
  const jobs = new MemoryJobs();
  return { jobs, drops: new MemoryDropTurns(jobs), close: async () => {} };
});

describeDropTurnStore('DynamoDB', async () => {
  const { client, close } = await startLocalDynamoDB();
  const names = { table: TABLE };
  return { jobs: new DynamoDBJobs(client, names), drops: new DynamoDBDropTurns(client, names), close };
});
