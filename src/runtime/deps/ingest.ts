import type * as z from 'zod';
import { DynamoDBIgnoredDrops } from '../../adapters/dynamodb/ignored-drops.ts';
import { DynamoDBListing } from '../../adapters/dynamodb/listing.ts';
import { EventBridgeEvents } from '../../adapters/eventbridge-events.ts';
import type { ingestEnv } from '../../contract/env.ts';
import { ENDPOINTS } from '../../providers/openai/endpoints/all.ts';
import { loadTokenizer } from '../../providers/openai/gpt-tokenizer.ts';
import { MODEL_RULES } from '../../providers/openai/model-rules.ts';
import { PREFLIGHT_RULES } from '../../providers/openai/preflight.ts';
import { createDynamoDBClient, createEventBridgeClient } from '../clients.ts';
import { commonDeps } from './common.ts';
import { ownersDeps } from './owners.ts';
import { pricesDeps } from './prices.ts';

export function createIngestDeps(config: z.output<typeof ingestEnv>) {
  const common = commonDeps(config);
  const dynamodb = createDynamoDBClient();
  const table = { table: config.TABLE_NAME };
  return {
    ...common,
    ...pricesDeps(common),
    ...ownersDeps(config),
    rules: { ...common.rules, endpoints: ENDPOINTS, models: MODEL_RULES, preflight: PREFLIGHT_RULES },
    inputs: common.objects,
    listing: new DynamoDBListing(dynamodb, table),
    ignoredDrops: new DynamoDBIgnoredDrops(dynamodb, table),
    events: new EventBridgeEvents(createEventBridgeClient(), { eventBus: config.EVENT_BUS_NAME }),
    tokenizerOf: loadTokenizer,
  };
}
