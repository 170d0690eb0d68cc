/** Batches of somebody else in the same project of OpenAI's: one of them of another stage with a similar name. */

import { DEFAULT_API_KEY } from '../../../src/contract/api-key.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { projectOf } from './openai-files.ts';
import type { ServiceBatch, ServiceFile } from './openai-model.ts';
import type { Random } from './random.ts';
import { START_MS } from './scenario.ts';

/**
 * @param index its place among all batches.
 * @param store keeps a file.
 */
export function foreignBatch(
  random: Random,
  index: number,
  store: (owner: string, content: Uint8Array, project: string, filename?: string) => ServiceFile,
): ServiceBatch {
  const createdAt = START_MS + random.whole(-30, 60) * HOUR_MS;
  const isOtherStack = random.chance(0.5);
  const filename = isOtherStack ? 'batchdrop-stack-1-staging-theirs-0-00000-1.jsonl' : 'theirs.jsonl';
  const project = projectOf(DEFAULT_API_KEY, 'first');
  const content = Buffer.from('{"custom_id":"theirs"}\n');
  const input = store('foreign', content, project, filename);
  const batch: ServiceBatch = {
    id: `batch_${String(index).padStart(4, '0')}`,
    project,
    owner: 'foreign',
    jobId: '',
    batchId: '',
    nonce: '',
    inputFileId: input.id,
    endpoint: '/v1/chat/completions',
    metadata: isOtherStack
      ? {
          batchdrop_stack: 'stack-1-staging',
          batchdrop_job: 'theirs',
          batchdrop_batch: '0-00000',
          batchdrop_nonce: `theirs-${index}`,
        }
      : random.pick<Record<string, string>>([{}, { purpose: 'evals' }]),
    createdAt,
    status: random.pick(['validating', 'in_progress', 'completed', 'failed'] as const),
    requests: [],
    uploaded: [],
    fate: 'normal',
    isStormy: false,
    isLate: false,
    steps: [],
    namedAt: 0,
    listedAt: createdAt,
    progress: { total: 1, completed: 1, failed: 0 },
    executions: [],
  };
  batch.output = store('foreign', content, project);
  return batch;
}
