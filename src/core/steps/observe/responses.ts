/** A webhook about a response that was made in the background. */
import type { Layout } from '../../../contract/layout.ts';
import type { ObserveMessage } from '../../../contract/messages.ts';
import { isWindowTier } from '../../../contract/route.ts';
import { SECOND_MS } from '../../../contract/time.ts';
import { writeArrival } from '../../files/arrivals.ts';
import { toHurried } from '../../lifecycle/batch-transitions.ts';
import { markOf } from '../../lifecycle/response-marks.ts';
import { apiKeyOf, type BatchKey, tierOf } from '../../model/batch.ts';
import { hasEnded } from '../../model/response-status.ts';
import type { Ambient } from '../../ports/ambient.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { BackgroundApi, ByKey } from '../../ports/provider.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Look } from './look.ts';

/** What a look at a response takes. */
export interface ObserveResponsesDeps {
  stackId: string;
  settings: { layout: Layout };
  objects: Pick<ObjectStore, 'get' | 'put'>;
  jobs: Pick<JobStore, 'getBatch' | 'moveBatch'>;
  background: ByKey<Pick<BackgroundApi, 'get'>>;
  outbox: Pick<Outbox, 'call'>;
  ambient: Pick<Ambient, 'now'>;
}

/** Of those that end together, one worker reads as many as arrive in this time. */
const GATHERED_MS = 2 * SECOND_MS;

/** Reads the response that a webhook names, and writes it down for its slice if it is ours. */
export async function lookAtResponse(
  deps: ObserveResponsesDeps,
  { objectId, apiKey }: ObserveMessage,
): Promise<Look> {
  const response = await deps.background.withKey(apiKey).get(objectId);
  const mark = response && markOf(deps.stackId, response.metadata);
  if (response === undefined || mark === undefined) return { found: 'foreign' };
  const key: BatchKey = { jobId: mark.jobId, batchId: mark.batchId };
  const batch = await deps.jobs.getBatch(key.jobId, key.batchId);
  if (batch === undefined || !isWindowTier(tierOf(batch)) || mark.request >= batch.requests)
    return { found: 'foreign' };
  if (!hasEnded(response.status)) return { found: 'early' };
  if (batch.state !== 'ended' && batch.state !== 'collected') {
    await writeArrival(deps, key, mark.request, response);
    await hurry(deps, key);
  }
  return { found: 'ours', batch: key, apiKey: apiKeyOf(batch) };
}

/**
 * Has the slice looked at soon. While a worker has it there is nothing to do: it lists what has arrived once more after
 * it has recorded its pause.
 */
async function hurry(deps: ObserveResponsesDeps, key: BatchKey): Promise<void> {
  const batch = await deps.jobs.getBatch(key.jobId, key.batchId);
  const now = deps.ambient.now();
  const soon = now + GATHERED_MS;
  if (batch?.state !== 'admitted' || (batch.wait?.notBefore ?? 0) <= soon) return;
  if (batch.lease !== undefined && batch.lease.until > now) return;
  if ((await deps.jobs.moveBatch(batch, toHurried(batch, soon), now)) === undefined) return;
  await deps.outbox.call({ v: 1, ...key }, { delayMs: GATHERED_MS });
}
