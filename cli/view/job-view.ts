/** What there is to say of a job, as data: progress, operator commands and reports format it. */
import type { JobRecords } from '../../local/stack/pipeline.ts';
import type { BatchRecord } from '../../src/core/model/batch.ts';
import { type DropTurn, waitsForTurn } from '../../src/core/model/drop-turn.ts';
import type { Job } from '../../src/core/model/job.ts';
import { type RetryOf, retryOfKey } from '../../src/core/model/retry-key.ts';
import { isWithdrawn } from '../../src/core/scheduling/step-down.ts';

/** How far a job is, as a person sees it. */
export type JobPhase =
  /** No job is recorded yet. */
  | 'dropped'
  /** The route lets no more files start for now: it waits for its turn. */
  | 'waiting_for_turn'
  /** The file is read and its lines are checked. */
  | 'checking'
  /** S3 does not give the file; it is tried again. */
  | 'unreadable'
  | 'running'
  /** The same content as another job: waits for that one's end. */
  | 'waiting_for_owner'
  /** The same content as another job, whose results answer it. */
  | 'answered_by_owner'
  /** Nothing of it is run. */
  | 'rejected'
  | 'done';

/** Something that is tried again by itself. */
export interface Retry {
  /** Tries so far. */
  tries: number;
  /** A code, or our own message. Never content. */
  reason: string;
  /** Epoch milliseconds. */
  nextAt: number;
}

/** One job. */
export interface JobView {
  jobId: string | undefined;
  phase: JobPhase;
  /** Whether nothing will be done for it any more: its receipt is written. */
  hasEnded: boolean;
  /** Requests that were planned. `done`: those with a result so far, as far as OpenAI reports it. */
  requests: { total: number; done: number };
  /** Batches and slices of all rounds. One that was cut is replaced by its parts. */
  batches: number;
  /**
   * How many of them are in each state; one that is at OpenAI counts by OpenAI's status, and one that ended without
   * having been sent as `withdrawn`.
   */
  states: ReadonlyMap<string, number>;
  /** Why one of the batches waits, if one does. */
  waitsFor?: string;
  /** Present in phase `waiting_for_turn`. */
  turn?: DropTurn;
  /** Present in phase `unreadable`. */
  unreadable?: Retry;
  /** A step of the job itself that fails. */
  failing?: Retry;
  /** Why nothing of it is run: a code. */
  rejection?: string;
  /** The job that it is a retry of, and which one. */
  retryOf?: RetryOf;
  /** Of a duplicate: its owner. */
  owner?: JobView;
}

/** Makes the view of a job. Pure. */
export function jobView({ job, owner, batches }: JobRecords): JobView {
  const view: JobView = {
    jobId: job?.jobId,
    phase: phaseOf(job),
    hasEnded: job?.receiptKey !== undefined,
    ...progressOf(batches),
  };
  const retryOf = job === undefined ? undefined : retryOfKey(job.input.key);
  if (retryOf !== undefined) view.retryOf = retryOf;
  const waitsFor = reasonToWait(batches);
  if (waitsFor !== undefined) view.waitsFor = waitsFor;
  if (job?.failing !== undefined) view.failing = job.failing;
  if (job?.rejection !== undefined) view.rejection = job.rejection.code;
  if (view.phase === 'waiting_for_turn') view.turn = job!.turn!;
  if (view.phase === 'unreadable') {
    const { tries, code, nextAt } = job!.ingest!.unreadable!;
    view.unreadable = { tries, reason: code, nextAt };
  }
  if (job?.state === 'duplicate') {
    view.owner = jobView({ job: owner, batches });
    view.owner.jobId ??= job.duplicateOf;
  }
  return view;
}

/** Whether a batch was cut into smaller ones: nothing of it was executed, and its parts stand in its place. */
export function isCut(batch: BatchRecord): boolean {
  const { results, recut, requests } = batch;
  if (results?.next === undefined || results.outcome.retried !== requests) return false;
  return recut !== undefined || isWithdrawn(batch);
}

/**
 * Whether a batch has ended without having been sent: OpenAI never saw it. See `toWithdrawn`. One whose requests were
 * called one by one has answers.
 */
export function isEndedUnsent({ state, ending, remote, calls }: BatchRecord): boolean {
  return state === 'ended' && ending?.status === 'failed' && remote === undefined && calls === undefined;
}

function phaseOf(job: Job | undefined): JobPhase {
  if (job === undefined) return 'dropped';
  const hasReceipt = job.receiptKey !== undefined;
  switch (job.state) {
    case 'duplicate':
      if (!hasReceipt) return 'waiting_for_owner';
      return job.result === 'duplicate' ? 'answered_by_owner' : 'rejected';
    case 'ingesting':
      if (waitsForTurn(job)) return 'waiting_for_turn';
      return job.ingest?.unreadable === undefined ? 'checking' : 'unreadable';
    case 'rejected':
      return 'rejected';
    default:
      return hasReceipt ? 'done' : 'running';
  }
}

function progressOf(batches: readonly BatchRecord[]): Pick<JobView, 'requests' | 'batches' | 'states'> {
  const requests = { total: 0, done: 0 };
  const states = new Map<string, number>();
  for (const batch of batches) {
    const { round, requests: count, results, remote } = batch;
    if (round === 0) requests.total += count;
    // What OpenAI reports while a batch runs is only shown; what was collected counts.
    const { outcome } = results ?? {};
    const { progress } = remote ?? {};
    requests.done += outcome
      ? outcome.succeeded + outcome.failed
      : (progress?.completed ?? 0) + (progress?.failed ?? 0);
    if (isCut(batch)) continue;
    const shown = stateOf(batch);
    states.set(shown, (states.get(shown) ?? 0) + 1);
  }
  return {
    requests: { total: requests.total, done: Math.min(requests.done, requests.total) },
    batches: [...states.values()].reduce((sum, number) => sum + number, 0),
    states,
  };
}

function stateOf(batch: BatchRecord): string {
  if (batch.state === 'submitted') return batch.remote!.status;
  return isEndedUnsent(batch) ? 'withdrawn' : batch.state;
}

function reasonToWait(batches: readonly BatchRecord[]): string | undefined {
  return batches
    .filter(({ state }) => state !== 'collected')
    .map(({ wait, hold }) => wait?.lastError ?? hold?.reason)
    .find((reason) => reason !== undefined);
}
