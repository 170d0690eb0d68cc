/** From a plan to recorded batches, or to a rejected job. */

import { DEFAULT_COMPLETION_WINDOW } from '../../../contract/route.ts';
import { defined } from '../../base/defined.ts';
import { CorruptWorkFileError, isUnavailable } from '../../base/errors.ts';
import { reasonOf } from '../../base/own-text.ts';
import { workKeys } from '../../files/keys.ts';
import type { Plan, PlannedBatch } from '../../files/plan.ts';
import { toRejected, toRunning } from '../../lifecycle/job-transitions.ts';
import type { BatchRecord } from '../../model/batch.ts';
import type { Rejection } from '../../model/job.ts';
import { estimateBatchTokens } from '../../pricing/tokens/estimate-batch.ts';
import { dispatch } from '../../scheduling/dispatch.ts';
import { droppedAt } from '../../scheduling/ladder.ts';
import { ladderOf, onLadder } from '../../scheduling/offered-tiers.ts';
import { type IngestDeps, type IngestRun, MAX_STARTS } from './ingest-run.ts';
import { warnOfShutdowns } from './shutdowns.ts';

/**
 * Batches first, then the job, then the dispatcher: the sweep finds whatever a crash leaves undone.
 * @param isNew the plan was made by this run, so that none of its batches has been recorded.
 */
export async function carryOut(
  run: IngestRun,
  plan: Plan,
  isNew: boolean,
  isOver: () => boolean,
): Promise<void> {
  const { deps, leased } = run;
  const job = leased.record;
  const { jobId } = job;
  const planKey = workKeys(deps.settings.layout, jobId).plan;
  if (plan.rejection !== undefined) {
    const rejection = plan.rejection as Rejection;
    if (!(await leased.tryMove(toRejected(job, planKey, rejection)))) return;
    deps.telemetry.record('job.rejected', { jobId, code: rejection.code });
    await deps.outbox.finalize({ v: 1, jobId });
    return;
  }
  const records = recordsOf(run, plan);
  const planned = await createBatches(run, plan, records, isNew, isOver);
  if (planned === undefined) {
    await run.continueInNextInvocation();
    return;
  }
  // A job waits for one of its batches, see advanceAfter.
  const waitsFor = records[records.length >> 1]?.batchId;
  if (!(await leased.tryMove(toRunning(job, planKey, waitsFor)))) return;
  const { requests, invalid } = plan;
  deps.telemetry.record('job.planned', { jobId, requests, invalid, batches: records.length });
  for (const { kind, requests: found, lines } of plan.preflight ?? [])
    deps.telemetry.record('refusal.expected', { jobId, kind, requests: found, line: lines[0]! });
  warnOfShutdowns(deps, plan);
  if (records.length === 0) await deps.outbox.finalize({ v: 1, jobId });
  await dispatch(deps, planned);
}

/** The records of all batches of the plan, in its order. */
function recordsOf({ deps, leased }: IngestRun, plan: Plan): BatchRecord[] {
  const job = leased.record;
  const now = deps.ambient.now();
  const jobBytes = plan.batches.reduce((sum, { bytes }) => sum + bytes, 0);
  return plan.batches.map(({ textBytes: _, dataUrlBytes: __, ...batch }) =>
    defined<BatchRecord>({
      v: 1,
      jobId: job.jobId,
      ...batch,
      round: 0,
      state: 'planned',
      jobBytes,
      route: job.route.name,
      apiKey: job.route.apiKey,
      completionWindow:
        job.route.completionWindow === DEFAULT_COMPLETION_WINDOW ? undefined : job.route.completionWindow,
      budgetUsd: job.budgetUsd,
      ...onLadder(ladderOf(job.route, batch, deps.rules, droppedAt(job)), batch, deps.rules, now),
      jobCreatedAt: job.createdAt,
      createdAt: now,
      updatedAt: now,
    }),
  );
}

/**
 * Creates the records that are missing.
 * @returns all batches that are planned, to be admitted; `undefined` if time was over before all were created.
 */
async function createBatches(
  run: IngestRun,
  plan: Plan,
  records: readonly BatchRecord[],
  isNew: boolean,
  isOver: () => boolean,
): Promise<BatchRecord[] | undefined> {
  const { deps } = run;
  const created = isNew ? [] : await deps.jobs.listBatches(run.leased.record.jobId);
  const createdIds = new Set(created.map(({ batchId }) => batchId));
  const missing = [...records.entries()].filter(([, { batchId }]) => !createdIds.has(batchId));
  const planned = created.filter(({ state }) => state === 'planned');
  // Runs that die over the estimates must not do so for ever.
  const { starts } = run.progress;
  if (missing.length > 0) await run.record({ ...run.progress, starts: starts + 1 });
  for (const [done, [index, record]] of missing.entries()) {
    if (done > 0 && isOver()) return undefined;
    const tokens = starts < MAX_STARTS ? await estimate(deps, record.jobId, plan.batches[index]!) : undefined;
    const batch = tokens === undefined ? record : { ...record, tokens };
    await deps.jobs.createBatch(batch);
    if (batch.state === 'planned') planned.push(batch);
  }
  return planned;
}

/**
 * Input tokens of a batch, so that it may be admitted. Counted here and not while the file is scanned: a tokenizer
 * takes 80 MB, and time from the scan. `undefined`: unknown; if the requests cannot be read, the step that reads them
 * next finds out.
 */
async function estimate(deps: IngestDeps, jobId: string, batch: PlannedBatch): Promise<number | undefined> {
  try {
    return await estimateBatchTokens(deps.objects, batch, await deps.tokenizerOf(batch.model), deps.rules);
  } catch (error) {
    if (!(isUnavailable(error) || error instanceof CorruptWorkFileError)) throw error;
    deps.telemetry.record('estimate.failed', { jobId, batchId: batch.batchId, reason: reasonOf(error) });
    return undefined;
  }
}
