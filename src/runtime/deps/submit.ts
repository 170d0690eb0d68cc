import type * as z from 'zod';
import type { submitEnv } from '../../contract/env.ts';
import { commonDeps } from './common.ts';
import { createBatchApi } from './openai.ts';

export function createSubmitDeps(config: z.output<typeof submitEnv>) {
  const { SUBMIT_QUEUE_URL, CREATE_SETTLES_SECONDS: seconds } = config;
  const common = commonDeps(config, { submit: SUBMIT_QUEUE_URL });
  return {
    ...common,
    batches: createBatchApi(config, common.settings),
    ...(seconds === undefined ? {} : { createSettles: { createMs: seconds * 1000, listMs: seconds * 1000 } }),
  };
}
