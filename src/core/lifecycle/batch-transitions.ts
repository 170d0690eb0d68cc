/**
 * The life of a batch: what each transition of batch-rules.ts sets. Steps decide; what a decision does to the record
 * is said here, and nowhere else.
 */
import type { Tier } from '../../contract/route.ts';
import { defined } from '../base/defined.ts';
import type {
  BatchKey,
  BatchLevelError,
  BatchRecord,
  Calls,
  FetchedFile,
  PagePosition,
} from '../model/batch.ts';
import type { BatchPatch, BatchTransition } from '../model/transition.ts';
import type { RemoteBatch } from '../ports/provider.ts';
import { BATCH_TRANSITIONS, type BatchTransitionName } from './batch-rules.ts';
import { transitionOf } from './transition.ts';

/** A batch, as far as a transition needs it. */
type Batch = BatchKey & Pick<BatchRecord, 'state'>;

function to(name: BatchTransitionName, batch: Batch, set: BatchPatch = {}): BatchTransition {
  const { state, jobId, batchId } = batch;
  const what = `batch ${batchId} of job ${jobId}`;
  return transitionOf(name, BATCH_TRANSITIONS[name], { state, what }, set);
}

/** The same for a batch at OpenAI, while its record names no other one. */
function toAtOpenAI(name: BatchTransitionName, batch: BatchRecord, set: BatchPatch = {}): BatchTransition {
  return { ...to(name, batch, set), ofOpenAI: batch.remote!.openaiBatchId };
}

/** There is room for it. @param isAlone nothing else is reserved on the first ledger that it demands of. */
export function toAdmitted(batch: Batch, reservation: string, isAlone: boolean): BatchTransition {
  return to('admitted', batch, { admission: { reservation, sentAlone: isAlone ? true : undefined } });
}

/** Its input file is at OpenAI. */
export function toUploaded(
  batch: Batch,
  file: { nonce: string; inputFileId: string | undefined; keyVersion: string | undefined },
): BatchTransition {
  return to('uploaded', batch, { attempt: file, history: { inputUnreadableSince: undefined } });
}

/** The intent to create it, recorded before OpenAI is asked. @param attempt counts the creates of the batch, from 1. */
export function toSubmitting(batch: Batch, attempt: number, now: number): BatchTransition {
  return to('submitting', batch, {
    attempt: { intentAt: now, fencedAt: undefined },
    history: { attempts: attempt },
  });
}

/** A create that the record did not know of, because its table was restored: it is looked up as any other. */
export function toTakenUp(
  batch: Batch,
  attempt: { attempt: number; nonce: string; inputFileId?: string; keyVersion?: string; intentAt: number },
  now: number,
): BatchTransition {
  const { nonce, inputFileId, keyVersion, intentAt } = attempt;
  const taken = to('submitting', batch, {
    attempt: { nonce, inputFileId, keyVersion, intentAt, fencedAt: undefined, lookUp: undefined },
    history: { attempts: attempt.attempt, adoptedAt: now },
  });
  return { ...taken, clear: ['wait'] };
}

/** OpenAI gave an id. */
export function toSubmitted(batch: Batch, remote: RemoteBatch, now: number): BatchTransition {
  return to('submitted', batch, {
    attempt: { fileTries: undefined },
    remote: remoteOf(remote, now, now),
    history: { refusals: undefined },
  });
}

/** It is at OpenAI, which the record did not know, because its table was restored. */
export function toAdopted(
  batch: Batch,
  remote: RemoteBatch,
  attempt: { nonce: string; keyVersion: string | undefined },
  now: number,
): BatchTransition {
  return to('submitted', batch, {
    attempt: { ...attempt, inputFileId: remote.inputFileId },
    remote: remoteOf(remote, remote.createdAt, now),
    history: { adoptedAt: now },
  });
}

function remoteOf({ id, status, expiresAt }: RemoteBatch, submittedAt: number, now: number) {
  return { openaiBatchId: id, status, statusAt: now, submittedAt, expiresAt };
}

/**
 * The create was refused because its file is not ready: the same file is tried again. @param tries so far, this one
 * included.
 */
export function toSameFileAgain(batch: Batch, tries: number, notBefore: number): BatchTransition {
  return to('sameFileAgain', batch, {
    attempt: { fileTries: tries, intentAt: undefined },
    wait: { notBefore, lastError: 'the provider does not have the input file ready yet' },
  });
}

/** It surely was not created: the same worker begins again with a new file. */
export function toNewFileAgain(batch: Batch): BatchTransition {
  return to('newFileAgain', batch);
}

/** Why and until when a batch waits, and what is remembered of that. */
export interface Waiting {
  notBefore?: number | undefined;
  lastError: string;
  /** A code, where a person should look at it. */
  reason?: string | undefined;
  /** Since when it is held until a person releases it. Absent: it goes again by itself. */
  heldAt?: number | undefined;
  /** Counts that change. */
  history?: BatchPatch['history'] | undefined;
}

/** The create was refused: it goes again soon, with a new file and what is reserved for it. */
export function toNewFileLater(batch: Batch, waiting: Waiting): BatchTransition {
  return to('newFileLater', batch, troubleOf(waiting));
}

/**
 * It waits for its turn again, and all of the attempt is forgotten. The writer settles the reservation and deletes
 * the file at OpenAI after this write, never before it: a worker that finds other evidence could not book its cost
 * any more. What a crash between them leaves, the hourly look at reservations and the poll's look at files clean up.
 */
export function toWaiting(batch: Batch, waiting: Waiting): BatchTransition {
  return to('waiting', batch, troubleOf(waiting));
}

function troubleOf({ notBefore, lastError, reason, heldAt, history }: Waiting): BatchPatch {
  return defined({
    wait: { notBefore, lastError },
    hold: reason === undefined ? undefined : { reason, at: heldAt },
    history,
  });
}

/** OpenAI has ended it. @param errors as they are recorded. */
export function toEnded(
  batch: BatchRecord,
  remote: RemoteBatch,
  seen: { startedAt: number | undefined; errors: BatchLevelError[] | undefined },
  now: number,
): BatchTransition {
  const { status, progress, outputFileId, errorFileId, usage: reportedUsage } = remote;
  const { startedAt, errors } = seen;
  const files = { outputFileId, errorFileId };
  return toAtOpenAI('ended', batch, {
    remote: {
      status,
      startedAt,
      progress,
      ...files,
      reportedUsage,
      unreachableSince: undefined,
      goneAt: undefined,
    },
    ending: { status, errors, endedAt: now },
  });
}

/** It ends before anything of it was sent, as if OpenAI had refused it; collect gives its requests their outcome. */
export function toWithdrawn(
  batch: Batch,
  why: { errors: BatchLevelError[]; nextTier?: Tier; recut?: BatchPatch['recut'] | undefined },
  now: number,
): BatchTransition {
  const { errors, nextTier, recut } = why;
  return to(
    'withdrawn',
    batch,
    defined({
      ending: { status: 'failed', errors, endedAt: now },
      stop: nextTier === undefined ? undefined : { nextTier },
      recut,
    }),
  );
}

/** All requests of a slice have a line. @param nextTier the tier that those continue in which were not called. */
export function toCalled(
  batch: Batch,
  file: FetchedFile,
  nextTier: Tier | undefined,
  now: number,
): BatchTransition {
  return to(
    'called',
    batch,
    defined({
      ending: { status: 'completed', endedAt: now },
      download: { fetched: [file] },
      stop: nextTier === undefined ? undefined : { nextTier },
    }),
  );
}

/** OpenAI will not end it any more: it has no results. */
export function toLost(batch: BatchRecord, now: number): BatchTransition {
  const { status } = batch.remote!;
  return toAtOpenAI('lost', batch, { ending: { status, lostAt: now, endedAt: now } });
}

/** It is unknown whether it was created, and by now it would have ended: it is treated as a lost one. */
export function toUnknownGivenUp(batch: Batch, now: number): BatchTransition {
  return to('unknownGivenUp', batch, {
    attempt: { lookUp: undefined },
    ending: { status: 'expired', lostAt: now, endedAt: now },
  });
}

/**
 * What became of its requests is written down.
 * @param outcome what was: the groups of the record as it was written once, see outcome-file.ts.
 */
export function toCollected(batch: Batch, outcome: BatchPatch): BatchTransition {
  return to('collected', batch, { ...outcome, download: { ...outcome.download, lateResults: undefined } });
}

/** Its worker gives it back as it is. */
export function toReleased(batch: Batch): BatchTransition {
  return to('released', batch);
}

/**
 * Its worker gives it back; no step of it is tried before `notBefore`, where that is said. What is `undefined` is
 * removed.
 */
export function toPostponed(
  batch: Batch,
  wait: NonNullable<BatchPatch['wait']>,
  reason?: string,
): BatchTransition {
  return to('postponed', batch, defined({ wait, hold: reason === undefined ? undefined : { reason } }));
}

/** Its worker releases it, because it is unknown whether it was created. */
export function toUnknown(batch: Batch, lastError: string, notBefore: number): BatchTransition {
  return to('unknown', batch, {
    attempt: { lookUp: undefined },
    hold: { reason: 'unknown_create' },
    wait: { lastError, notBefore },
  });
}

/** A person sees why it waits; it continues by itself. */
export function toReasonRecorded(batch: BatchRecord, reason: string): BatchTransition {
  const set = { hold: { reason } };
  return batch.state === 'submitted'
    ? toAtOpenAI('reasonRecorded', batch, set)
    : to('reasonRecorded', batch, set);
}

/** A person releases it: it may be sent as often in vain as the first time before it is held again. */
export function toResumed(batch: Batch): BatchTransition {
  return to('resumed', batch, {
    history: { resends: undefined, refusals: undefined },
    wait: { lastError: undefined },
  });
}

/** It waits in another tier. */
export function toTier(batch: Batch, tier: Tier): BatchTransition {
  return to('tierChanged', batch, { tier });
}

/** S3 does not give its input, for the first time. */
export function toInputUnreadable(batch: Batch, now: number): BatchTransition {
  return to('inputUnreadable', batch, { history: { inputUnreadableSince: now } });
}

/** How far the calls of a slice are. */
export function toCalling(batch: Batch, calls: Calls): BatchTransition {
  // Not merged: `again` is of the last record only.
  return to('calling', batch, { calls: { again: undefined, refusals: undefined, ...calls } });
}

/** The worker of a slice gives it back; it is called on later. */
export function toCallsPaused(batch: Batch, notBefore: number | undefined): BatchTransition {
  return to('callsPaused', batch, notBefore === undefined ? {} : { wait: { notBefore } });
}

/** What a slice waits for has come: it is looked at sooner. */
export function toHurried(batch: Batch, notBefore: number): BatchTransition {
  return to('hurried', batch, { wait: { notBefore } });
}

/** The input file of an unanswered create is deleted: a create that is still on its way finds none. */
export function toFenced(batch: Batch, now: number): BatchTransition {
  return to('fenced', batch, { attempt: { fencedAt: now, lookUp: undefined } });
}

/** Another worker continues to look the batch up. */
export function toLookUpContinued(batch: Batch, lookUp: PagePosition): BatchTransition {
  return to('lookUpContinued', batch, { attempt: { lookUp } });
}

/** The current key sees what the one that made the attempt does, so it is used from now on. */
export function toKeyReplaced(batch: Batch): BatchTransition {
  return to('keyReplaced', batch, { attempt: { keyVersion: undefined } });
}

/**
 * It is to be cancelled at OpenAI, where it is or may be. @param nextTier the tier that what it leaves continues in.
 */
export function toStopping(batch: BatchRecord, now: number, nextTier?: Tier): BatchTransition {
  const { cancelRequestedAt = now } = batch.stop ?? {};
  return to('stopping', batch, {
    stop: defined({ cancelRequestedAt, nextTier }),
  });
}

/** OpenAI shows it alive. @param isStuck it is to be cancelled, because it does not end. */
export function toSeen(
  batch: BatchRecord,
  { status, progress, expiresAt }: RemoteBatch,
  seen: { startedAt: number | undefined; isStuck: boolean },
  now: number,
): BatchTransition {
  const { startedAt, isStuck } = seen;
  const statusAt = status === batch.remote!.status ? {} : { statusAt: now };
  return toAtOpenAI(
    'seen',
    batch,
    defined({
      remote: {
        status,
        ...statusAt,
        startedAt,
        progress,
        expiresAt,
        unreachableSince: undefined,
        goneAt: undefined,
      },
      wait: { lastError: undefined },
      stop: isStuck ? { cancelRequestedAt: now } : undefined,
    }),
  );
}

/** OpenAI answers that it does not know it: for the first time, or for the second in a row. */
export function toUnreachable(batch: BatchRecord, now: number): BatchTransition {
  const isSecond = batch.remote!.unreachableSince !== undefined;
  return toAtOpenAI('unreachable', batch, {
    remote: isSecond ? { goneAt: now } : { unreachableSince: now },
    wait: { lastError: 'the provider does not know the batch' },
  });
}

/** How far the copy of a result file is. @param fetching `undefined`: nothing of it can be used. */
export function toFetching(
  batch: Batch,
  fetching: NonNullable<BatchRecord['download']>['fetching'] | undefined,
): BatchTransition {
  return to('fetching', batch, { download: { fetching } });
}

/** Result files that are copied. @param fetched `undefined`: they are to be copied again. */
export function toFetched(batch: Batch, fetched: FetchedFile[] | undefined): BatchTransition {
  return to('fetched', batch, { download: { fetched, fetching: undefined } });
}

/** Result files that OpenAI names by now, and the copies that are still good. */
export interface FoundFiles {
  outputFileId: string | undefined;
  errorFileId: string | undefined;
  fetched: FetchedFile[];
}

/** Results are waited for. */
export function toResultsLate(
  batch: Batch,
  found: FoundFiles | undefined,
  lateResults?: number,
): BatchTransition {
  const { fetched, ...files } = found ?? {};
  return to('resultsLate', batch, {
    remote: files,
    download: defined({
      fetched,
      lateResults,
    }),
  });
}

/** It failed, its files hold nothing, and nothing else shows that it ran: it is as if it had none. */
export function toWithoutFiles(batch: Batch): BatchTransition {
  return to('withoutFiles', batch, { remote: { outputFileId: undefined, errorFileId: undefined } });
}

/** OpenAI has no room for so many tokens: it is to be cut. */
export function toTooLarge(batch: Batch, tokens: number): BatchTransition {
  return to('tooLarge', batch, { recut: { tokens } });
}
