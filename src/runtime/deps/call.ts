import type * as z from 'zod';
import type { callEnv } from '../../contract/env.ts';
import { pause } from '../ambient.ts';
import { commonDeps } from './common.ts';
import { createCallApi } from './openai.ts';

export function createCallDeps(config: z.output<typeof callEnv>) {
  const common = commonDeps(config);
  return {
    ...common,
    calls: createCallApi(config, common.settings),
    pause,
  };
}
