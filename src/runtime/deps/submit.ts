import type * as z from 'zod';
import type { submitEnv } from '../../contract/env.ts';
import { commonDeps } from './common.ts';
import { createBatchApi } from './openai.ts';

export function createSubmitDeps(config: z.output<typeof submitEnv>) {
  return { ...commonDeps(config, { submit: config.SUBMIT_QUEUE_URL }), batches: createBatchApi(config) };
}
