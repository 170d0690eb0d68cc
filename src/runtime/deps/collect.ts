import type * as z from 'zod';
import { TmpScratch } from '../../adapters/tmp-scratch.ts';
import type { collectEnv } from '../../contract/env.ts';
import { commonDeps } from './common.ts';
import { createBatchApi } from './openai.ts';

export function createCollectDeps(config: z.output<typeof collectEnv>) {
  const common = commonDeps(config);
  return {
    ...common,
    batches: createBatchApi(config, common.settings),
    scratch: new TmpScratch(),
  };
}
