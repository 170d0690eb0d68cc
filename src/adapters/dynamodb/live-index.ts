import { MINUTE_MS } from '../../contract/time.ts';
import type { BatchRecord } from '../../core/model/batch.ts';
import { waitsForTurn } from '../../core/model/drop-turn.ts';
import { hasEnded, type Job } from '../../core/model/job.ts';
import type { LiveItem } from '../../core/ports/records.ts';

/** The part of the index that files of a route are in while they wait for its limits. */
type LiveWaitingDrops = `drops/${string}`;

/** What the index holds of an item; `undefined` keeps the item out of it. */
export type LiveEntry =
  | {
      live: 'waiting' | 'openai' | 'moving' | 'reserved' | 'ended' | 'forgetting' | LiveWaitingDrops;
      due: number;
    }
  | undefined;

/** A step that has not moved for this long is taken for lost; sending it once more does no harm. */
export const SWEEP_AFTER_MS = 2 * MINUTE_MS;

/** A lease that ran out has no owner; the margin is for clocks that differ. */
export const LEASE_END_MARGIN_MS = 30_000;

/**
 * When the sweep first asks whether all batches of a running job are collected, or a duplicate's owner has ended: the
 * end says so by itself.
 */
const SWEEP_RUNNING_AFTER_MS = 20 * MINUTE_MS;

/** @param route its name. */
export function liveOfWaitingDrops(route: string): LiveWaitingDrops {
  return `drops/${route}`;
}

/** What the sweep must know of a job. */
export function liveJobOf(
  { jobId, state, waitsFor, cancelledAt }: Pick<Job, 'jobId' | 'state' | 'waitsFor' | 'cancelledAt'>,
  due: number,
): LiveItem {
  return { kind: 'job', jobId, state, due, waitsFor, cancelledAt };
}

/**
 * A job needs something until its receipt is written, also when it is completed, rejected or a duplicate; then its
 * files below `work/` wait to be removed. A file that waits for the limits of its route is the poll's to start, not the
 * sweep's to send again.
 */
export function liveEntryOfJob(
  job: Pick<
    Job,
    | 'state'
    | 'updatedAt'
    | 'lease'
    | 'receiptKey'
    | 'workRemovedAt'
    | 'forgettingAt'
    | 'ingest'
    | 'failing'
    | 'turn'
    | 'cancelledAt'
    | 'route'
    | 'input'
  >,
): LiveEntry {
  if (waitsForTurn(job)) return { live: liveOfWaitingDrops(job.route.name), due: job.input.lastModified };
  // Its record goes with the last of it.
  if (job.forgettingAt !== undefined) return { live: 'forgetting', due: job.forgettingAt };
  if (hasEnded(job))
    return job.workRemovedAt === undefined ? { live: 'ended', due: job.updatedAt } : undefined;
  // One whose step fails waits for that, and says when.
  const isWaiting = (job.state === 'running' || job.state === 'duplicate') && job.failing === undefined;
  const after = isWaiting ? SWEEP_RUNNING_AFTER_MS : SWEEP_AFTER_MS;
  return {
    live: 'moving',
    due: Math.max(
      job.updatedAt + after,
      (job.lease?.until ?? 0) + LEASE_END_MARGIN_MS,
      job.state === 'ingesting' ? (job.ingest?.unreadable?.nextAt ?? 0) : 0,
      job.failing?.nextAt ?? 0,
    ),
  };
}

/**
 * Planned batches wait for their turn, those of the oldest job first; submitted ones wait at OpenAI, oldest first;
 * collected ones need nothing; all others are ours to move.
 */
export function liveEntryOfBatch(
  batch: Pick<
    BatchRecord,
    'state' | 'ladder' | 'jobCreatedAt' | 'createdAt' | 'updatedAt' | 'remote' | 'wait' | 'lease'
  >,
): LiveEntry {
  switch (batch.state) {
    case 'planned':
      return { live: 'waiting', due: batch.jobCreatedAt ?? batch.createdAt };
    case 'submitted':
      return { live: 'openai', due: batch.remote?.submittedAt ?? batch.createdAt };
    case 'collected':
      return undefined;
    default:
      return {
        live: 'moving',
        due: Math.max(
          batch.updatedAt + SWEEP_AFTER_MS,
          // A deadline is watched by each sweep, also while it is not known yet whether the batch was created.
          isWatched(batch) ? 0 : (batch.wait?.notBefore ?? 0) + SWEEP_AFTER_MS,
          (batch.lease?.until ?? 0) + LEASE_END_MARGIN_MS,
        ),
      };
  }
}

function isWatched({ state, ladder }: Pick<BatchRecord, 'state' | 'ladder'>): boolean {
  return state === 'submitting' && ladder?.deadlineAt !== undefined;
}
