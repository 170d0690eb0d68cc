/**
 * The waiting batches in queues, and whose turn it is: of several jobs that want the same ledger, the one with the
 * fewest batches on their way, the older of two that have as many.
 */
import { apiKeyOf, type BatchRecord, isSlice } from '../model/batch.ts';
import { byRoundAndPlace } from '../model/batch-id.ts';
import type { Reservation } from '../model/ledger.ts';
import { ledgerOf } from './scopes.ts';

/** The batches of one job that want the same ledger, in order. */
export interface Queue {
  jobId: string;
  jobCreatedAt: number;
  apiKey: string;
  ledger: string;
  isOfSlices: boolean;
  batches: BatchRecord[];
  onTheirWay: number;
}

/**
 * Queues the batches.
 * @param reservations what is on its way already.
 */
export function queuesOf(
  batches: readonly BatchRecord[],
  reservations: readonly Pick<Reservation, 'jobId' | 'amounts'>[],
): Queue[] {
  const keyOf = (jobId: string, ledger: string): string => `${jobId} ${ledger}`;
  const onTheirWay = new Map<string, number>();
  for (const { jobId, amounts } of reservations) {
    for (const { ledger } of amounts) {
      const key = keyOf(jobId, ledger);
      onTheirWay.set(key, (onTheirWay.get(key) ?? 0) + 1);
    }
  }
  const queues = new Map<string, Queue>();
  for (const batch of batches) {
    const { jobId } = batch;
    const ledger = ledgerOf(batch);
    const key = keyOf(jobId, ledger);
    const queue = queues.get(key) ?? {
      jobId,
      jobCreatedAt: ageOf(batch),
      apiKey: apiKeyOf(batch),
      ledger,
      isOfSlices: isSlice(batch),
      batches: [],
      onTheirWay: onTheirWay.get(key) ?? 0,
    };
    queue.batches.push(batch);
    queues.set(key, queue);
  }
  for (const queue of queues.values()) {
    // Later rounds first: their jobs are nearer to their end.
    queue.batches.sort((one, other) => other.round - one.round || byRoundAndPlace(one, other));
  }
  return [...queues.values()];
}

/** The queue whose turn it is; `undefined` if all are empty. */
export function nextQueue(queues: readonly Queue[]): Queue | undefined {
  let next: Queue | undefined;
  for (const queue of queues) {
    if (queue.batches.length > 0 && (next === undefined || isBefore(queue, next))) next = queue;
  }
  return next;
}

function isBefore(one: Queue, other: Queue): boolean {
  if (one.onTheirWay !== other.onTheirWay) return one.onTheirWay < other.onTheirWay;
  if (one.jobCreatedAt !== other.jobCreatedAt) return one.jobCreatedAt < other.jobCreatedAt;
  return one.jobId < other.jobId;
}

/** Since when a batch's job waits. */
export function ageOf(batch: Pick<BatchRecord, 'jobCreatedAt' | 'createdAt'>): number {
  return batch.jobCreatedAt ?? batch.createdAt;
}
