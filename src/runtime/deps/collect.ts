import type * as z from 'zod';
import { TmpScratch } from '../../adapters/tmp-scratch.ts';
import type { collectEnv } from '../../contract/env.ts';
import { ANSWER_RULES } from '../../providers/openai/answer-rules.ts';
import { ENDPOINTS } from '../../providers/openai/endpoints/all.ts';
import { createBatchApi } from './batches.ts';
import { commonDeps } from './common.ts';
import { pricesDeps } from './prices.ts';

export function createCollectDeps(config: z.output<typeof collectEnv>) {
  const common = commonDeps(config);
  return {
    ...common,
    ...pricesDeps(common),
    rules: { ...common.rules, answers: ANSWER_RULES, endpoints: ENDPOINTS },
    batches: createBatchApi(config, common.settings),
    scratch: new TmpScratch(),
  };
}
