/**
 * From an admitted batch to one at OpenAI, never two.
 *
 * OpenAI takes no idempotency key, so a create whose answer was lost may have made a batch or not. The intent is
 * recorded before the create; whoever finds an intent without an id looks the batch up by its nonce before anything
 * else. Only when it is surely absent (the look-back is complete, time has passed for lists to catch up, and the input
 * file has been deleted, so that a create still on its way would fail) does a new attempt begin, with a new file and a
 * new nonce.
 */

import type { OwnText } from '../../../contract/event-fields.ts';
import type { BatchMessage } from '../../../contract/messages.ts';
import type { Settings } from '../../../contract/settings.ts';
import {
  CreateRefusedError,
  KeyUnusableError,
  NotYetError,
  UploadIncompleteError,
} from '../../base/errors.ts';
import { errorName, reasonOf } from '../../base/own-text.ts';
import { type Manifest, readManifest, renderedBytes } from '../../files/manifest.ts';
import { renderBatch } from '../../files/render.ts';
import { cancelledUnsent } from '../../lifecycle/cancel.ts';
import { whileBatchClaimed } from '../../lifecycle/claims.ts';
import { leaseUntil } from '../../lifecycle/lease.ts';
import { readOutcome } from '../../lifecycle/outcome-file.ts';
import { inputFilename, metadataOf } from '../../lifecycle/ownership.ts';
import { recordFailure, SUCCEEDED } from '../../lifecycle/step-failure.ts';
import { COMPLETION_WINDOW_MS, workingTime } from '../../lifecycle/time-limits.ts';
import { isGivenUp, isSourceUnreadable } from '../../lifecycle/unreadable-source.ts';
import { apiKeyOf, type BatchRecord, type PagePosition } from '../../model/batch.ts';
import type { Job } from '../../model/job.ts';
import { INPUT_UNREADABLE, OBJECT_GONE, type StatedError } from '../../model/outcome-codes.ts';
import type { Ambient, Deadline, Pause } from '../../ports/ambient.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { BatchService, BatchSource, ByKey, RemoteBatch, UploadedFile } from '../../ports/provider.ts';
import type { ProviderRules } from '../../ports/provider-rules.ts';
import type { ParkStore, QuotaStore } from '../../ports/quota.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import { type OperatorError, operatorErrorOf, parkFor, unparkFor } from '../../scheduling/operator-errors.ts';
import { isShortWait, refusalWaitMs } from '../../scheduling/refusal-wait.ts';
import { createTurnsOf } from '../../scheduling/scopes.ts';
import { unsent } from '../../scheduling/step-down.ts';
import { ADMITTED_AGAIN, WAITING_AGAIN } from '../../scheduling/waiting.ts';
import { type CreateAttempt, unknownAttempt, writeAttemptOnce } from './attempts.ts';
import { type LookUp, lookUp } from './look-up.ts';
import { RESENT_FILE_WAIT_MS, withSameFile } from './young-file.ts';

export interface SubmitDeps {
  stackId: string;
  objects: ObjectStore;
  jobs: JobStore;
  batches: ByKey<BatchService>;
  rules: ProviderRules;
  settings: Pick<Settings, 'quota' | 'stuck' | 'layout' | 'inputs'>;
  quota: QuotaStore;
  parks: ParkStore;
  outbox: Pick<Outbox, 'submit'>;
  ambient: Ambient;
  deadline: Deadline;
  heartbeat: Pause;
  /** Default: those of OpenAI. */
  createSettles?: CreateSettles | undefined;
  telemetry: Telemetry;
}

/** After how long it is sure that a create without an answer did not come about, if the batch is in no list (ms). */
export interface CreateSettles {
  /** From the intent until the create is not on its way any more. */
  createMs: number;
  /** How long a list may lag behind a create. */
  listMs: number;
}

/** OpenAI: the client gives up on a create after 2 minutes; how far a list may lag is ours, none is documented. */
const OPENAI_SETTLES: CreateSettles = { createMs: 3 * 60_000, listMs: 15 * 60_000 };
/** A create that was refused so often in a row (some four hours) is held: each try uploads its file again. Ours. */
const MAX_REFUSALS = 10;
/** How long a batch rests of which nobody can say whether it was created. */
const UNKNOWN_REST_MS = 60 * 60_000;

/** The same, with the key of the batch. */
type DepsWithKey = Omit<SubmitDeps, 'batches'> & { batches: BatchService };

/** Takes a batch as far as it goes now. What cannot be done now is left for the sweep. */
export async function submit(allDeps: SubmitDeps, { jobId, batchId }: BatchMessage): Promise<void> {
  const found = await allDeps.jobs.getBatch(jobId, batchId);
  if (found === undefined) {
    allDeps.telemetry.record('message.dropped', { jobId, batchId });
    return;
  }
  const deps: DepsWithKey = { ...allDeps, batches: allDeps.batches.withKey(apiKeyOf(found)) };
  if (found.state !== 'admitted' && found.state !== 'uploaded' && found.state !== 'submitting') return;
  const now = deps.ambient.now();
  if (found.notBefore !== undefined && found.notBefore > now) return;
  const claim = deps.ambient.nonce();
  const claimed = await deps.jobs.leaseBatch(found, found.state, claim, now, leaseUntil(now, deps.deadline));
  if (claimed === undefined) return;
  try {
    await whileBatchClaimed(deps, claimed, claim, (leased) => submitClaimed(leased, claimed, claim));
  } catch (error) {
    const isDone = await recordFailure(deps, found, claim, error, (delivery) =>
      deps.outbox.submit({ v: 1, jobId, batchId }, delivery),
    );
    if (!isDone) throw error;
  }
}

async function submitClaimed(deps: DepsWithKey, claimed: BatchRecord, claim: string): Promise<void> {
  // Read after the claim: a job that is cancelled later finds the batch at OpenAI, or ended.
  const job = await deps.jobs.getJob(claimed.jobId);
  let batch = await catchUp(deps, claimed, claim);
  if (batch.state === 'submitting') batch = await resolveIntent(deps, job, batch, claim);
  if (job?.cancelledAt !== undefined && (batch.state === 'admitted' || batch.state === 'uploaded')) {
    await write(deps, batch, claim, cancelledUnsent(deps.ambient.now()));
    await giveBack(deps, batch);
    return;
  }
  // The ladder left it while nobody knew whether it had been created.
  if (batch.goTo !== undefined && (batch.state === 'admitted' || batch.state === 'uploaded')) {
    await write(deps, batch, claim, { ...SUCCEEDED, ...unsent(batch.goTo, deps.ambient.now()) });
    return;
  }
  if (batch.state === 'admitted') {
    batch = await upload(deps, batch, claim);
    if (batch.state === 'uploaded' && (batch.resends ?? 0) > 0)
      throw new NotYetError(
        `batch ${batch.batchId} failed before; OpenAI gets time to have its new file ready`,
        RESENT_FILE_WAIT_MS,
      );
  }
  if (batch.state === 'uploaded') await create(deps, batch, claim);
}

/** `admitted -> uploaded`, or back to `planned` if that takes a person. Dying after the upload leaves a file that nothing refers to; the poll deletes it. */
async function upload(deps: DepsWithKey, batch: BatchRecord, claim: string): Promise<BatchRecord> {
  const nonce = deps.ambient.nonce();
  // Such a provider takes the requests with the create.
  if (deps.batches.uploadFile === undefined)
    return write(deps, batch, claim, { ...SUCCEEDED, state: 'uploaded', nonce });
  const manifest = await readManifest(deps.objects, batch.manifestKey);
  const bytes = renderedBytes(manifest.entries);
  const filename = inputFilename(deps.stackId, batch, nonce);
  let file: UploadedFile;
  try {
    file = await deps.batches.uploadFile({ filename, bytes, body: renderBatch(deps.objects, manifest) });
  } catch (error) {
    const trouble = operatorErrorOf(deps.rules.errors, error);
    if (trouble !== undefined) return waitForOperator(deps, batch, claim, trouble);
    if (await isSourceUnreadable(deps.objects, manifest)) {
      if (await isGivenUp(deps, batch, claim)) return giveUp(deps, batch, claim, INPUT_UNREADABLE);
    } else if (await isSourceGone(deps, manifest)) return giveUp(deps, batch, claim, OBJECT_GONE);
    throw error;
  }
  await checkSize(deps, file, filename, bytes);
  return write(deps, batch, claim, {
    ...SUCCEEDED,
    state: 'uploaded',
    nonce,
    inputFileId: file.id,
    keyVersion: file.keyVersion,
    inputUnreadableSince: undefined,
  });
}

/**
 * Services answer an upload with no size, or 0, before they have read the file: then the file itself is asked. What nobody
 * tells a size of continues; should it have been cut short, that shows in its results.
 * @throws {UploadIncompleteError} if OpenAI says that it has another number of bytes than were sent; the file is deleted.
 */
async function checkSize(
  { batches, telemetry }: DepsWithKey,
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
    `OpenAI counted ${counted} bytes of ${filename}, ${bytes} were sent; the file was deleted and is uploaded again`,
  );
}

/** The client wraps what its body throws, so the object itself is asked. */
async function isSourceGone(deps: DepsWithKey, { source }: Manifest): Promise<boolean> {
  return (await deps.objects.head(source.bucket, source.key, source.versionId)) === undefined;
}

/** Ends a batch that nobody can send any more, as if OpenAI had refused it; collect states the reason. */
async function giveUp(
  deps: DepsWithKey,
  batch: BatchRecord,
  claim: string,
  reason: StatedError,
): Promise<BatchRecord> {
  const ended = await write(deps, batch, claim, {
    ...SUCCEEDED,
    state: 'ended',
    status: 'failed',
    errors: [reason],
    endedAt: deps.ambient.now(),
    claim: undefined,
    claimedUntil: undefined,
  });
  await giveBack(deps, batch);
  return ended;
}

/** What was reserved for an attempt that is over. */
async function giveBack(deps: DepsWithKey, { reservation }: BatchRecord): Promise<void> {
  if (reservation !== undefined) await deps.quota.settle(reservation, deps.ambient.now());
}

/** `uploaded -> submitting -> submitted`. */
async function create(deps: DepsWithKey, uploaded: BatchRecord, claim: string): Promise<void> {
  const turn = deps.ambient.now();
  const wait = await deps.quota.takeTurn(
    createTurnsOf(apiKeyOf(uploaded)),
    deps.settings.quota.createsPerHour,
    turn,
  );
  if (wait > 0) {
    const released = { notBefore: turn + wait, claim: undefined, claimedUntil: undefined };
    await write(deps, uploaded, claim, released);
    deps.telemetry.record('creation.deferred', {
      jobId: uploaded.jobId,
      batchId: uploaded.batchId,
      apiKey: apiKeyOf(uploaded),
      waitMs: wait,
    });
    return;
  }
  const batch = await write(deps, uploaded, claim, {
    state: 'submitting',
    attempts: (uploaded.attempts ?? 0) + 1,
    intentAt: deps.ambient.now(),
    fencedAt: undefined,
  });
  await settleIntent(deps, batch, claim);
  let remote: RemoteBatch;
  try {
    remote = await deps.batches.createBatch({
      ...(await sourceOf(deps, batch)),
      endpoint: batch.endpoint,
      metadata: metadataOf(deps.stackId, batch),
      ...(batch.keyVersion === undefined ? {} : { keyVersion: batch.keyVersion }),
    });
  } catch (error) {
    if (await triedAgain(deps, batch, claim, error)) return;
    const trouble = operatorErrorOf(deps.rules.errors, error);
    if (trouble !== undefined) await waitForOperator(deps, batch, claim, trouble);
    else if (error instanceof CreateRefusedError) await refused(deps, batch, claim, error);
    else throw error;
    return;
  }
  await submitted(deps, batch, claim, remote);
}

/** What the create is given: the file that was uploaded, or the requests where the provider takes no file. */
async function sourceOf(deps: DepsWithKey, { inputFileId, manifestKey }: BatchRecord): Promise<BatchSource> {
  if (inputFileId !== undefined) return { inputFileId };
  const manifest = await readManifest(deps.objects, manifestKey);
  const body = renderBatch(deps.objects, manifest);
  return { input: { bytes: renderedBytes(manifest.entries), body } };
}

/** Whether a create was refused only because its file is young: then it is tried again with the same file. */
async function triedAgain(
  deps: DepsWithKey,
  batch: BatchRecord,
  claim: string,
  error: unknown,
): Promise<boolean> {
  if (!(error instanceof CreateRefusedError) || error.topic !== 'file_not_ready') return false;
  const again = withSameFile(batch, deps.ambient.now());
  if (again === undefined) return false;
  const { jobId, batchId, inputFileId, fileTries = 0 } = batch;
  const { changes, waitMs } = again;
  await write(deps, batch, claim, changes);
  await deps.outbox.submit({ v: 1, jobId, batchId }, { delayMs: waitMs });
  const { status } = error;
  deps.telemetry.record('creation.retried', {
    jobId,
    batchId,
    inputFileId,
    status,
    tries: fileTries + 1,
    waitMs,
  });
  return true;
}

/** Writes the intent down below `work/`, too. */
async function settleIntent(deps: DepsWithKey, batch: BatchRecord, claim: string): Promise<void> {
  // An intent of a release that did not count them.
  if (batch.attempts === undefined) return;
  const attempt = await writeAttemptOnce(deps.objects, deps.settings.layout, batch, attemptOf(batch));
  if (attempt.nonce === batch.nonce) return;
  await takeUp(deps, batch, claim, attempt);
  throw new NotYetError(`batch ${batch.batchId} of job ${batch.jobId} was begun before`, 0);
}

function attemptOf({ attempts, nonce, inputFileId, keyVersion, intentAt }: BatchRecord): CreateAttempt {
  return {
    v: 1,
    attempt: attempts!,
    nonce: nonce!,
    ...(inputFileId === undefined ? {} : { inputFileId }),
    ...(keyVersion === undefined ? {} : { keyVersion }),
    intentAt: intentAt!,
  };
}

/**
 * A record may be of an earlier time than what was done, because its table was restored. Then what became of the batch, or
 * the last create that was begun, is written down below `work/`, and the record is brought there.
 */
async function catchUp(deps: DepsWithKey, batch: BatchRecord, claim: string): Promise<BatchRecord> {
  const { jobId, batchId } = batch;
  const settled = await readOutcome(deps, batch);
  if (settled !== undefined) {
    deps.telemetry.record('outcome.adopted', { jobId, batchId });
    const collected = await write(deps, batch, claim, { ...settled, adoptedAt: deps.ambient.now() });
    // Finalize settles what it cost.
    if (batch.reservation !== undefined)
      await deps.quota.giveBackTokens(batch.reservation, deps.ambient.now());
    return collected;
  }
  const attempt = await unknownAttempt(deps.objects, deps.settings.layout, batch);
  return attempt === undefined ? batch : takeUp(deps, batch, claim, attempt);
}

/** Goes on with a create that the record did not know of, as with any whose answer was lost. */
async function takeUp(
  deps: DepsWithKey,
  batch: BatchRecord,
  claim: string,
  { attempt, nonce, inputFileId, keyVersion, intentAt }: CreateAttempt,
): Promise<BatchRecord> {
  const { jobId, batchId } = batch;
  deps.telemetry.record('creation.adopted', { jobId, batchId, attempt });
  const begun = await write(deps, batch, claim, {
    ...SUCCEEDED,
    state: 'submitting',
    attempts: attempt,
    nonce,
    inputFileId,
    keyVersion,
    intentAt,
    fencedAt: undefined,
    lookUp: undefined,
    adoptedAt: deps.ambient.now(),
  });
  // Nothing was created with it.
  if (batch.inputFileId !== undefined && batch.inputFileId !== inputFileId)
    await deps.batches.deleteFile(batch.inputFileId, batch.keyVersion);
  return begun;
}

async function submitted(
  deps: DepsWithKey,
  batch: BatchRecord,
  claim: string,
  remote: RemoteBatch,
): Promise<BatchRecord> {
  const { jobId, batchId } = batch;
  const written = await write(deps, batch, claim, {
    state: 'submitted',
    openaiBatchId: remote.id,
    status: remote.status,
    submittedAt: deps.ambient.now(),
    statusAt: deps.ambient.now(),
    expiresAt: remote.expiresAt,
    claim: undefined,
    claimedUntil: undefined,
    heldReason: undefined,
    refusals: undefined,
    fileTries: undefined,
    ...SUCCEEDED,
  });
  deps.telemetry.record('batch.submitted', {
    jobId,
    batchId,
    openaiBatchId: remote.id,
    requests: batch.requests,
  });
  await unparkFor(deps, batch, 'created');
  return written;
}

/**
 * OpenAI refused the create, so there is no batch: wait, and begin again with a new file. For a short wait the batch keeps
 * what is reserved for it, and a delayed message brings it back; for a longer one it waits for its turn again. The reason is
 * kept for the operator.
 */
async function refused(
  deps: DepsWithKey,
  batch: BatchRecord,
  claim: string,
  error: CreateRefusedError,
): Promise<void> {
  const { jobId, batchId } = batch;
  const { status, code } = error;
  const refusals = (batch.refusals ?? 0) + 1;
  const now = deps.ambient.now();
  // A rate limit passes by itself, however long that takes.
  const isHeld = status !== 429 && refusals >= MAX_REFUSALS;
  const waitMs = isHeld ? 0 : refusalWaitMs(refusals);
  const isShort = isShortWait(waitMs);
  const lastError = `create refused: HTTP ${status} ${code ?? ''}`.trim();
  await write(deps, batch, claim, {
    ...(isShort ? ADMITTED_AGAIN : WAITING_AGAIN),
    refusals,
    failures: undefined,
    notBefore: now + waitMs,
    lastError,
    ...(isHeld ? { heldAt: now, heldReason: code ?? `http_${status}` } : {}),
  });
  if (!isShort) await giveBack(deps, batch);
  if (isHeld) deps.telemetry.record('creation.held', { jobId, batchId, status, code, refusals });
  else deps.telemetry.record('creation.refused', { jobId, batchId, status, code, waitMs });
  if (batch.inputFileId !== undefined) await deps.batches.deleteFile(batch.inputFileId, batch.keyVersion);
  if (isShort) await deps.outbox.submit({ v: 1, jobId, batchId }, { delayMs: waitMs });
}

/**
 * The key or the model cannot be used, and nothing was made: the batch waits unharmed, until it is the one that is sent
 * to see whether that is over, or until another one has shown it.
 */
async function waitForOperator(
  deps: DepsWithKey,
  batch: BatchRecord,
  claim: string,
  trouble: OperatorError,
): Promise<BatchRecord> {
  await parkFor(deps, batch, trouble, 'created');
  const waiting = await write(deps, batch, claim, {
    ...WAITING_AGAIN,
    ...SUCCEEDED,
    heldReason: trouble.code,
    lastError: `waits for a person: ${trouble.code}`,
  });
  await giveBack(deps, batch);
  const { jobId, batchId, inputFileId, keyVersion } = batch;
  if (inputFileId === undefined) return waiting;
  try {
    await deps.batches.deleteFile(inputFileId, keyVersion);
  } catch (error) {
    // The key that is refused may be what this takes.
    deps.telemetry.record('deletion.failed', { jobId, batchId, error: errorName(error) });
  }
  return waiting;
}

/** `submitting -> submitted` if the batch exists, `-> admitted` if it surely does not; otherwise it stays, for later. */
async function resolveIntent(
  deps: DepsWithKey,
  job: Job | undefined,
  batch: BatchRecord,
  claim: string,
): Promise<BatchRecord> {
  let result: LookUp;
  try {
    result = await lookUp({ ...deps, deadline: workingTime(deps.deadline) }, batch);
  } catch (error) {
    if (!(error instanceof KeyUnusableError)) throw error;
    return resolveWithoutKey(deps, job, batch, claim, error);
  }
  if (result.kind === 'found') return submitted(deps, batch, claim, result.remote);
  if (result.kind === 'unprovable') return resolveUnknown(deps, job, batch, claim, result.reason);
  if (result.kind === 'unfinished') return continueLookUp(deps, batch, claim, result.position);
  const now = deps.ambient.now();
  const { createMs, listMs } = deps.createSettles ?? OPENAI_SETTLES;
  if (batch.fencedAt === undefined) {
    const wait = batch.intentAt! + createMs - now;
    if (wait > 0) throw new NotYetError(`whether batch ${batch.batchId} was created is not known yet`, wait);
    // The fence: from here on, a create that is still on its way finds no input file.
    if (batch.inputFileId !== undefined) await deps.batches.deleteFile(batch.inputFileId, batch.keyVersion);
    await write(deps, batch, claim, { fencedAt: deps.ambient.now(), lookUp: undefined });
    throw new NotYetError(`batch ${batch.batchId} is fenced off; it is looked up once more`, listMs);
  }
  // What got in before the fence must have had time to show in the list.
  const wait = batch.fencedAt + listMs - now;
  if (wait > 0) throw new NotYetError(`batch ${batch.batchId} is fenced off; the list may lag`, wait);
  // Its worker may have died before it was written down; without it, nobody would find the next one.
  await settleIntent(deps, batch, claim);
  return write(deps, batch, claim, {
    state: 'admitted',
    nonce: undefined,
    intentAt: undefined,
    fencedAt: undefined,
    lookUp: undefined,
    inputFileId: undefined,
    keyVersion: undefined,
  });
}

/** Keeps how far the list was read; the sweep brings the batch back. */
async function continueLookUp(
  deps: DepsWithKey,
  batch: BatchRecord,
  claim: string,
  lookUp: PagePosition,
): Promise<BatchRecord> {
  const { jobId, batchId } = batch;
  deps.telemetry.record('lookup.continued', {
    jobId,
    batchId,
    pages: lookUp.pages,
  });
  return write(deps, batch, claim, { lookUp, claim: undefined, claimedUntil: undefined });
}

/**
 * The same where the key that made the attempt cannot be used any more. The current key tells as much, if it sees the
 * attempt's file or batch, because then it is of the same project. If not, nobody can tell: the batch is held until a
 * key that can is back, or, past the time by which it would have ended, goes the way of a lost one.
 */
async function resolveWithoutKey(
  deps: DepsWithKey,
  job: Job | undefined,
  batch: BatchRecord,
  claim: string,
  reason: KeyUnusableError,
): Promise<BatchRecord> {
  const { keyVersion: _, ...withCurrentKey } = batch;
  const { inputFileId } = batch;
  if (inputFileId !== undefined && (await deps.batches.fileSize(inputFileId)) !== undefined) {
    await write(deps, batch, claim, { keyVersion: undefined });
    return resolveIntent(deps, job, withCurrentKey, claim);
  }
  const result = await lookUp({ ...deps, deadline: workingTime(deps.deadline) }, withCurrentKey);
  if (result.kind === 'found') {
    await write(deps, batch, claim, { keyVersion: undefined });
    return submitted(deps, withCurrentKey, claim, result.remote);
  }
  if (result.kind === 'unfinished') return continueLookUp(deps, batch, claim, result.position);
  return resolveUnknown(deps, job, batch, claim, reasonOf(reason));
}

/**
 * Nobody can tell whether the batch was created: it is held, looked up again every hour, and past the time by which it
 * would have ended, it goes the way of a lost one.
 */
async function resolveUnknown(
  deps: DepsWithKey,
  job: Job | undefined,
  batch: BatchRecord,
  claim: string,
  reason: OwnText,
): Promise<BatchRecord> {
  const { jobId, batchId } = batch;
  const now = deps.ambient.now();
  const endsAt = batch.intentAt! + COMPLETION_WINDOW_MS + deps.settings.stuck.pastExpiryHours * 60 * 60_000;
  if (now >= endsAt && (job?.route.onLost === 'resubmit' || job?.cancelledAt !== undefined)) {
    deps.telemetry.record('creation.abandoned', { jobId, batchId });
    const given = { ...SUCCEEDED, state: 'ended', status: 'expired', lostAt: now, endedAt: now } as const;
    const released = { heldReason: undefined, lookUp: undefined, claim: undefined, claimedUntil: undefined };
    return write(deps, batch, claim, { ...given, ...released });
  }
  deps.telemetry.record('creation.unconfirmed', {
    jobId,
    batchId,
    reason,
  });
  return write(deps, batch, claim, {
    heldReason: 'unknown_create',
    lastError: reason,
    lookUp: undefined,
    notBefore: now + UNKNOWN_REST_MS,
    claim: undefined,
    claimedUntil: undefined,
  });
}

async function write(
  deps: DepsWithKey,
  batch: BatchRecord,
  claim: string,
  changes: Parameters<JobStore['updateBatch']>[2],
): Promise<BatchRecord> {
  const written = await deps.jobs.updateBatch(
    batch,
    { state: batch.state, claim },
    changes,
    deps.ambient.now(),
  );
  if (written === undefined) {
    throw new NotYetError(
      `batch ${batch.batchId} of job ${batch.jobId} was taken over by another worker`,
      60_000,
    );
  }
  return written;
}
