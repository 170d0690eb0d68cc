/**
 * From collected batches to the files that a person sees: one output and one error file in input order, the original
 * lines of what did not succeed, and last of all the receipt.
 */

import { layoutOf } from '../../../contract/layout.ts';
import type { JobMessage } from '../../../contract/messages.ts';
import { type Receipt, receiptSchema } from '../../../contract/receipt.ts';
import { defined } from '../../base/defined.ts';
import { CorruptWorkFileError, NotYetError } from '../../base/errors.ts';
import { toUsd } from '../../base/money.ts';
import { errorName, reasonOf } from '../../base/own-text.ts';
import { namesHeldUntil, publicationOf, whileNamesHeld } from '../../drops/publication.ts';
import { hasRoomForResults, publishedKeys } from '../../files/keys.ts';
import { type Plan, readPlan } from '../../files/plan.ts';
import { endWaiting } from '../../lifecycle/cancel.ts';
import { recordJobFailure } from '../../lifecycle/job-failure.ts';
import { toCompleted, toRecovered } from '../../lifecycle/job-transitions.ts';
import { LeasedJob } from '../../lifecycle/leased.ts';
import { advanceJob, isFinished } from '../../lifecycle/rounds.ts';
import { workingTime } from '../../lifecycle/time-limits.ts';
import { unlessForgotten } from '../../lifecycle/unless-forgotten.ts';
import { apiKeyOf, type BatchRecord, type RunRef } from '../../model/batch.ts';
import { byRoundAndPlace } from '../../model/batch-id.ts';
import { type Job, MAX_FILES_LEFT } from '../../model/job.ts';
import type { SourceObject } from '../../model/objects.ts';
import { findingText } from '../../model/preflight.ts';
import { retryOfKey } from '../../model/retry-key.ts';
import { addUsage, noUsage } from '../../model/usage.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { BatchService, ByKey } from '../../ports/provider.ts';
import type { QuotaStore } from '../../ports/quota.ts';
import type { Publication } from '../../ports/records.ts';
import { billedOf, microdollarsOf } from '../../pricing/bill.ts';
import { costOf, durationsOf, tiersOf } from './account.ts';
import { type DuplicateDeps, settleDuplicate, tellDuplicates } from './duplicate.ts';
import { eventOf } from './event.ts';
import { endOf } from './job-end.ts';
import { type MergedFiles, mergeResults } from './merge-results.ts';
import { answeredByOf, changeWarnings, shutdownWarnings } from './models.ts';
import { termsOf } from './terms.ts';

/** What finalizing a job works with. */
export interface FinalizeDeps extends DuplicateDeps {
  quota: Pick<QuotaStore, 'settle'>;
  batches: ByKey<Pick<BatchService, 'deleteFile'>>;
}

/** How long to stay away from names that another worker is writing. */
const BUSY_MS = 2 * 60_000;
const JSON_LINES = { contentType: 'application/jsonl' };

/**
 * Ends the job if every request has its outcome; otherwise makes sure that it continues. Safe to repeat at any point.
 */
export async function finalize(deps: FinalizeDeps, { jobId }: JobMessage): Promise<void> {
  try {
    await finalizeJob(deps, jobId);
  } catch (error) {
    // Results that are paid for are never given up: what fails for long is tried every few hours, and its record says
    // why.
    if (!(await recordJobFailure(deps, jobId, error))) throw error;
  }
}

async function finalizeJob(deps: FinalizeDeps, jobId: string): Promise<void> {
  const job = await deps.jobs.getJob(jobId);
  if (job?.state === 'duplicate') return settleDuplicate(deps, job);
  if (job?.planKey === undefined || job.receiptKey !== undefined || job.state === 'ingesting') return;
  const plan = await readPlan(deps.objects, job.planKey);
  if (plan === undefined)
    throw new CorruptWorkFileError(`${job.planKey} is missing; was work/ emptied too early?`);
  const batches = await deps.jobs.listBatches(jobId);
  if (!isFinished(plan, batches)) {
    await endWaiting(deps, job, batches);
    const next = await unlessForgotten(deps, () => advanceJob(deps, plan, deps.ambient.now()));
    if (next === undefined) return;
    if (job.failing !== undefined) await deps.jobs.moveJob(jobId, toRecovered(job), deps.ambient.now());
    return;
  }
  const leased = await LeasedJob.lease(deps, jobId, job.state);
  if (leased === undefined || leased.record.receiptKey !== undefined) {
    await leased?.release();
    deps.telemetry.record('finalize.skipped', { jobId });
    return;
  }
  try {
    const working = { ...deps, deadline: workingTime(deps.deadline) };
    await leased.work(working, (guarded) => finalizeLeased(guarded, leased, plan, batches));
  } catch (error) {
    await leased.release();
    if (!(error instanceof NotYetError)) throw error;
    // Should the message be lost, the sweep sends it. What was merged stays.
    const { delayMs } = error;
    await deps.outbox.finalize({ v: 1, jobId }, { delayMs });
    deps.telemetry.record('finalize.postponed', { jobId, reason: reasonOf(error), waitMs: delayMs });
  }
}

/** Merges, then publishes, then ends the job. */
async function finalizeLeased(
  deps: FinalizeDeps,
  leased: LeasedJob,
  plan: Plan,
  batches: BatchRecord[],
): Promise<void> {
  const job = leased.record;
  const { jobId } = job;
  // Before anything is written: what does not add up is not published.
  const answeredBy = answeredByOf(batches);
  const warnings = [
    ...shutdownWarnings(job, plan),
    ...changeWarnings(answeredBy),
    ...(plan.preflight ?? []).map((found) => ({ code: found.kind, message: findingText(found) })),
  ];
  const terms = await termsOf(deps.objects, job);
  const receipt = makeReceipt(deps, job, plan, batches, { terms, answeredBy, warnings });
  const errors = [...batches.flatMap((batch) => batch.results?.errorRun ?? []), ...plan.invalidRuns];
  const merged = await mergeResults(deps, leased, {
    output: batches.flatMap((batch) => batch.results?.outputRun ?? []),
    errors,
    // A file that was rejected whole is its own retry file.
    retry: job.state === 'rejected' ? [] : errors,
    originals: plan.originals,
  });
  if (merged === 'taken over') return;
  if (merged === 'to be continued') {
    await deps.outbox.finalize({ v: 1, jobId });
    deps.telemetry.record('finalize.paused', { jobId });
    return;
  }
  const publication = publicationOf(deps, job);
  // The worker that collected a batch may have died before it was booked. What the receipt says must be.
  for (const batch of batches) {
    if (batch.admission?.reservation === undefined) continue;
    await deps.quota.settle(batch.admission?.reservation, deps.ambient.now(), microdollarsOf(batch));
  }
  const hasRoom = hasRoomForResults(layoutOf(deps.settings, job.route), job.input.key);
  await whileItsTurn(deps, publication, async (publishing, isSuperseded) => {
    await publish(publishing, job, receipt, merged, hasRoom && !isSuperseded);
  });
  const filesLeft = await deleteProviderFiles(deps, jobId, batches);
  // Sent at least once: only the job's own record, written last, ends the repeating.
  await deps.events.completed(eventOf(receipt));
  // Once, however often this is repeated: the amounts of a job whose batches are all collected do not change.
  await deps.index.recordEnd(endOf(job, receipt, batches));
  const completed = toCompleted(job, {
    receiptKey: receipt.files.receipt,
    result: receipt.result,
    cost: { usd: receipt.cost.usd, possibleUsd: receipt.cost.possibleUsd },
    filesLeft: filesLeft.length === 0 ? undefined : filesLeft.slice(0, MAX_FILES_LEFT),
  });
  if (!(await leased.tryMove(completed))) return;
  const { result, counts, terms: said, timings } = receipt;
  const isLate = said.deadlineAt !== undefined && timings.completedAt > said.deadlineAt;
  const counted = { ...counts, failedUncancelled: job.cancelledAt === undefined ? counts.failed : 0 };
  const { totalMs } = timings;
  const { key } = job.input;
  deps.telemetry.record('job.completed', { jobId, key, result, ...counted, totalMs, isLate });
  await tellDuplicates(deps, jobId);
  // Should this not come about, they expire with the rest below work/.
  for (const file of Object.values(merged)) await deps.objects.remove(file.key);
}

/**
 * Publishes while no other worker writes the plain names of the input key.
 * @param work gets whether a newer version of the input has the plain names.
 * @throws {NotYetError} if another worker is publishing, or took over.
 */
async function whileItsTurn(
  deps: FinalizeDeps,
  publication: Publication,
  work: (deps: FinalizeDeps, isSuperseded: boolean) => Promise<void>,
): Promise<void> {
  const { jobs, ambient } = deps;
  const key = publication.owner;
  const now = ambient.now();
  const until = namesHeldUntil(now);
  const turn = await jobs.acquirePublication(publication, now, until);
  if (turn === 'busy')
    throw new NotYetError(`results for ${key} are being published by another worker`, BUSY_MS);
  if (turn === 'superseded') return work(deps, true);
  try {
    await whileNamesHeld(deps, publication, until, (publishing) => work(publishing, false));
  } catch (error) {
    await jobs.abandonPublication(publication);
    throw error;
  }
  if (await jobs.releasePublication(publication)) return;
  throw new NotYetError(`publishing ${key} took too long and another worker took over`, BUSY_MS);
}

/**
 * Copies the merged files to the names that a person looks for, then writes the receipt, which names them.
 * @param isPlain `false`: a newer version of the input has the plain names, or S3 does not allow names as long, so this
 * job's names carry its id.
 */
async function publish(
  deps: FinalizeDeps,
  job: Job,
  receipt: Receipt,
  merged: MergedFiles,
  isPlain: boolean,
): Promise<void> {
  const keys = publishedKeys(
    layoutOf(deps.settings, job.route),
    job.input.key,
    isPlain ? undefined : job.jobId,
  );
  const { files } = receipt;
  for (const name of ['output', 'errors', 'retry'] as const) {
    const file = merged[name];
    // What an earlier version of the input left there is not of this one.
    if (file === undefined) await deps.objects.remove(keys[name]);
    else {
      await publishFile(deps.objects, { bucket: job.input.bucket, key: file.key }, file.bytes, keys[name]);
      files[name] = keys[name];
    }
  }
  files.receipt = keys.receipt;
  const body = Buffer.from(`${JSON.stringify(receiptSchema.parse(receipt), null, 2)}\n`);
  await deps.objects.put(keys.receipt, body, { contentType: 'application/json' });
}

/** @throws {CorruptWorkFileError} if the copy is not as long as what was merged. */
async function publishFile(
  objects: ObjectStore,
  source: SourceObject,
  bytes: number,
  key: string,
): Promise<void> {
  const writer = objects.openWrite(key, JSON_LINES);
  try {
    await writer.copy(source, 0, bytes);
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  const published = await objects.head(source.bucket, key);
  if (published?.size !== bytes) {
    throw new CorruptWorkFileError(`${key} has ${published?.size ?? 'no'} bytes; ${bytes} were merged`);
  }
}

function makeReceipt(
  deps: FinalizeDeps,
  job: Job,
  plan: Plan,
  batches: BatchRecord[],
  stated: Pick<Receipt, 'terms' | 'answeredBy' | 'warnings'>,
): Receipt {
  const { requests, invalid } = plan;
  const counts = { requests, succeeded: 0, failed: 0, invalid };
  const errorsByCode = new Map(Object.entries(plan.invalidByCode));
  const billedTwice = new Map<string, number>();
  const usage = noUsage();
  const cut = { incomplete: 0, filtered: 0, cutOtherwise: 0 };
  let repairedLines = 0;
  let strayLines = 0;
  for (const { results } of batches) {
    if (results === undefined) continue;
    const { outcome } = results;
    counts.succeeded += outcome.succeeded;
    counts.failed += outcome.failed;
    cut.incomplete += outcome.incomplete;
    cut.filtered += outcome.filtered;
    cut.cutOtherwise += outcome.cutOtherwise;
    repairedLines += outcome.repairedLines;
    strayLines += outcome.strayLines;
    addUsage(usage, outcome.usage);
    for (const [code, count] of Object.entries(outcome.failedByCode)) {
      errorsByCode.set(code, (errorsByCode.get(code) ?? 0) + count);
    }
    for (const [cause, count] of Object.entries(outcome.possiblyBilledTwice)) {
      billedTwice.set(cause, (billedTwice.get(cause) ?? 0) + count);
    }
  }
  if (counts.succeeded + counts.failed + counts.invalid !== requests) {
    throw new CorruptWorkFileError(
      `job ${job.jobId}: ${counts.succeeded} succeeded + ${counts.failed} failed + ${counts.invalid} invalid is not the ${requests} requests that were read`,
    );
  }
  const answers = linesOf(batches.map(({ results }) => results?.outputRun));
  const errors = linesOf([...batches.map(({ results }) => results?.errorRun), ...plan.invalidRuns]);
  const invalidLines = linesOf(plan.invalidRuns);
  if (answers !== counts.succeeded || errors !== counts.failed + invalidLines) {
    throw new CorruptWorkFileError(
      `job ${job.jobId}: ${answers} answers and ${errors} errors are on file for ${counts.succeeded} succeeded, ${counts.failed} failed and ${invalidLines} invalid requests`,
    );
  }
  const { bucket, key, versionId, etag, size, lastModified } = job.input;
  const completedAt = deps.ambient.now();
  const times = { droppedAt: lastModified, claimedAt: job.createdAt, completedAt };
  return defined({
    v: 1,
    jobId: job.jobId,
    stackId: deps.stackId,
    route: job.route.name,
    result: resultOf(plan, counts),
    retryOf: retryOfKey(key),
    input: defined({ bucket, key, versionId, etag, bytes: size }),
    files: { receipt: '' },
    rejection: plan.rejection,
    ...stated,
    counts,
    errorsByCode: Object.fromEntries(errorsByCode),
    firstInvalid: plan.firstInvalid ?? {},
    possiblyBilledTwice: Object.fromEntries(billedTwice),
    ...cut,
    repairedLines,
    strayLines,
    usage,
    tiers: tiersOf(batches),
    cost: costOf(batches),
    prices: deps.prices.statedAt(completedAt),
    batches: batches.toSorted(byRoundAndPlace).map(batchLine),
    timings: defined({
      droppedAt: iso(lastModified),
      claimedAt: iso(job.createdAt),
      cancelledAt: job.cancelledAt === undefined ? undefined : iso(job.cancelledAt),
      completedAt: iso(completedAt),
      ...durationsOf(batches, times),
    }),
  });
}

function linesOf(runs: readonly (RunRef | undefined)[]): number {
  return runs.reduce((sum, run) => sum + (run?.lines ?? 0), 0);
}

function batchLine(batch: BatchRecord): Receipt['batches'][number] {
  const { batchId, round, model, endpoint, requests } = batch;
  const outcome = batch.results?.outcome;
  return defined({
    batchId,
    openaiBatchId: batch.remote?.openaiBatchId,
    round,
    model,
    endpoint,
    status: batch.ending!.status,
    requests,
    succeeded: outcome!.succeeded,
    failed: outcome!.failed,
    retried: outcome!.retried,
    tier: batch.tier ?? 'batch',
    usd: toUsd(outcome!.bill === undefined ? 0n : billedOf(outcome!.bill)),
    submittedAt: batch.remote?.submittedAt === undefined ? undefined : iso(batch.remote?.submittedAt),
    endedAt: iso(batch.ending!.endedAt),
  });
}

function resultOf(plan: Plan, { requests, succeeded }: Receipt['counts']): Receipt['result'] {
  if (plan.rejection !== undefined) return 'rejected';
  if (succeeded === requests) return 'succeeded';
  return succeeded === 0 ? 'failed' : 'partial';
}

type ProviderFile = NonNullable<Job['filesLeft']>[number] &
  Pick<BatchRecord, 'batchId'> & { keyVersion?: string | undefined };

/**
 * Everything has landed, so OpenAI need not keep it. What cannot be deleted now expires there after 30 days: with
 * thousands of batches, time may run out over it, and the job would never end.
 * @returns what was not deleted.
 */
async function deleteProviderFiles(
  deps: FinalizeDeps,
  jobId: string,
  batches: BatchRecord[],
): Promise<{ id: string; apiKey: string }[]> {
  const left = batches.flatMap(filesOf);
  try {
    for (let file = left[0]; file !== undefined; file = left[0]) {
      if (deps.deadline.remainingMs() <= 0) {
        deps.telemetry.record('deletion.skipped', {
          jobId,
          batches: new Set(left.map(({ batchId }) => batchId)).size,
        });
        break;
      }
      await deps.batches.withKey(file.apiKey).deleteFile(file.id, file.keyVersion);
      left.shift();
    }
  } catch (error) {
    deps.telemetry.record('deletion.failed', { jobId, batchId: left[0]?.batchId, error: errorName(error) });
  }
  return left.map(({ id, apiKey }) => ({ id, apiKey }));
}

function filesOf(batch: BatchRecord): ProviderFile[] {
  const { batchId, attempt, remote } = batch;
  const ids = [attempt?.inputFileId, remote?.outputFileId, remote?.errorFileId];
  return ids
    .filter((id) => id !== undefined)
    .map((id) => ({ id, batchId, apiKey: apiKeyOf(batch), keyVersion: attempt?.keyVersion }));
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
