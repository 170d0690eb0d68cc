/**
 * From a planned batch to one at OpenAI, never two.
 *
 * OpenAI takes no idempotency key, so a create whose answer was lost may have made a batch or not. The intent is
 * recorded before the create; whoever finds an intent without an id looks the batch up by its nonce before anything
 * else. Only when it is surely absent (the look-back is complete, time has passed for lists to catch up, and the input
 * file has been deleted, so that a create still on its way would fail) does a new attempt begin, with a new file and a
 * new nonce.
 */
import type { BatchMessage } from '../../contract/messages.ts';
import { CreateRefusedError, NotYetError } from '../errors.ts';
import { readManifest, renderedBytes } from '../manifest.ts';
import type { BatchRecord } from '../model.ts';
import { isOurs, metadataOf, NONCE_KEY } from '../ownership.ts';
import type { Ambient, BatchApi, JobStore, Log, ObjectStore, RemoteBatch } from '../ports.ts';
import { renderBatch } from './render.ts';

export interface SubmitDeps {
  stackId: string;
  objects: ObjectStore;
  jobs: JobStore;
  batches: BatchApi;
  ambient: Ambient;
  log: Log;
}

/** A worker that has not ended by then is dead: a Lambda lives for 15 minutes at most. */
const CLAIM_MS = 16 * 60_000;
/** How long a list may lag behind a create before an absent batch is believed to be absent. Ours; none is documented. */
const LOOK_UP_SETTLE_MS = 2 * 60_000;
/** How far the clocks of OpenAI and ours may differ when pages of a list are cut off by time. */
const CLOCK_SKEW_MS = 10 * 60_000;
/** A refused batch is tried again after 5 minutes, then 10, 20, 40, and every hour from there on. */
const REFUSED_FIRST_MS = 5 * 60_000;
const REFUSED_MOST_MS = 60 * 60_000;

/** Takes a batch as far as it goes now. What cannot be done now is left for the sweep. */
export async function submit(deps: SubmitDeps, { jobId, batchId }: BatchMessage): Promise<void> {
  const found = await deps.jobs.getBatch(jobId, batchId);
  if (found === undefined) {
    deps.log.warn('no such batch', { jobId, batchId });
    return;
  }
  if (found.state !== 'planned' && found.state !== 'uploaded' && found.state !== 'submitting') return;
  const now = deps.ambient.now();
  if (found.notBefore !== undefined && found.notBefore > now) return;
  const claim = deps.ambient.nonce();
  let batch = await deps.jobs.claimBatch(found, found.state, claim, now, now + CLAIM_MS);
  if (batch === undefined) return;
  try {
    if (batch.state === 'submitting') batch = await resolveIntent(deps, batch, claim);
    if (batch.state === 'planned') batch = await upload(deps, batch, claim);
    if (batch.state === 'uploaded') await create(deps, batch, claim);
  } catch (error) {
    await release(deps, jobId, batchId, claim, error);
    throw error;
  }
}

/** `planned -> uploaded`. Dying after the upload leaves a file that nothing refers to; OpenAI expires it. */
async function upload(deps: SubmitDeps, batch: BatchRecord, claim: string): Promise<BatchRecord> {
  const manifest = await readManifest(deps.objects, batch.manifestKey);
  const bytes = renderedBytes(manifest.entries);
  const nonce = deps.ambient.nonce();
  const filename = `batchdrop-${deps.stackId}-${batch.jobId}-${batch.batchId}-${nonce}.jsonl`;
  const file = await deps.batches.uploadFile({ filename, bytes, body: renderBatch(deps.objects, manifest) });
  if (file.bytes !== bytes) {
    await deps.batches.deleteFile(file.id);
    throw new NotYetError(
      `OpenAI counted ${file.bytes} bytes of ${filename}, ${bytes} were sent; the file was deleted and goes up again`,
      60_000,
    );
  }
  return write(deps, batch, claim, { state: 'uploaded', nonce, inputFileId: file.id });
}

/** `uploaded -> submitting -> submitted`. */
async function create(deps: SubmitDeps, uploaded: BatchRecord, claim: string): Promise<void> {
  const batch = await write(deps, uploaded, claim, { state: 'submitting', intentAt: deps.ambient.now() });
  let remote: RemoteBatch;
  try {
    remote = await deps.batches.createBatch({
      inputFileId: batch.inputFileId!,
      endpoint: batch.endpoint,
      metadata: metadataOf(deps.stackId, batch),
    });
  } catch (error) {
    if (error instanceof CreateRefusedError) {
      await refused(deps, batch, claim, error);
      return;
    }
    throw error;
  }
  await submitted(deps, batch, claim, remote);
}

async function submitted(
  deps: SubmitDeps,
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
    claim: undefined,
    claimedUntil: undefined,
    notBefore: undefined,
    lastError: undefined,
  });
  deps.log.info('submitted', { jobId, batchId, openaiBatchId: remote.id, requests: batch.requests });
  return written;
}

/**
 * OpenAI said no, so there is no batch: wait, and begin again with a new file. A key that is wrong or an account out of
 * money looks the same as a limit; the reason is kept for the operator.
 */
async function refused(
  deps: SubmitDeps,
  batch: BatchRecord,
  claim: string,
  error: CreateRefusedError,
): Promise<void> {
  const refusals = (batch.refusals ?? 0) + 1;
  const wait = refusalWaitMs(refusals);
  await write(deps, batch, claim, {
    state: 'planned',
    refusals,
    notBefore: deps.ambient.now() + wait,
    lastError: `create refused: HTTP ${error.status} ${error.code ?? ''}`.trim(),
    nonce: undefined,
    intentAt: undefined,
    inputFileId: undefined,
    claim: undefined,
    claimedUntil: undefined,
  });
  deps.log.warn('create refused', {
    jobId: batch.jobId,
    batchId: batch.batchId,
    status: error.status,
    code: error.code,
    wait,
  });
  await deps.batches.deleteFile(batch.inputFileId!);
}

/** How long a batch waits that OpenAI has refused `refusals` times. */
export function refusalWaitMs(refusals: number): number {
  return Math.min(REFUSED_FIRST_MS * 2 ** (refusals - 1), REFUSED_MOST_MS);
}

/** `submitting -> submitted` if the batch exists, `-> planned` if it surely does not; otherwise it stays, for later. */
async function resolveIntent(deps: SubmitDeps, batch: BatchRecord, claim: string): Promise<BatchRecord> {
  const existing = await lookUp(deps, batch);
  if (existing !== undefined) return submitted(deps, batch, claim, existing);
  const settledAt = batch.intentAt! + LOOK_UP_SETTLE_MS;
  const wait = settledAt - deps.ambient.now();
  if (wait > 0) {
    throw new NotYetError(
      `whether batch ${batch.batchId} was created is not known yet`,
      Math.max(wait, 1_000),
    );
  }
  // The fence: from here on, a create that is still on its way finds no input file.
  await deps.batches.deleteFile(batch.inputFileId!);
  const late = await lookUp(deps, batch);
  if (late !== undefined) return submitted(deps, batch, claim, late);
  return write(deps, batch, claim, {
    state: 'planned',
    nonce: undefined,
    intentAt: undefined,
    inputFileId: undefined,
  });
}

/** Pages through the project's batches until well before the intent; matches by nonce, or by our own fresh file. */
async function lookUp(deps: SubmitDeps, batch: BatchRecord): Promise<RemoteBatch | undefined> {
  const until = batch.intentAt! - CLOCK_SKEW_MS;
  let after: string | undefined;
  do {
    const page = await deps.batches.listBatches(after);
    for (const remote of page.batches) {
      const matches = isOurs(deps.stackId, remote) && remote.metadata[NONCE_KEY] === batch.nonce;
      if (matches || remote.inputFileId === batch.inputFileId) return remote;
    }
    // Newest first is practice, not promise: only a page that is old from end to end says that we are past it.
    if (page.batches.every((remote) => remote.createdAt < until)) return undefined;
    after = page.next;
  } while (after !== undefined);
  return undefined;
}

async function write(
  deps: SubmitDeps,
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

/** Gives the claim back, so that the next try need not wait for it to run out. */
async function release(
  deps: SubmitDeps,
  jobId: string,
  batchId: string,
  claim: string,
  error: unknown,
): Promise<void> {
  const batch = await deps.jobs.getBatch(jobId, batchId).catch(() => undefined);
  if (batch === undefined || batch.claim !== claim) return;
  const lastError =
    error instanceof NotYetError ? batch.lastError : `${(error as Error).name} while ${batch.state}`;
  const changes = { claim: undefined, claimedUntil: undefined, lastError };
  await deps.jobs
    .updateBatch(batch, { state: batch.state, claim }, changes, deps.ambient.now())
    .catch(() => undefined);
}
