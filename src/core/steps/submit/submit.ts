/**
 * From an admitted batch to one at OpenAI, never two.
 *
 * OpenAI takes no idempotency key, so a create whose answer was lost may have made a batch or not. The intent is
 * recorded before the create; a worker that finds an intent without an id looks the batch up by its nonce before
 * anything else. Only when it is surely absent (the look-up is complete, time has passed for lists to catch up, and
 * the input file has been deleted, so that a create still on its way would fail) does a new attempt begin, with a new
 * file and a new nonce.
 */

import type { BatchMessage } from '../../../contract/messages.ts';
import { MINUTE_MS } from '../../../contract/time.ts';
import { CreateRefusedError, NotYetError, UploadIncompleteError } from '../../base/errors.ts';
import { errorName, serviceCode } from '../../base/own-text.ts';
import { type Manifest, readManifest, renderedBytes } from '../../files/manifest.ts';
import { renderBatch } from '../../files/render.ts';
import {
  toNewFileLater,
  toPostponed,
  toSameFileAgain,
  toSubmitting,
  toUploaded,
  toWaiting,
  toWithdrawn,
} from '../../lifecycle/batch-transitions.ts';
import { LeasedBatch } from '../../lifecycle/leased.ts';
import { inputFilename, metadataOf } from '../../lifecycle/ownership.ts';
import { isGivenUp, isSourceUnreadable } from '../../lifecycle/unreadable-source.ts';
import { apiKeyOf, type BatchRecord } from '../../model/batch.ts';
import { CANCELLED, INPUT_UNREADABLE, OBJECT_GONE } from '../../model/outcome-codes.ts';
import { pauseOf } from '../../model/pause.ts';
import type { BatchSource, RemoteBatch, UploadedFile } from '../../ports/provider.ts';
import { type OperatorError, operatorErrorOf, suspendFor } from '../../scheduling/operator-errors.ts';
import { isShortWait, refusalWaitMs } from '../../scheduling/refusal-wait.ts';
import { createTurnsOf } from '../../scheduling/scopes.ts';
import type { DepsWithKey, SubmitDeps } from './deps.ts';
import { catchUp, recordSubmitted, resolveIntent, writeIntentOnce } from './intent.ts';
import { RESENT_FILE_WAIT_MS, youngFileWaitMs } from './young-file.ts';

/** A create that was refused so often in a row (some three hours) is held: each try uploads its file again. Ours. */
const MAX_REFUSALS = 10;

/** How often (ms) an uploaded batch looks whether the pause is over. Ours: as often as the poll runs. */
const PAUSE_LOOK_MS = 5 * MINUTE_MS;
/** After an upload that took so long (ms), pauses are read once more before the create. Ours. */
const PAUSE_HOLDS_AFTER_MS = 5_000;

/** Takes a batch as far as it goes now. What cannot be done now is left for the sweep. */
export async function submit(allDeps: SubmitDeps, { jobId, batchId }: BatchMessage): Promise<void> {
  const found = await allDeps.jobs.getBatch(jobId, batchId);
  if (found === undefined) {
    allDeps.telemetry.record('message.dropped', { jobId, batchId });
    return;
  }
  const deps: DepsWithKey = { ...allDeps, batches: allDeps.batches.withKey(apiKeyOf(found)) };
  if (found.state !== 'admitted' && found.state !== 'uploaded' && found.state !== 'submitting') return;
  if ((found.wait?.notBefore ?? 0) > deps.ambient.now()) return;
  const batch = await LeasedBatch.lease(deps, found, found.state);
  if (batch === undefined) return;
  try {
    await batch.work(deps, (leased) => submitLeased(leased, batch));
  } catch (error) {
    const isDone = await batch.fail(deps, error, (delivery) =>
      deps.outbox.submit({ v: 1, jobId, batchId }, delivery),
    );
    if (!isDone) throw error;
  }
}

async function submitLeased(deps: DepsWithKey, batch: LeasedBatch): Promise<void> {
  // Read after the lease: a job that is cancelled later finds the batch at OpenAI, or ended.
  const job = await deps.jobs.getJob(batch.record.jobId);
  await catchUp(deps, batch);
  if (batch.record.state === 'submitting') await resolveIntent(deps, job, batch);
  const { state, stop } = batch.record;
  const mayBeWithdrawn = state === 'admitted' || state === 'uploaded';
  if (job?.cancelledAt !== undefined && mayBeWithdrawn) {
    await withdraw(deps, batch, { errors: [CANCELLED] });
    await giveBack(deps, batch.record.admission);
    return;
  }
  // The ladder left it while it was unknown whether it had been created.
  if (stop?.nextTier !== undefined && mayBeWithdrawn) {
    await withdraw(deps, batch, { errors: [], nextTier: stop.nextTier });
    return;
  }
  if (mayBeWithdrawn && (await isPaused(deps, batch))) return keepForPause(deps, batch);
  if (state === 'admitted') {
    const askedAt = deps.ambient.now();
    await upload(deps, batch);
    const isLong = deps.ambient.now() - askedAt >= PAUSE_HOLDS_AFTER_MS;
    if (batch.record.state === 'uploaded' && isLong && (await isPaused(deps, batch)))
      return keepForPause(deps, batch);
    if (batch.record.state === 'uploaded' && (batch.record.history?.resends ?? 0) > 0)
      throw new NotYetError(
        `batch ${batch.record.batchId} failed before; ${deps.rules.name} gets time to have its new file ready`,
        RESENT_FILE_WAIT_MS,
      );
  }
  if (batch.record.state === 'uploaded') await create(deps, batch);
}

async function isPaused({ pauses }: DepsWithKey, batch: LeasedBatch): Promise<boolean> {
  return pauseOf(await pauses.getPauses(), batch.record.route) !== undefined;
}

/**
 * Nothing of it is sent while its route, or the stack, is paused. One that is not uploaded waits for its turn again, so
 * that others may have what was reserved for it; an uploaded one, which is about to be created, keeps it.
 */
async function keepForPause(deps: DepsWithKey, batch: LeasedBatch): Promise<void> {
  const { state, admission } = batch.record;
  const lastError = 'its route, or the stack, is paused';
  if (state === 'uploaded') {
    const notBefore = deps.ambient.now() + PAUSE_LOOK_MS;
    await batch.move(toPostponed(batch.record, { notBefore, lastError }));
    return;
  }
  await batch.move(toWaiting(batch.record, { lastError }));
  await giveBack(deps, admission);
}

/**
 * `admitted -> uploaded`, or back to `planned` if that takes a person. Dying after the upload leaves a file that
 * nothing refers to; the poll deletes it.
 */
async function upload(deps: DepsWithKey, batch: LeasedBatch): Promise<void> {
  const nonce = deps.ambient.nonce();
  // Such a provider takes the requests with the create.
  if (deps.batches.uploadFile === undefined) {
    await batch.move(toUploaded(batch.record, { nonce, inputFileId: undefined, keyVersion: undefined }));
    return;
  }
  const manifest = await readManifest(deps.objects, batch.record.manifestKey);
  const bytes = renderedBytes(manifest.entries);
  const filename = inputFilename(deps.stackId, batch.record, nonce);
  let file: UploadedFile;
  try {
    file = await deps.batches.uploadFile({ filename, bytes, body: renderBatch(deps.objects, manifest) });
  } catch (error) {
    const trouble = operatorErrorOf(deps.rules.errors, error);
    if (trouble !== undefined) return waitForOperator(deps, batch, trouble);
    if (await isSourceUnreadable(deps.objects, manifest)) {
      if (await isGivenUp(deps, batch)) return giveUp(deps, batch, INPUT_UNREADABLE);
    } else if (await isSourceGone(deps, manifest)) return giveUp(deps, batch, OBJECT_GONE);
    throw error;
  }
  await checkSize(deps, file, filename, bytes);
  await batch.move(toUploaded(batch.record, { nonce, inputFileId: file.id, keyVersion: file.keyVersion }));
}

/**
 * Services answer an upload with no size, or 0, before they have read the file: then the file itself is asked. A file
 * without a reported size is used; should it have been cut short, that shows in its results.
 * @throws {UploadIncompleteError} if the provider says that it has another number of bytes than were sent; the file is
 *   deleted.
 */
async function checkSize(
  { batches, telemetry, rules }: DepsWithKey,
  file: UploadedFile,
  filename: string,
  bytes: number,
): Promise<void> {
  if (file.bytes === bytes) return;
  const stated = (await batches.fileSize(file.id, file.keyVersion))?.bytes;
  if (stated === bytes) return;
  const counted = stated || file.bytes;
  if (!counted) {
    telemetry.record('upload.unconfirmed', {
      filename,
      bytes,
    });
    return;
  }
  await batches.deleteFile(file.id, file.keyVersion);
  throw new UploadIncompleteError(
    `${rules.name} counted ${counted} bytes of ${filename}, ${bytes} were sent; the file was deleted and is uploaded again`,
  );
}

/** The client wraps what its body throws, so the object itself is asked. */
async function isSourceGone(deps: DepsWithKey, { source }: Manifest): Promise<boolean> {
  return (await deps.objects.head(source.bucket, source.key, source.versionId)) === undefined;
}

/** Ends a batch that can no longer be sent, as if OpenAI had refused it; collect states the reason. */
async function giveUp(
  deps: DepsWithKey,
  batch: LeasedBatch,
  reason: { code: string; message: string },
): Promise<void> {
  await withdraw(deps, batch, { errors: [reason] });
  await giveBack(deps, batch.record.admission);
}

/**
 * Ends a batch of which nothing was sent; collect gives its requests their outcome, or their place in the next tier.
 */
async function withdraw(
  deps: DepsWithKey,
  batch: LeasedBatch,
  why: Parameters<typeof toWithdrawn>[1],
): Promise<void> {
  const { jobId, batchId, requests } = batch.record;
  await batch.move(toWithdrawn(batch.record, why, deps.ambient.now()));
  deps.telemetry.record('batch.withdrawn', { jobId, batchId, requests, code: why.errors[0]?.code });
}

/** What was reserved for an attempt that is over. */
async function giveBack(deps: DepsWithKey, admission: BatchRecord['admission']): Promise<void> {
  if (admission !== undefined) await deps.quota.settle(admission.reservation, deps.ambient.now());
}

/** `uploaded -> submitting -> submitted`. */
async function create(deps: DepsWithKey, batch: LeasedBatch): Promise<void> {
  const apiKey = apiKeyOf(batch.record);
  const turn = deps.ambient.now();
  const wait = await deps.quota.takeTurn(createTurnsOf(apiKey), deps.settings.quota.createsPerHour, turn);
  if (wait > 0) {
    await batch.move(toPostponed(batch.record, { notBefore: turn + wait }));
    const { jobId, batchId } = batch.record;
    deps.telemetry.record('creation.deferred', { jobId, batchId, apiKey, waitMs: wait });
    return;
  }
  const attempts = (batch.record.history?.attempts ?? 0) + 1;
  const { attempt, endpoint } = await batch.move(toSubmitting(batch.record, attempts, deps.ambient.now()));
  await writeIntentOnce(deps, batch);
  const { keyVersion } = attempt!;
  let remote: RemoteBatch;
  try {
    remote = await deps.batches.createBatch({
      ...(await sourceOf(deps, batch.record)),
      endpoint,
      metadata: metadataOf(deps.stackId, batch.record),
      completionWindow: batch.record.completionWindow,
      keyVersion,
    });
  } catch (error) {
    if (await triedAgain(deps, batch, error)) return;
    const trouble = operatorErrorOf(deps.rules.errors, error);
    if (trouble !== undefined) await waitForOperator(deps, batch, trouble);
    else if (error instanceof CreateRefusedError) await refused(deps, batch, error);
    else throw error;
    return;
  }
  await recordSubmitted(deps, batch, remote);
}

/** What the create is given: the file that was uploaded, or the requests where the provider takes no file. */
async function sourceOf(deps: DepsWithKey, { attempt, manifestKey }: BatchRecord): Promise<BatchSource> {
  const { inputFileId } = attempt!;
  if (inputFileId !== undefined) return { inputFileId };
  const manifest = await readManifest(deps.objects, manifestKey);
  const body = renderBatch(deps.objects, manifest);
  return { input: { bytes: renderedBytes(manifest.entries), body } };
}

/** Whether a create was refused only because its file is young: then it is tried again with the same file. */
async function triedAgain(deps: DepsWithKey, batch: LeasedBatch, error: unknown): Promise<boolean> {
  if (!(error instanceof CreateRefusedError) || error.topic !== 'file_not_ready') return false;
  const { jobId, batchId, attempt } = batch.record;
  const { inputFileId, fileTries = 0 } = attempt!;
  const tries = fileTries + 1;
  const waitMs = youngFileWaitMs(tries);
  if (waitMs === undefined) return false;
  await batch.move(toSameFileAgain(batch.record, tries, deps.ambient.now() + waitMs));
  await deps.outbox.submit({ v: 1, jobId, batchId }, { delayMs: waitMs });
  const { status } = error;
  deps.telemetry.record('creation.retried', {
    jobId,
    batchId,
    inputFileId,
    status,
    tries,
    waitMs,
  });
  return true;
}

/**
 * OpenAI refused the create, so there is no batch: wait, and begin again with a new file. For a short wait the batch
 * keeps what is reserved for it, and a delayed message brings it back; for a longer one it waits for its turn again.
 * The reason is kept for the operator.
 */
async function refused(deps: DepsWithKey, batch: LeasedBatch, error: CreateRefusedError): Promise<void> {
  const { jobId, batchId, history, attempt, admission } = batch.record;
  const { status, code } = error;
  const refusals = (history?.refusals ?? 0) + 1;
  const now = deps.ambient.now();
  // A rate limit passes by itself, however long that takes.
  const isHeld = status !== 429 && refusals >= MAX_REFUSALS;
  const waitMs = isHeld ? 0 : refusalWaitMs(refusals);
  const isShort = isShortWait(waitMs);
  const waiting = {
    notBefore: now + waitMs,
    lastError: `create refused: HTTP ${status} ${code ?? ''}`.trim(),
    history: { refusals },
    ...(isHeld ? { heldAt: now, reason: code ?? `http_${status}` } : {}),
  };
  await batch.move(isShort ? toNewFileLater(batch.record, waiting) : toWaiting(batch.record, waiting));
  if (!isShort) await giveBack(deps, admission);
  const fields = { jobId, batchId, status, code: code && serviceCode(code) };
  if (isHeld) deps.telemetry.record('creation.held', { ...fields, refusals });
  else deps.telemetry.record('creation.refused', { ...fields, waitMs });
  const { inputFileId, keyVersion } = attempt!;
  if (inputFileId !== undefined) await deps.batches.deleteFile(inputFileId, keyVersion);
  if (isShort) await deps.outbox.submit({ v: 1, jobId, batchId }, { delayMs: waitMs });
}

/**
 * The key or the model cannot be used, and nothing was made: the batch waits unharmed, until it is the one that is sent
 * to see whether that is over, or until another one has shown it.
 */
async function waitForOperator(deps: DepsWithKey, batch: LeasedBatch, trouble: OperatorError): Promise<void> {
  const { jobId, batchId, attempt, admission } = batch.record;
  await suspendFor(deps, batch.record, trouble, 'created');
  const lastError = `waits for a person: ${trouble.code}`;
  await batch.move(toWaiting(batch.record, { reason: trouble.code, lastError }));
  await giveBack(deps, admission);
  if (attempt?.inputFileId === undefined) return;
  try {
    await deps.batches.deleteFile(attempt.inputFileId, attempt.keyVersion);
  } catch (error) {
    // The key that is refused may be what this takes.
    deps.telemetry.record('deletion.failed', { jobId, batchId, error: errorName(error) });
  }
}
