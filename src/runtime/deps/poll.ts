import type * as z from 'zod';
import type { pollEnv } from '../../contract/env.ts';
import { commonDeps } from './common.ts';
import { createBatchApi } from './openai.ts';

export function createPollDeps(config: z.output<typeof pollEnv>) {
  return {
    ...commonDeps(config, {
      ingest: config.INGEST_QUEUE_URL,
      submit: config.SUBMIT_QUEUE_URL,
      collect: config.COLLECT_QUEUE_URL,
      finalize: config.FINALIZE_QUEUE_URL,
    }),
    batches: createBatchApi(config),
  };
}
