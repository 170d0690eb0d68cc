import { submitEnv } from '../../src/contract/env.ts';
import { batchMessageSchema } from '../../src/contract/messages.ts';
import { submit } from '../../src/core/steps/submit/submit.ts';
import { createSubmitDeps } from '../../src/runtime/deps/submit.ts';
import { parseEnv } from '../../src/runtime/env.ts';
import { sweepingFirst } from '../../src/runtime/late-sweep.ts';
import { createQueueHandler } from '../../src/runtime/queue-handler.ts';

const config = parseEnv(submitEnv, process.env);
const deps = createSubmitDeps(config);

/** Submit queue: one batch. */
export const handler = createQueueHandler({
  schema: batchMessageSchema,
  queueUrl: config.SUBMIT_QUEUE_URL,
  run: sweepingFirst(deps, config.POLL_INTERVAL_MINUTES, submit),
});
