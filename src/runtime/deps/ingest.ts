import type * as z from 'zod';
import { loadTokenizer } from '../../adapters/gpt-tokenizer.ts';
import type { ingestEnv } from '../../contract/env.ts';
import { commonDeps } from './common.ts';

export function createIngestDeps(config: z.output<typeof ingestEnv>) {
  const common = commonDeps(config, {
    ingest: config.INGEST_QUEUE_URL,
    submit: config.SUBMIT_QUEUE_URL,
    call: config.CALL_QUEUE_URL,
    collect: config.COLLECT_QUEUE_URL,
    finalize: config.FINALIZE_QUEUE_URL,
  });
  return { ...common, inputs: common.objects, tokenizerOf: loadTokenizer };
}
