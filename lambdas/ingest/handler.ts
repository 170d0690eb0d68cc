import { ingestEnv } from '../../src/contract/env.ts';
import { ingestMessageSchema } from '../../src/contract/messages.ts';
import { ingest } from '../../src/core/steps/ingest/ingest.ts';
import { createIngestDeps } from '../../src/runtime/deps/ingest.ts';
import { parseEnv } from '../../src/runtime/env.ts';
import { sweepingFirst } from '../../src/runtime/late-sweep.ts';
import { createQueueHandler } from '../../src/runtime/queue-handler.ts';

const config = parseEnv(ingestEnv, process.env);
const deps = createIngestDeps(config);

/** Ingest queue: an S3 event, or a job to take up again. */
export const handler = createQueueHandler({
  schema: ingestMessageSchema,
  queueUrl: config.INGEST_QUEUE_URL,
  run: sweepingFirst(deps, config.POLL_INTERVAL_MINUTES, ingest),
});
