import type * as z from 'zod';
import { loadTokenizer } from '../../adapters/gpt-tokenizer.ts';
import type { ingestEnv } from '../../contract/env.ts';
import { commonDeps } from './common.ts';

export function createIngestDeps(config: z.output<typeof ingestEnv>) {
  const common = commonDeps(config);
  return { ...common, inputs: common.objects, tokenizerOf: loadTokenizer };
}
