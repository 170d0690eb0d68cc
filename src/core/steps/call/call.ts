/**
 * Calls the requests of a slice one by one, in flex or standard, or has them answered in the background.
 *
 * What may be paid for is written down before and after each call (see {@link SliceProgress}). Requests that may have
 * been called without an answer that anybody has count as lost, are tried again as the route allows, and appear in
 * the receipt as possibly billed twice.
 *
 * No call begins under a lease that is about to run out.
 */
import type { BatchMessage } from '../../../contract/messages.ts';
import { isWindowTier } from '../../../contract/route.ts';
import { LeasedBatch } from '../../lifecycle/leased.ts';
import { isSlice, tierOf } from '../../model/batch.ts';
import { BackgroundSlice } from './background-slice.ts';
import type { CallDeps } from './deps.ts';
import { Slice } from './slice.ts';

/** Works off a slice as far as one invocation can. */
export async function call(deps: CallDeps, { jobId, batchId }: BatchMessage): Promise<void> {
  const found = await deps.jobs.getBatch(jobId, batchId);
  if (found === undefined || found.state !== 'admitted' || !isSlice(found)) return;
  if ((found.wait?.notBefore ?? 0) > deps.ambient.now()) return;
  const batch = await LeasedBatch.lease(deps, found, 'admitted');
  if (batch === undefined) return;
  try {
    // Without guarded ports: an answer that was paid for is kept, also once the lease is lost.
    const isInBackground = isWindowTier(tierOf(found));
    const slice = isInBackground ? new BackgroundSlice(deps, batch) : new Slice(deps, batch);
    await batch.work(deps, () => slice.run());
  } catch (error) {
    const isDone = await batch.fail(deps, error, (delivery) =>
      deps.outbox.call({ v: 1, jobId, batchId }, delivery),
    );
    if (!isDone) throw error;
  }
}
