import type * as z from 'zod';
import { DynamoDBListing } from '../../adapters/dynamodb-listing.ts';
import type { pollEnv } from '../../contract/env.ts';
import { createDynamoDBClient } from '../clients.ts';
import { commonDeps } from './common.ts';
import { createBatchApi } from './openai.ts';

export function createPollDeps(config: z.output<typeof pollEnv>) {
  const common = commonDeps(config, {
    ingest: config.INGEST_QUEUE_URL,
    submit: config.SUBMIT_QUEUE_URL,
    call: config.CALL_QUEUE_URL,
    collect: config.COLLECT_QUEUE_URL,
    finalize: config.FINALIZE_QUEUE_URL,
  });
  return {
    ...common,
    inputs: common.objects,
    listing: new DynamoDBListing(createDynamoDBClient(), { table: config.TABLE_NAME }),
    batches: createBatchApi(config),
  };
}
