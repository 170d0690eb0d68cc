/** A webhook about a batch. */
import type { ObserveMessage } from '../../../contract/messages.ts';
import { isOurs, recordKeyOf } from '../../lifecycle/ownership.ts';
import { apiKeyOf, isTerminal } from '../../model/batch.ts';
import type { JobStore } from '../../ports/records.ts';
import { type ObserveBatchDeps, observeBatch } from '../../scheduling/observe-batch.ts';
import type { Look } from './look.ts';

/** What a look at a batch takes. */
export interface ObserveBatchesDeps extends ObserveBatchDeps {
  stackId: string;
  jobs: ObserveBatchDeps['jobs'] & Pick<JobStore, 'getBatch'>;
}

/** Reads the batch that a webhook names, and records what OpenAI shows of it if it is ours. */
export async function lookAtBatch(
  deps: ObserveBatchesDeps,
  { objectId, apiKey }: ObserveMessage,
): Promise<Look> {
  const remote = await deps.batches.withKey(apiKey).getBatch(objectId);
  if (remote === undefined) return { found: 'missing' };
  if (!isOurs(deps.stackId, remote)) return { found: 'foreign' };
  const key = recordKeyOf(remote);
  const batch = key && (await deps.jobs.getBatch(key.jobId, key.batchId));
  // What the table has lost is the poll's to find.
  if (key === undefined || batch === undefined) return { found: 'foreign' };
  // The answer to its create is not recorded yet, or got lost.
  if (batch.state === 'submitting' && batch.attempt?.nonce === key.nonce) return { found: 'early' };
  if (batch.state === 'submitted' && batch.remote?.openaiBatchId === remote.id)
    await observeBatch(deps, batch, remote);
  // OpenAI's services do not all know at once that it has ended.
  if (!isTerminal(remote.status)) return { found: 'early' };
  const { jobId, batchId } = batch;
  return { found: 'ours', batch: { jobId, batchId }, apiKey: apiKeyOf(batch) };
}
