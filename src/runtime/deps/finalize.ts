import type * as z from 'zod';
import { DynamoDBJobIndex } from '../../adapters/dynamodb/job-index.ts';
import { EventBridgeEvents } from '../../adapters/eventbridge-events.ts';
import type { finalizeEnv } from '../../contract/env.ts';
import { createDynamoDBClient, createEventBridgeClient } from '../clients.ts';
import { createBatchApi } from './batches.ts';
import { commonDeps } from './common.ts';
import { pricesDeps } from './prices.ts';

export function createFinalizeDeps(config: z.output<typeof finalizeEnv>) {
  const common = commonDeps(config);
  return {
    ...common,
    ...pricesDeps(common),
    index: new DynamoDBJobIndex(createDynamoDBClient(), { table: config.TABLE_NAME }),
    batches: createBatchApi(config, common.settings),
    events: new EventBridgeEvents(createEventBridgeClient(), { eventBus: config.EVENT_BUS_NAME }),
  };
}
