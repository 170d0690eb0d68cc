import type * as z from 'zod';
import type { submitEnv } from '../../contract/env.ts';
import { createBatchApi } from './batches.ts';
import { commonDeps } from './common.ts';

export function createSubmitDeps(config: z.output<typeof submitEnv>) {
  const { CREATE_SETTLES_SECONDS: seconds } = config;
  const common = commonDeps(config);
  return {
    ...common,
    batches: createBatchApi(config, common.settings),
    ...(seconds === undefined ? {} : { createSettles: { createMs: seconds * 1000, listMs: seconds * 1000 } }),
  };
}
