/**
 * From an ended batch to one outcome for each of its requests: an answer, a final error, or a place in the next round.
 *
 * Results are trusted line by line; counts and file ids are not: a file id may be missing or empty, a completed batch
 * may lack lines, an expired or cancelled one holds what was finished and paid for.
 */

import type { BatchMessage } from '../../../contract/messages.ts';
import { MINUTE_MS } from '../../../contract/time.ts';
import { isApiKeyError } from '../../base/errors.ts';
import { reasonOf } from '../../base/own-text.ts';
import { readManifest } from '../../files/manifest.ts';
import { toCollected, toPostponed } from '../../lifecycle/batch-transitions.ts';
import { showsExecution } from '../../lifecycle/executed.ts';
import { LeasedBatch, TakenOverError } from '../../lifecycle/leased.ts';
import { readOutcome } from '../../lifecycle/outcome-file.ts';
import { advanceAfter } from '../../lifecycle/rounds.ts';
import { workingTime } from '../../lifecycle/time-limits.ts';
import { unlessForgotten } from '../../lifecycle/unless-forgotten.ts';
import { apiKeyOf, type BatchRecord } from '../../model/batch.ts';
import { hasEnded, type Job } from '../../model/job.ts';
import type { StatedError } from '../../model/outcome-codes.ts';
import { microdollarsOf } from '../../pricing/bill.ts';
import { dispatch } from '../../scheduling/dispatch.ts';
import { operatorErrorOf } from '../../scheduling/operator-errors.ts';
import { noteRetired, retiredError } from '../../scheduling/retirement.ts';
import { isWithdrawn } from '../../scheduling/step-down.ts';
import { collectResults } from './collect-results.ts';
import { decideRefusal } from './decide.ts';
import type { CollectDeps, DepsWithKey } from './deps.ts';
import { isLastTry } from './last-resort.ts';
import { lookAgain } from './late-results.ts';
import { recutToLimit, recutToSlices } from './recut.ts';
import { sendRefusedAgain } from './refused.ts';

/** When results are asked for again whose key could not be used; a new one is in use within five minutes. */
const KEY_REST_MS = 10 * MINUTE_MS;

/** Takes one message: collects the batch if it has ended, then settles what it cost and starts what follows from it. */
export async function collect(deps: CollectDeps, { jobId, batchId }: BatchMessage): Promise<void> {
  const job = await deps.jobs.getJob(jobId);
  if (job?.planKey === undefined) {
    deps.telemetry.record('message.dropped', { jobId, batchId });
    return;
  }
  const found = await deps.jobs.getBatch(jobId, batchId);
  if ((found?.wait?.notBefore ?? 0) > deps.ambient.now()) return;
  // The short wait after a refusal is over.
  if (found?.state === 'planned') {
    await dispatch(deps, [found]);
    return;
  }
  const batch = await LeasedBatch.lease(deps, { jobId, batchId }, 'ended');
  if (batch !== undefined) {
    try {
      const batches = deps.batches.withKey(apiKeyOf(batch.record));
      const withKey = { ...deps, batches, deadline: workingTime(deps.deadline) };
      await batch.work(withKey, (leased) => collectLeased(leased, job, batch));
    } catch (error) {
      if (isApiKeyError(error)) return waitForKey(deps, batch, error);
      // Another worker may have collected it, whose next steps follow below.
      if (!(error instanceof TakenOverError)) {
        const isDone = await batch.fail(deps, error, (delivery) =>
          deps.outbox.collect({ v: 1, jobId, batchId }, delivery),
        );
        if (!isDone) throw error;
        return;
      }
    }
  }
  const collected = await deps.jobs.getBatch(jobId, batchId);
  if (collected?.state !== 'collected') return;
  await settleCollected(deps, collected);
  // Nothing follows for a job that has ended, and what it has left may be removed meanwhile.
  if (hasEnded(job)) return;
  const next = await unlessForgotten(deps, () => advanceAfter(deps, job, collected, deps.ambient.now()));
  // What else waits is the poll's to admit: it looks at all of it, which is too much to do for each batch.
  if (next !== undefined && next.length > 0) await dispatch(deps, next);
}

/**
 * Results that take a key which cannot be used stay where they are, for as long as it takes: no try of theirs counts.
 */
async function waitForKey(
  { rules, ambient, telemetry }: CollectDeps,
  batch: LeasedBatch,
  error: Error,
): Promise<void> {
  const { jobId, batchId } = batch.record;
  const reason = operatorErrorOf(rules.errors, error)?.code ?? rules.errors.keyRefused;
  const wait = { lastError: error.message, notBefore: ambient.now() + KEY_REST_MS };
  await batch.tryMove(toPostponed(batch.record, wait, reason));
  const apiKey = apiKeyOf(batch.record);
  telemetry.record('collect.delayed', { jobId, batchId, apiKey, reason: reasonOf(error) });
}

/** Finds out what an ended batch takes: nothing more, smaller batches, another attempt, or its results. */
async function collectLeased(deps: DepsWithKey, job: Job, leased: LeasedBatch): Promise<void> {
  const batch = leased.record;
  // The worker that ended the batch may have died before this.
  if (batch.admission !== undefined)
    await deps.quota.giveBackTokens(batch.admission.reservation, deps.ambient.now());
  const outcome = await readOutcome(deps, batch);
  if (outcome !== undefined) {
    await leased.move(toCollected(batch, outcome));
    return;
  }
  if (isWithdrawn(batch) && job.cancelledAt === undefined) {
    await recutToSlices(deps, leased, await readManifest(deps.objects, batch.manifestKey));
    return;
  }
  const isRefused = batch.ending!.status === 'failed' && !showsExecution(batch);
  const retired = isRefused ? await retiredBy(deps, batch) : undefined;
  const refusal = isRefused ? decideRefusal(job, batch, deps.rules.errors, retired) : undefined;
  if (refusal !== undefined && refusal.kind !== 'repair') {
    const isTooLarge = await sendRefusedAgain(deps, leased, refusal);
    if (isTooLarge) await recutToLimit(deps, leased, await readManifest(deps.objects, batch.manifestKey));
    return;
  }
  const manifest = await readManifest(deps.objects, batch.manifestKey);
  if (batch.recut !== undefined && batch.requests > 1 && job.cancelledAt === undefined) {
    await recutToLimit(deps, leased, manifest);
    return;
  }
  await lookAgain(deps, leased);
  const isLastResort = isLastTry(leased.record);
  await collectResults(deps, { job, leased, manifest, repair: refusal, isLastResort });
}

/** What the requests of a refused batch fail with, if OpenAI says that it does not know their model, and it is gone. */
async function retiredBy(deps: DepsWithKey, batch: BatchRecord): Promise<StatedError | undefined> {
  const said = batch.ending?.errors?.find(({ code }) => deps.rules.shutdowns.isModelGone(code));
  const retired = said && (await retiredError(deps, batch, deps.ambient.now()));
  if (said !== undefined && retired !== undefined) await noteRetired(deps, batch, said.code);
  return retired;
}

/** Of a collected batch: books what it cost and gives back the rest of what was reserved; once, however often asked. */
async function settleCollected(deps: CollectDeps, batch: BatchRecord): Promise<void> {
  if (batch.admission === undefined) return;
  await deps.quota.settle(batch.admission.reservation, deps.ambient.now(), microdollarsOf(batch));
}
