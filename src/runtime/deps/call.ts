import type * as z from 'zod';
import type { callEnv } from '../../contract/env.ts';
import { pause } from '../ambient.ts';
import { commonDeps } from './common.ts';
import { createCallApi } from './openai.ts';

export function createCallDeps(config: z.output<typeof callEnv>) {
  const common = commonDeps(config, { call: config.CALL_QUEUE_URL, collect: config.COLLECT_QUEUE_URL });
  return {
    ...common,
    calls: createCallApi(config, common.settings),
    pause,
  };
}
