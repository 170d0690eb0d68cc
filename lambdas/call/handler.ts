import { callEnv } from '../../src/contract/env.ts';
import { batchMessageSchema } from '../../src/contract/messages.ts';
import { call } from '../../src/core/steps/call/call.ts';
import { createCallDeps } from '../../src/runtime/deps/call.ts';
import { parseEnv } from '../../src/runtime/env.ts';
import { sweepingFirst } from '../../src/runtime/late-sweep.ts';
import { createQueueHandler } from '../../src/runtime/queue-handler.ts';

const config = parseEnv(callEnv, process.env);
const deps = createCallDeps(config);

/** Call queue: one slice. */
export const handler = createQueueHandler({
  schema: batchMessageSchema,
  queueUrl: config.CALL_QUEUE_URL,
  run: sweepingFirst(deps, config.POLL_INTERVAL_MINUTES, call),
});
