/**
 * Batches that do not come to an end by themselves: OpenAI keeps them in a state for too long, or does not know them
 * any more. Nothing is run again because of that alone, except where the route says so once the batch must have
 * ended.
 */

import type { BatchMessage } from '../../contract/messages.ts';
import type { StuckLimits } from '../../contract/settings.ts';
import { HOUR_MS } from '../../contract/time.ts';
import type { BatchRecord } from '../model/batch.ts';
import { LOST_BATCH } from '../model/outcome-codes.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { RemoteBatch } from '../ports/provider.ts';
import type { JobStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { toLost, toReasonRecorded, toUnreachable } from './batch-transitions.ts';
import { completionWindowMs } from './time-limits.ts';

/** What a batch that is not ended needs. */
export type Remedy =
  /** It may be cancelled: what it has finished is kept, the rest runs in the next round. */
  | 'cancel'
  /** It will never end. Its results are lost, if it had any. */
  | 'lost';

/**
 * What to do about a batch that OpenAI shows as not ended. One that is finalizing was executed and paid for, so it is
 * given much longer, and never cancelled.
 * @param windowMs its completion window, for one that does not say when it expires. Default: OpenAI's.
 */
export function remedyFor(
  { status, statusAt }: Pick<NonNullable<BatchRecord['remote']>, 'status' | 'statusAt'>,
  remote: Pick<RemoteBatch, 'status' | 'createdAt' | 'expiresAt'>,
  limits: StuckLimits,
  now: number,
  windowMs = completionWindowMs({}),
): Remedy | undefined {
  const since = remote.status === status ? statusAt : now;
  const expiresAt = remote.expiresAt ?? remote.createdAt + windowMs;
  switch (remote.status) {
    case 'validating':
      if (now >= since + limits.validatingHours * HOUR_MS) return 'cancel';
      return now >= expiresAt + limits.pastExpiryHours * HOUR_MS ? 'cancel' : undefined;
    case 'in_progress':
      return now >= expiresAt + limits.pastExpiryHours * HOUR_MS ? 'cancel' : undefined;
    case 'finalizing':
    case 'cancelling':
      return now >= Math.max(since, expiresAt) + limits.finalizingHours * HOUR_MS ? 'lost' : undefined;
    default:
      return undefined;
  }
}

interface LostDeps {
  jobs: Pick<JobStore, 'getJob' | 'moveBatch'>;
  outbox: { collect(message: BatchMessage): Promise<void> };
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** Notes that OpenAI answered 404 for a batch; once it must have ended, its route decides. */
export async function unreachable(deps: LostDeps, batch: BatchRecord, limits: StuckLimits): Promise<void> {
  const now = deps.ambient.now();
  const { jobId, batchId } = batch;
  const { openaiBatchId } = batch.remote!;
  deps.telemetry.record('batch.vanished', { jobId, batchId, openaiBatchId });
  const expiresAt = batch.remote?.expiresAt ?? batch.remote!.submittedAt + completionWindowMs(batch);
  if (now >= expiresAt + limits.pastExpiryHours * HOUR_MS) {
    await lost(deps, batch);
  } else if (batch.remote!.goneAt === undefined) {
    await deps.jobs.moveBatch(batch, toUnreachable(batch, now), now);
  }
}

/**
 * A batch that will not end any more: held for a person to see, as long as it takes, or given up, if its route says
 * `resubmit` or its job was cancelled. What was given up may have been charged, which the receipt says.
 */
export async function lost(deps: LostDeps, batch: BatchRecord): Promise<void> {
  const now = deps.ambient.now();
  const { jobId, batchId } = batch;
  const { openaiBatchId } = batch.remote!;
  const job = await deps.jobs.getJob(jobId);
  if (job?.route.onLost !== 'resubmit' && job?.cancelledAt === undefined) {
    if (batch.hold === undefined) await deps.jobs.moveBatch(batch, toReasonRecorded(batch, LOST_BATCH), now);
    deps.telemetry.record('batch.lost', { jobId, batchId, openaiBatchId });
    return;
  }
  if ((await deps.jobs.moveBatch(batch, toLost(batch, now), now)) === undefined) return;
  deps.telemetry.record('batch.abandoned', { jobId, batchId, openaiBatchId });
  await deps.outbox.collect({ v: 1, jobId, batchId });
}
