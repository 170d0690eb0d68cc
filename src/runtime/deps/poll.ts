import type * as z from 'zod';
import { DynamoDBListing } from '../../adapters/dynamodb/listing.ts';
import { DynamoDBWebhooks } from '../../adapters/dynamodb/webhooks.ts';
import type { pollEnv } from '../../contract/env.ts';
import { DAY_MS } from '../../contract/time.ts';
import { Sampler } from '../../core/steps/poll/sample.ts';
import { createDynamoDBClient } from '../clients.ts';
import { createBatchApi } from './batches.ts';
import { commonDeps } from './common.ts';
import { ownersDeps } from './owners.ts';
import { pricesDeps } from './prices.ts';

export function createPollDeps(config: z.output<typeof pollEnv>) {
  const common = commonDeps(config);
  return {
    ...common,
    ...pricesDeps(common),
    ...ownersDeps(config),
    workKeptMs: config.WORK_KEPT_DAYS * DAY_MS,
    inputs: common.objects,
    sampler: new Sampler(),
    listing: new DynamoDBListing(createDynamoDBClient(), { table: config.TABLE_NAME }),
    batches: createBatchApi(config, common.settings),
    webhooks: new DynamoDBWebhooks(createDynamoDBClient(), { table: config.TABLE_NAME }),
  };
}
