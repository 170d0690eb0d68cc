/**
 * A create that was begun: its intent is written down before the provider is asked, and a worker that finds an intent without
 * an answer finds out what came of it.
 */
import type { OwnText } from '../../../contract/event-fields.ts';
import { HOUR_MS } from '../../../contract/time.ts';
import { defined } from '../../base/defined.ts';
import { KeyUnusableError, NotYetError } from '../../base/errors.ts';
import { reasonOf } from '../../base/own-text.ts';
import {
  toCollected,
  toFenced,
  toKeyReplaced,
  toLookUpContinued,
  toNewFileAgain,
  toSubmitted,
  toTakenUp,
  toUnknown,
  toUnknownGivenUp,
} from '../../lifecycle/batch-transitions.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import { readOutcome } from '../../lifecycle/outcome-file.ts';
import { completionWindowMs, workingTime } from '../../lifecycle/time-limits.ts';
import type { BatchRecord, PagePosition } from '../../model/batch.ts';
import type { Job } from '../../model/job.ts';
import type { RemoteBatch } from '../../ports/provider.ts';
import { liftSuspensionsFor } from '../../scheduling/operator-errors.ts';
import { type CreateAttempt, unknownAttempt, writeAttemptOnce } from './attempts.ts';
import type { DepsWithKey } from './deps.ts';
import { type LookUp, lookUp } from './look-up.ts';

/** How long a batch waits of which it is unknown whether it was created. */
const UNKNOWN_REST_MS = HOUR_MS;

/** Writes the intent down below `work/`, too. */
export async function writeIntentOnce(deps: DepsWithKey, batch: LeasedBatch): Promise<void> {
  const { record } = batch;
  const attempt = await writeAttemptOnce(deps.objects, deps.settings.layout, record, attemptOf(record));
  if (attempt.nonce === record.attempt!.nonce) return;
  await takeUp(deps, batch, attempt);
  throw new NotYetError(`batch ${record.batchId} of job ${record.jobId} was begun before`, 0);
}

function attemptOf({ attempt, history }: BatchRecord): CreateAttempt {
  const { nonce, inputFileId, keyVersion, intentAt } = attempt!;
  return defined({
    v: 1,
    attempt: history!.attempts!,
    nonce,
    inputFileId,
    keyVersion,
    intentAt: intentAt!,
  });
}

/**
 * A record may be of an earlier time than what was done, because its table was restored. Then what became of the
 * batch, or the last create that was begun, is written down below `work/`, and the record is brought there.
 */
export async function catchUp(deps: DepsWithKey, batch: LeasedBatch): Promise<void> {
  const { jobId, batchId, admission } = batch.record;
  const outcome = await readOutcome(deps, batch.record);
  if (outcome !== undefined) {
    deps.telemetry.record('outcome.adopted', { jobId, batchId });
    const history = { ...outcome.history, adoptedAt: deps.ambient.now() };
    await batch.move(toCollected(batch.record, { ...outcome, history }));
    // Finalize settles what it cost.
    if (admission !== undefined) await deps.quota.giveBackTokens(admission.reservation, deps.ambient.now());
    return;
  }
  const attempt = await unknownAttempt(deps.objects, deps.settings.layout, batch.record);
  if (attempt !== undefined) await takeUp(deps, batch, attempt);
}

/** Continues a create that the record did not know of, as any whose answer was lost. */
async function takeUp(deps: DepsWithKey, batch: LeasedBatch, begun: CreateAttempt): Promise<void> {
  const { jobId, batchId, attempt: before } = batch.record;
  const { attempt, inputFileId } = begun;
  deps.telemetry.record('creation.adopted', { jobId, batchId, attempt });
  await batch.move(toTakenUp(batch.record, begun, deps.ambient.now()));
  // Nothing was created with it.
  if (before?.inputFileId !== undefined && before.inputFileId !== inputFileId)
    await deps.batches.deleteFile(before.inputFileId, before.keyVersion);
}

/** The provider has the batch. */
export async function recordSubmitted(
  deps: DepsWithKey,
  batch: LeasedBatch,
  remote: RemoteBatch,
): Promise<void> {
  const { jobId, batchId, requests } = batch.record;
  await batch.move(toSubmitted(batch.record, remote, deps.ambient.now()));
  deps.telemetry.record('batch.submitted', { jobId, batchId, openaiBatchId: remote.id, requests });
  await liftSuspensionsFor(deps, batch.record, 'created');
}

/**
 * `submitting -> submitted` if the batch exists, `-> admitted` if it surely does not; otherwise it stays, for later.
 */
export async function resolveIntent(
  deps: DepsWithKey,
  job: Job | undefined,
  batch: LeasedBatch,
): Promise<void> {
  const { batchId, attempt } = batch.record;
  const { inputFileId, keyVersion, intentAt, fencedAt } = attempt!;
  let result: LookUp;
  try {
    result = await lookUp({ ...deps, deadline: workingTime(deps.deadline) }, attempt!);
  } catch (error) {
    if (!(error instanceof KeyUnusableError)) throw error;
    return resolveWithoutKey(deps, job, batch, error);
  }
  if (result.kind === 'found') return recordSubmitted(deps, batch, result.remote);
  if (result.kind === 'unprovable') return resolveUnknown(deps, job, batch, result.reason);
  if (result.kind === 'unfinished') return continueLookUp(deps, batch, result.position);
  const now = deps.ambient.now();
  const { createMs, listMs } = deps.createSettles ?? deps.rules.createSettles;
  if (fencedAt === undefined) {
    const wait = intentAt! + createMs - now;
    if (wait > 0) throw new NotYetError(`whether batch ${batchId} was created is not known yet`, wait);
    // The fence: from here on, a create that is still on its way finds no input file.
    if (inputFileId !== undefined) await deps.batches.deleteFile(inputFileId, keyVersion);
    await batch.move(toFenced(batch.record, deps.ambient.now()));
    throw new NotYetError(`batch ${batchId} is fenced off; it is looked up once more`, listMs);
  }
  // What got in before the fence must have had time to show in the list.
  const wait = fencedAt + listMs - now;
  if (wait > 0) throw new NotYetError(`batch ${batchId} is fenced off; the list may lag`, wait);
  // Its worker may have died before it was written down; without it, the next one would not be found.
  await writeIntentOnce(deps, batch);
  await batch.move(toNewFileAgain(batch.record));
}

/** Keeps how far the list was read; the sweep brings the batch back. */
async function continueLookUp(deps: DepsWithKey, batch: LeasedBatch, position: PagePosition): Promise<void> {
  const { jobId, batchId } = batch.record;
  deps.telemetry.record('lookup.paused', {
    jobId,
    batchId,
    pages: position.pages,
  });
  await batch.move(toLookUpContinued(batch.record, position));
}

/**
 * Resolves the intent with the current key, where the key that made the attempt cannot be used any more. That proves
 * something only if the current key sees the attempt's file or batch: then it is of the same project. If not, it stays unknown: the batch is held until a
 * key that can is back, or, past the time by which it would have ended, goes the way of a lost one.
 */
async function resolveWithoutKey(
  deps: DepsWithKey,
  job: Job | undefined,
  batch: LeasedBatch,
  reason: KeyUnusableError,
): Promise<void> {
  const { keyVersion: _, ...attempt } = batch.record.attempt!;
  const { inputFileId } = attempt;
  if (inputFileId !== undefined && (await deps.batches.fileSize(inputFileId)) !== undefined) {
    await batch.move(toKeyReplaced(batch.record));
    return resolveIntent(deps, job, batch);
  }
  const result = await lookUp({ ...deps, deadline: workingTime(deps.deadline) }, attempt);
  if (result.kind === 'found') {
    await batch.move(toKeyReplaced(batch.record));
    return recordSubmitted(deps, batch, result.remote);
  }
  if (result.kind === 'unfinished') return continueLookUp(deps, batch, result.position);
  return resolveUnknown(deps, job, batch, reasonOf(reason));
}

/**
 * It is unknown whether the batch was created: it is held, looked up again every hour, and past the time by which it
 * would have ended, it goes the way of a lost one.
 */
async function resolveUnknown(
  deps: DepsWithKey,
  job: Job | undefined,
  batch: LeasedBatch,
  reason: OwnText,
): Promise<void> {
  const { jobId, batchId, attempt } = batch.record;
  const now = deps.ambient.now();
  const endsAt =
    attempt!.intentAt! + completionWindowMs(batch.record) + deps.settings.stuck.pastExpiryHours * HOUR_MS;
  if (now >= endsAt && (job?.route.onLost === 'resubmit' || job?.cancelledAt !== undefined)) {
    deps.telemetry.record('creation.abandoned', { jobId, batchId });
    await batch.move(toUnknownGivenUp(batch.record, now));
    return;
  }
  deps.telemetry.record('creation.unconfirmed', {
    jobId,
    batchId,
    reason,
    unconfirmedMs: now - attempt!.intentAt!,
  });
  await batch.move(toUnknown(batch.record, reason, now + UNKNOWN_REST_MS));
}
