/** The contracts of all stores in DynamoDB. */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { DynamoDBIgnoredDrops } from '../../../src/adapters/dynamodb/ignored-drops.ts';
import { DynamoDBJobGraves } from '../../../src/adapters/dynamodb/job-graves.ts';
import { DynamoDBJobIndex } from '../../../src/adapters/dynamodb/job-index.ts';
import { DynamoDBJobs } from '../../../src/adapters/dynamodb/jobs.ts';
import { DynamoDBPauses } from '../../../src/adapters/dynamodb/pauses.ts';
import { DynamoDBQuota } from '../../../src/adapters/dynamodb/quota.ts';
import { DynamoDBSuspensions } from '../../../src/adapters/dynamodb/suspensions.ts';
import { DynamoDBWebhooks } from '../../../src/adapters/dynamodb/webhooks.ts';
import { describeIgnoredDropStore } from '../../support/contracts/ignored-drop-store.suite.ts';
import { describeJobIndex } from '../../support/contracts/job-index.suite.ts';
import { describeJobStore } from '../../support/contracts/job-store.suite.ts';
import { describePauseStore } from '../../support/contracts/pause-store.suite.ts';
import { describeAdmissionStores } from '../../support/contracts/quota.suite.ts';
import { describeWebhookStore } from '../../support/contracts/webhook-store.suite.ts';

/**
 * @param open gives a client, and the name of a table of the contract that holds nothing.
 * @param longLists see {@link describeJobStore}.
 */
export function describeDynamoDBStores(
  service: string,
  open: () => Promise<{ client: DynamoDBDocumentClient; table: string; close(): Promise<void> }>,
  longLists?: { manyBatches: number },
): void {
  describeJobStore(
    service,
    async () => {
      const { client, close, ...table } = await open();
      return { jobs: new DynamoDBJobs(client, table), graves: new DynamoDBJobGraves(client, table), close };
    },
    longLists,
  );
  describeAdmissionStores(service, async () => {
    const { client, close, ...table } = await open();
    return {
      jobs: new DynamoDBJobs(client, table),
      quota: new DynamoDBQuota(client, table),
      suspensions: new DynamoDBSuspensions(client, table),
      close,
    };
  });
  describeJobIndex(service, async () => {
    const { client, close, ...table } = await open();
    return { index: new DynamoDBJobIndex(client, table), close };
  });
  describePauseStore(service, async () => {
    const { client, close, ...table } = await open();
    return { pauses: new DynamoDBPauses(client, table), close };
  });
  describeIgnoredDropStore(service, async () => {
    const { client, close, ...table } = await open();
    return { store: new DynamoDBIgnoredDrops(client, table), close };
  });
  describeWebhookStore(service, async () => {
    const { client, close, ...table } = await open();
    return { webhooks: new DynamoDBWebhooks(client, table), close };
  });
}
