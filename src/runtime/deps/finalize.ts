import type * as z from 'zod';
import { EventBridgeEvents } from '../../adapters/eventbridge-events.ts';
import type { finalizeEnv } from '../../contract/env.ts';
import { createEventBridgeClient } from '../clients.ts';
import { createBatchApi } from './batches.ts';
import { commonDeps } from './common.ts';

export function createFinalizeDeps(config: z.output<typeof finalizeEnv>) {
  const common = commonDeps(config);
  return {
    ...common,
    batches: createBatchApi(config, common.settings),
    events: new EventBridgeEvents(createEventBridgeClient(), { eventBus: config.EVENT_BUS_NAME }),
  };
}
