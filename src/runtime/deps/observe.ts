import type * as z from 'zod';
import { DynamoDBWebhooks } from '../../adapters/dynamodb/webhooks.ts';
import type { observeEnv } from '../../contract/env.ts';
import { RecentIds } from '../../core/base/recent-ids.ts';
import { createDynamoDBClient } from '../clients.ts';
import { backgroundWith } from './background.ts';
import { createBatchApi } from './batches.ts';
import { commonDeps } from './common.ts';
import { clientsByKey } from './openai.ts';

/** Webhooks about work of others that a process remembers: so many come in the minutes in which one may come again. */
const REMEMBERED_STRANGERS = 10_000;

export function createObserveDeps(config: z.output<typeof observeEnv>) {
  const common = commonDeps(config);
  return {
    ...common,
    batches: createBatchApi(config, common.settings),
    background: backgroundWith(clientsByKey(config, common.settings)),
    webhooks: new DynamoDBWebhooks(createDynamoDBClient(), { table: config.TABLE_NAME }),
    strangers: new RecentIds(REMEMBERED_STRANGERS),
  };
}
