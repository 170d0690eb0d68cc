import { collectEnv } from '../../src/contract/env.ts';
import { batchMessageSchema } from '../../src/contract/messages.ts';
import { collect } from '../../src/core/steps/collect/collect.ts';
import { createCollectDeps } from '../../src/runtime/deps/collect.ts';
import { parseEnv } from '../../src/runtime/env.ts';
import { sweepingFirst } from '../../src/runtime/late-sweep.ts';
import { createQueueHandler } from '../../src/runtime/queue-handler.ts';

const config = parseEnv(collectEnv, process.env);
const deps = createCollectDeps(config);

/** Collect queue: one batch. */
export const handler = createQueueHandler({
  schema: batchMessageSchema,
  queueUrl: config.COLLECT_QUEUE_URL,
  run: sweepingFirst(deps, config.POLL_INTERVAL_MINUTES, collect),
});
