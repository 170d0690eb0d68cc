import { observeEnv } from '../../src/contract/env.ts';
import { observeMessageSchema } from '../../src/contract/messages.ts';
import { observe } from '../../src/core/steps/observe/observe.ts';
import { createObserveDeps } from '../../src/runtime/deps/observe.ts';
import { parseEnv } from '../../src/runtime/env.ts';
import { sweepingFirst } from '../../src/runtime/late-sweep.ts';
import { createQueueHandler } from '../../src/runtime/queue-handler.ts';

const config = parseEnv(observeEnv, process.env);
const deps = createObserveDeps(config);

/** Observe queue: what a webhook names. */
export const handler = createQueueHandler({
  schema: observeMessageSchema,
  queueUrl: config.OBSERVE_QUEUE_URL,
  run: sweepingFirst(deps, config.POLL_INTERVAL_MINUTES, observe),
});
