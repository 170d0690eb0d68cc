import { DynamoDBPauses } from '../../../../src/adapters/dynamodb/pauses.ts';
import { describePauseStore } from '../../../support/contracts/pause-store.suite.ts';
import { startLocalDynamoDB, TABLE } from '../../../support/local-dynamodb.ts';
import { MemoryPauses } from '../../../support/memory/pauses.ts';

describePauseStore('memory', async () => ({ pauses: new MemoryPauses(), close: async () => {} }));

describePauseStore('DynamoDB', async () => {
  const { client, close } = await startLocalDynamoDB();
  return { pauses: new DynamoDBPauses(client, { table: TABLE }), close };
});
