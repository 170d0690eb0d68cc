/**
 * From an ended batch to one outcome for each of its requests: an answer, a final error, or a place in the next round.
 *
 * Results are trusted line by line; counts and file ids are not: a file id may be missing or empty, a completed batch
 * may lack lines, an expired or cancelled one holds what was finished and paid for.
 */

import type { BatchMessage } from '../../contract/messages.ts';
import type { Settings } from '../../contract/settings.ts';
import { openaiErrorLine, statedErrorLine } from '../error-line.ts';
import { CorruptWorkFileError, NotYetError, ObjectGoneError } from '../errors.ts';
import { workKeys } from '../keys.ts';
import { encodeManifest, type Manifest, ManifestEntries, readManifest, renderedBytes } from '../manifest.ts';
import type { BatchLevelError, BatchOutcome, BatchRecord, Job, NextBatch } from '../model.ts';
import { readPlan } from '../plan.ts';
import type { Ambient, BatchApi, JobStore, Log, ObjectStore, Outbox, Scratch } from '../ports.ts';
import { readRanges } from '../ranges.ts';
import { advanceJob } from '../rounds.ts';
import { RunWriter } from '../run-file.ts';
import { recordFailure, SUCCEEDED } from '../step-failure.ts';
import { refusalWaitMs } from '../submit/submit.ts';
import { WORKER_LIFETIME_MS } from '../time-limits.ts';
import { noUsage } from './classify.ts';
import { Join } from './join.ts';

export interface CollectDeps {
  settings: Settings;
  objects: ObjectStore;
  jobs: JobStore;
  batches: Pick<BatchApi, 'getBatch' | 'readFile' | 'deleteFile'>;
  outbox: Pick<Outbox, 'submit' | 'finalize'>;
  scratch: Scratch;
  ambient: Ambient;
  log: Log;
}

/** How long files may lag behind the counts of a completed batch. Ours; none is documented. */
const LATE_RESULTS_MS = 60 * 60_000;
/** After this many failures in a row (half a day), what can be read of the result files is taken as all there is. */
const MAX_FAILURES = 18;

/** A request whose result may be in a file that cannot be read: never run again by itself, because it may be paid for. */
const UNREADABLE = {
  code: 'result_unreadable',
  message:
    "OpenAI's result files of this batch could not be read to the end; this request may have been answered.",
};

/** Code of a request that stands in neither result file. */
const MISSING = {
  code: 'missing_from_results',
  message: 'OpenAI ended the batch without a result for this request.',
};

/** Codes of a batch that OpenAI refused as a whole for lack of room: nothing ran, so the same batch waits and goes again. */
const NO_ROOM: ReadonlySet<string> = new Set(['token_limit_exceeded']);

export async function collect(deps: CollectDeps, { jobId, batchId }: BatchMessage): Promise<void> {
  const job = await deps.jobs.getJob(jobId);
  if (job?.planKey === undefined) {
    deps.log.warn('no such job', { jobId });
    return;
  }
  const now = deps.ambient.now();
  const found = await deps.jobs.getBatch(jobId, batchId);
  if (found?.notBefore !== undefined && found.notBefore > now) return;
  const claim = deps.ambient.nonce();
  const batch = await deps.jobs.claimBatch({ jobId, batchId }, 'ended', claim, now, now + WORKER_LIFETIME_MS);
  if (batch !== undefined) {
    try {
      await collectClaimed(deps, job, batch, claim);
    } catch (error) {
      const isDone = await recordFailure(deps.jobs, batch, claim, error, deps.ambient.now());
      if (!isDone) throw error;
      deps.log.warn('collect failed, and rests', { jobId, batchId, error: (error as Error).name });
      return;
    }
  }
  const plan = await readPlan(deps.objects, job.planKey);
  if (plan === undefined) throw new CorruptWorkFileError(`${job.planKey} is missing`);
  await advanceJob(deps, plan, deps.ambient.now());
}

async function collectClaimed(deps: CollectDeps, job: Job, batch: BatchRecord, claim: string): Promise<void> {
  if (batch.status === 'failed' && batch.errors?.some((error) => NO_ROOM.has(error.code))) {
    await waitForRoom(deps, batch, claim);
    return;
  }
  const manifest = await readManifest(deps.objects, batch.manifestKey);
  const scratch = await deps.scratch.open();
  try {
    const isLastResort = (batch.failures ?? 0) >= MAX_FAILURES;
    const join = new Join(manifest, job.jobId, scratch, { takesWhatIsReadable: isLastResort });
    for (const fileId of [batch.outputFileId, batch.errorFileId]) {
      if (fileId === undefined) continue;
      try {
        const { body, bytes } = await deps.batches.readFile(fileId);
        await join.addFile(`OpenAI file ${fileId}`, body, bytes);
      } catch (error) {
        if (!isLastResort) throw error;
        join.isUnreadable = true;
      }
    }
    await waitForLateResults(deps, batch, claim, join);
    const changes = await writeResults(deps, job, batch, manifest, join);
    const collected = {
      ...SUCCEEDED,
      ...changes,
      state: 'collected',
      claim: undefined,
      claimedUntil: undefined,
    } as const;
    const written = await deps.jobs.updateBatch(
      batch,
      { state: 'ended', claim },
      collected,
      deps.ambient.now(),
    );
    if (written === undefined) return;
    deps.log.info('collected', { jobId: job.jobId, batchId: batch.batchId, ...changes.outcome });
  } finally {
    await scratch.dispose();
  }
}

/**
 * A completed batch whose counts promise more answers than its files hold may only be early: its files may be named or
 * filled a moment later, and to run a request again that was answered is to pay twice. So OpenAI is asked again for a
 * while; then the files are believed.
 * @throws {NotYetError} while it is worth waiting.
 */
async function waitForLateResults(
  deps: CollectDeps,
  batch: BatchRecord,
  claim: string,
  join: Join,
): Promise<void> {
  if (batch.status !== 'completed' || batch.progress === undefined) return;
  const promised = Math.min(batch.progress.completed + batch.progress.failed, batch.requests);
  if (join.known >= promised || deps.ambient.now() >= batch.endedAt! + LATE_RESULTS_MS) return;
  const remote = await deps.batches.getBatch(batch.openaiBatchId!);
  if (remote !== undefined) {
    const { outputFileId, errorFileId } = remote;
    const now = deps.ambient.now();
    await deps.jobs.updateBatch(batch, { state: 'ended', claim }, { outputFileId, errorFileId }, now);
  }
  throw new NotYetError(
    `batch ${batch.openaiBatchId} completed with ${promised} results, and its files hold ${join.known}`,
    LATE_RESULTS_MS / 10,
  );
}

/** Nothing ran and nothing was charged: back to planned, to be tried again when there may be room. */
async function waitForRoom(deps: CollectDeps, batch: BatchRecord, claim: string): Promise<void> {
  const refusals = (batch.refusals ?? 0) + 1;
  const now = deps.ambient.now();
  const planned = {
    state: 'planned',
    refusals,
    notBefore: now + refusalWaitMs(refusals),
    lastError: 'enqueued token limit reached',
    claim: undefined,
    claimedUntil: undefined,
    nonce: undefined,
    inputFileId: undefined,
    intentAt: undefined,
    openaiBatchId: undefined,
    submittedAt: undefined,
    status: undefined,
    progress: undefined,
    errors: undefined,
    endedAt: undefined,
  } as const;
  if ((await deps.jobs.updateBatch(batch, { state: 'ended', claim }, planned, now)) === undefined) return;
  deps.log.warn('no room for the batch at OpenAI yet', {
    jobId: batch.jobId,
    batchId: batch.batchId,
    refusals,
  });
  if (batch.inputFileId !== undefined) await deps.batches.deleteFile(batch.inputFileId);
}

/** What becomes of each request of the batch. */
type Decision =
  | { kind: 'succeeded'; incomplete: boolean }
  | { kind: 'retry' }
  | { kind: 'failed'; code: string; stated?: { code: string; message: string; param?: string | null } };

async function writeResults(
  deps: CollectDeps,
  job: Job,
  batch: BatchRecord,
  manifest: Manifest,
  join: Join,
): Promise<Pick<BatchRecord, 'outcome' | 'outputRun' | 'errorRun' | 'next'>> {
  const { entries, source } = manifest;
  const keys = workKeys(deps.settings.layout, job.jobId).collected(batch.batchId, deps.ambient.nonce());
  const decisions = decide(job, batch, manifest, join);
  const customIds = await readCustomIds(deps.objects, manifest, decisions);
  const outcome: BatchOutcome = {
    succeeded: 0,
    failed: 0,
    retried: 0,
    failedByCode: {},
    incomplete: 0,
    strayLines: join.strayLines,
    usage: noUsage(),
  };
  const output = new RunWriter(deps.objects, keys.output, source);
  const errors = new RunWriter(deps.objects, keys.errors, source);
  // Not a plain object: a code may be called "constructor".
  const failedByCode = new Map<string, number>();
  const next = new ManifestEntries();
  const wasExecuted = batch.status !== 'failed';
  // Offsets in a spool mean nothing to a person, offsets in the dropped object do.
  const isInput = source.key === job.source.key;
  try {
    for (const [index, decision] of decisions.entries()) {
      const { line, offset, length, tried, hash0, hash1 } = entries.at(index);
      const rounds = tried + (wasExecuted ? 1 : 0);
      const original = { offset, length };
      if (decision.kind === 'succeeded') {
        outcome.succeeded++;
        if (decision.incomplete) outcome.incomplete++;
        output.add(line, await join.line(index), original);
      } else if (decision.kind === 'retry') {
        outcome.retried++;
        next.push(line, offset, length, rounds, hash0, hash1);
      } else {
        outcome.failed++;
        failedByCode.set(decision.code, (failedByCode.get(decision.code) ?? 0) + 1);
        const context = { line, ...(isInput ? { byte: offset } : {}), rounds };
        const text =
          decision.stated === undefined
            ? openaiErrorLine(JSON.parse(Buffer.from(await join.line(index)).toString('utf8')), context)
            : statedErrorLine(customIds.get(index) ?? null, decision.stated, context);
        errors.add(line, text, original);
      }
      await output.flush();
      await errors.flush();
    }
    outcome.failedByCode = Object.fromEntries(failedByCode);
    outcome.usage = join.usage();
    const outputRun = await output.close();
    const errorRun = await errors.close();
    if (next.count > 0) await deps.objects.put(keys.nextManifest, encodeManifest({ source, entries: next }));
    return {
      outcome,
      ...(outputRun === undefined ? {} : { outputRun }),
      ...(errorRun === undefined ? {} : { errorRun }),
      ...(next.count === 0 ? {} : { next: [nextOf(batch, keys.nextManifest, next, wasExecuted)] }),
    };
  } catch (error) {
    await Promise.allSettled([output.abort(), errors.abort()]);
    throw error;
  }
}

function nextOf(
  batch: BatchRecord,
  manifestKey: string,
  entries: ManifestEntries,
  wasExecuted: boolean,
): NextBatch {
  const next = { manifestKey, requests: entries.count, bytes: renderedBytes(entries) };
  return wasExecuted ? next : { ...next, repairs: (batch.repairs ?? 0) + 1 };
}

function decide(job: Job, batch: BatchRecord, { entries }: Manifest, join: Join): Decision[] {
  const decideOne = batch.status === 'failed' ? decideUnexecuted(batch) : undefined;
  return Array.from({ length: entries.count }, (_, index): Decision => {
    const verdict = join.verdict(index);
    if (verdict?.kind === 'succeeded') return verdict;
    if (verdict?.kind === 'failed') return { kind: 'failed', code: verdict.code };
    if (verdict === undefined && join.isUnreadable) return stated(UNREADABLE);
    if (verdict === undefined && decideOne !== undefined) return decideOne(index);
    if (entries.tried(index) + 1 < job.route.maxRounds) return { kind: 'retry' };
    return verdict === undefined ? stated(MISSING) : { kind: 'failed', code: verdict.code };
  });
}

/**
 * For a batch that OpenAI refused as a whole: the lines that it names are at fault, the others go again without them.
 * None of them was executed, so this costs none of their rounds.
 */
function decideUnexecuted(batch: BatchRecord): (index: number) => Decision {
  const named = new Map<number, BatchLevelError>();
  for (const error of batch.errors ?? []) if (error.line !== undefined) named.set(error.line - 1, error);
  const repairs = batch.repairs ?? 0;
  const goesAgain = repairs < (named.size > 0 ? MAX_REPAIRS : MAX_BLIND_REPAIRS);
  const reason = batch.errors?.find((error) => error.line === undefined) ?? BATCH_FAILED;
  return (index) => {
    const error = named.get(index);
    if (error !== undefined) return stated(error);
    return goesAgain ? { kind: 'retry' } : stated(reason);
  };
}

const BATCH_FAILED = {
  code: 'batch_failed',
  message: 'OpenAI refused the batch; this request was not executed.',
};
/** OpenAI may name one bad line at a time; after this many, something else is wrong. */
const MAX_REPAIRS = 20;
/** A batch that is refused without a line to blame gets two more chances. */
const MAX_BLIND_REPAIRS = 2;

function stated({ code, message, param }: { code: string; message: string; param?: string }): Decision {
  return { kind: 'failed', code, stated: { code, message, ...(param === undefined ? {} : { param }) } };
}

/** Our own error lines name the request; its id is read from the original line, because manifests hold only hashes. */
async function readCustomIds(
  objects: ObjectStore,
  { source, entries }: Manifest,
  decisions: readonly Decision[],
): Promise<Map<number, string>> {
  const wanted: number[] = [];
  for (const [index, decision] of decisions.entries()) {
    if (decision.kind === 'failed' && decision.stated !== undefined) wanted.push(index);
  }
  const customIds = new Map<number, string>();
  const ranges = wanted.map((index) => ({ offset: entries.offset(index), length: entries.length(index) }));
  let pieces: Uint8Array[] = [];
  try {
    for await (const piece of readRanges(objects, source, ranges)) {
      pieces.push(new Uint8Array(piece.bytes));
      if (!piece.last) continue;
      const request = JSON.parse(Buffer.concat(pieces).toString('utf8')) as { custom_id: string };
      customIds.set(wanted[piece.index]!, request.custom_id);
      pieces = [];
    }
  } catch (error) {
    // The input was deleted meanwhile: the line numbers still say which requests these were.
    if (!(error instanceof ObjectGoneError)) throw error;
  }
  return customIds;
}
