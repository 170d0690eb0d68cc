/** The life of a job: which transitions there are, from where each may begin, and what each sets and forgets. */
import type { Act } from '../model/act.ts';
import { type DropTurn, waitsForTurn } from '../model/drop-turn.ts';
import type { IngestProgress, Job, JobState, MergeProgress, Rejection } from '../model/job.ts';
import type { JobPart, JobPatch, JobTransition } from '../model/transition.ts';
import { type TransitionRule, transitionOf } from './transition.ts';

const RELEASED = ['lease'] as const;
const ANY = ['ingesting', 'running', 'completed', 'rejected', 'duplicate'] as const;

/** Every transition of a job. */
export const JOB_TRANSITIONS = {
  running: { from: ['ingesting'], to: 'running', clear: [...RELEASED, 'failing'] },
  rejected: { from: ['ingesting'], to: 'rejected', clear: [...RELEASED, 'failing'] },
  duplicate: { from: ['ingesting'], to: 'duplicate', clear: [...RELEASED, 'failing'] },
  // Its owner failed or was rejected.
  runAfterAll: { from: ['duplicate'], to: 'ingesting', clear: [...RELEASED, 'duplicateOf'] },
  completed: { from: ['running'], to: 'completed', clear: [...RELEASED, 'merge', 'failing'] },
  // With the receipt: a job that is rejected is so before.
  rejectionPublished: { from: ['rejected'], to: 'rejected', clear: [...RELEASED, 'merge', 'failing'] },
  // What follows leaves a job in its state.
  fateRecorded: { from: ['duplicate'] },
  answered: { from: ['duplicate'], clear: RELEASED },
  released: { from: ANY, clear: RELEASED },
  // Its route lets it start, or has it wait.
  turnTaken: { from: ['ingesting'] },
  turnAwaited: { from: ['ingesting'], clear: RELEASED },
  reading: { from: ['ingesting'] },
  readFurther: { from: ['ingesting'], clear: ['failing'] },
  readLater: { from: ['ingesting'], clear: RELEASED },
  mergedSoFar: { from: ['running', 'completed', 'rejected'], clear: RELEASED },
  mergeRestarted: { from: ['running', 'completed', 'rejected'], clear: ['merge'] },
  failed: { from: ANY },
  recovered: { from: ANY, clear: ['failing'] },
  waitsFor: { from: ANY },
  cancelled: { from: ['ingesting', 'running', 'duplicate'] },
  // An operator did something to its batches, or by it.
  acted: { from: ANY },
  retrying: { from: ['completed'] },
  retried: { from: ['completed'], clear: RELEASED },
  forgetting: { from: ['completed', 'rejected', 'duplicate'] },
  workRemoved: { from: ['completed', 'rejected', 'duplicate'] },
} as const satisfies Record<string, TransitionRule<JobState, JobPart>>;

/** The name of a transition of a job. */
export type JobTransitionName = keyof typeof JOB_TRANSITIONS;

function to(name: JobTransitionName, job: Named, set: JobPatch = {}): JobTransition {
  const { jobId, state } = job;
  return transitionOf(name, JOB_TRANSITIONS[name], { state, what: `job ${jobId}` }, set);
}

type Named = Pick<Job, 'jobId' | 'state'>;
/** What the receipt of a job says. */
type Receipt = Required<Pick<Job, 'receiptKey' | 'result' | 'cost'>> & Pick<JobPatch, 'filesLeft'>;

/** Its batches are recorded. @param waitsFor one of them, if there is one. */
export function toRunning(job: Named, planKey: string, waitsFor: string | undefined): JobTransition {
  return to('running', job, { planKey, waitsFor });
}

/** Nothing of it is run. */
export function toRejected(job: Named, planKey: string, rejection: Rejection): JobTransition {
  return to('rejected', job, { planKey, rejection });
}

/** It waits for the job of the same content. */
export function toDuplicate(job: Named, ownerId: string): JobTransition {
  return to('duplicate', job, { duplicateOf: ownerId });
}

/** A duplicate is run, because its owner does not answer it. */
export function toRunAfterAll(job: Named): JobTransition {
  return to('runAfterAll', job);
}

/** What becomes of a duplicate is recorded before anybody hears of it. */
export function toFateRecorded(job: Named, ownerId: string, result: Job['result']): JobTransition {
  return to('fateRecorded', job, { duplicateOf: ownerId, result });
}

/** A duplicate has its receipt. */
export function toAnswered(job: Named, ownerId: string, receipt: Receipt): JobTransition {
  return to('answered', job, { duplicateOf: ownerId, ...receipt });
}

/** The receipt is published: the job has ended. */
export function toCompleted(job: Named, receipt: Receipt): JobTransition {
  return to(job.state === 'rejected' ? 'rejectionPublished' : 'completed', job, receipt);
}

/** Its worker gives it back as it is. */
export function toReleased(job: Named): JobTransition {
  return to('released', job);
}

/** Its turn among the files of its route; one that waits is given back. */
export function toTurn(job: Named & Pick<Job, 'cancelledAt'>, turn: DropTurn): JobTransition {
  const none = { since: undefined, waitsFor: undefined, nextAt: undefined };
  const isAwaited = waitsForTurn({ ...job, turn });
  return to(isAwaited ? 'turnAwaited' : 'turnTaken', job, { turn: { ...none, ...turn } as DropTurn });
}

/** How ingest is going. @param isFurther what has come further does not fail any more. */
export function toReading(job: Named, ingest: IngestProgress, isFurther: boolean): JobTransition {
  return to(isFurther ? 'readFurther' : 'reading', job, ingestOf(ingest));
}

/** Another run of ingest continues. */
export function toReadLater(job: Named, ingest: IngestProgress): JobTransition {
  return to('readLater', job, ingestOf(ingest));
}

/** Replaces the current one: what has no checkpoint any more has none. */
function ingestOf(ingest: IngestProgress): JobPatch {
  const none = { restarts: undefined, unreadable: undefined, checkpoint: undefined };
  return { ingest: { ...none, ...ingest } as IngestProgress };
}

/** Another invocation continues the merge. */
export function toMergedSoFar(job: Named, merge: MergeProgress): JobTransition {
  return to('mergedSoFar', job, { merge });
}

/** What was merged is lost: the merge begins again. */
export function toMergeRestarted(job: Named): JobTransition {
  return to('mergeRestarted', job);
}

/** A step of it failed. */
export function toFailed(job: Named, failing: Job['failing']): JobTransition {
  return to('failed', job, { failing });
}

/** Its steps do not fail any more. */
export function toRecovered(job: Named): JobTransition {
  return to('recovered', job);
}

/** It has surely not ended while this batch is not collected. A hint. */
export function toWaitsFor(job: Named, batchId: string): JobTransition {
  return to('waitsFor', job, { waitsFor: batchId });
}

/**
 * It was cancelled.
 * @param duplicatesRun whether its duplicates are run, in place of being cancelled with it.
 * @param act what is kept of who did it.
 */
export function toCancelled(
  job: Named,
  cancelledAt: number,
  duplicatesRun: boolean,
  act?: Act,
): JobTransition {
  const cancelled = to('cancelled', job, { cancelledAt, duplicatesRun: duplicatesRun ? true : undefined });
  return act === undefined ? cancelled : { ...cancelled, act };
}

/** What an operator did is kept with the job, whatever state it is in. */
export function toActed(job: Named, act: Act): JobTransition {
  return { ...to('acted', job), act };
}

type Retry = NonNullable<Job['retries']>[number];

/** What did not succeed is about to be dropped again. */
export function toRetrying(job: Job, retry: Omit<Retry, 'isDropping'>, act: Act): JobTransition {
  return {
    ...to('retrying', job, { retries: [...(job.retries ?? []), { ...retry, isDropping: true }] }),
    act,
  };
}

/** The retry of this number is dropped. */
export function toRetried(job: Job, number: number): JobTransition {
  const retries = job.retries?.map(({ isDropping, ...retry }) =>
    isDropping === undefined || retry.number === number ? retry : { ...retry, isDropping },
  );
  return to('retried', job, { retries });
}

/** From now on it is being removed; if that is cut off, only the act repeated continues it. */
export function toForgetting(job: Named, now: number, act: Act): JobTransition {
  return { ...to('forgetting', job, { forgettingAt: now }), act };
}

/** Its files below `work/` are removed. */
export function toWorkRemoved(job: Named, now: number): JobTransition {
  return to('workRemoved', job, { workRemovedAt: now });
}
