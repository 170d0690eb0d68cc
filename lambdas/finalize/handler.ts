import { finalizeEnv } from '../../src/contract/env.ts';
import { jobMessageSchema } from '../../src/contract/messages.ts';
import { finalize } from '../../src/core/steps/finalize/finalize.ts';
import { createFinalizeDeps } from '../../src/runtime/deps/finalize.ts';
import { parseEnv } from '../../src/runtime/env.ts';
import { sweepingFirst } from '../../src/runtime/late-sweep.ts';
import { createQueueHandler } from '../../src/runtime/queue-handler.ts';

const config = parseEnv(finalizeEnv, process.env);
const deps = createFinalizeDeps(config);

/** Finalize queue: one job. */
export const handler = createQueueHandler({
  schema: jobMessageSchema,
  queueUrl: config.FINALIZE_QUEUE_URL,
  run: sweepingFirst(deps, config.POLL_INTERVAL_MINUTES, finalize),
});
