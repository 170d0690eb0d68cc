/**
 * From an input to a plan: one streaming pass over its lines ({@link LinesPass}), then requests whose custom_id an
 * earlier line has are removed. A pure function of the object, the frozen route, the attempt's name and, for prompt
 * cache keys, the prices: run twice, it writes the same bytes to keys of its own, and so it does when it is interrupted
 * anywhere and another worker continues it.
 */
import { defined } from '../../base/defined.ts';
import { GzipError, isGzip } from '../../files/gunzip.ts';
import { workKeys } from '../../files/keys.ts';
import type { Plan } from '../../files/plan.ts';
import { batchIdOf } from '../../model/batch-id.ts';
import type { Job } from '../../model/job.ts';
import type { Deadline } from '../../ports/ambient.ts';
import { removeDuplicates } from './duplicate-ids.ts';
import { additionsOf } from './fill-in.ts';
import type { IdRuns } from './id-runs.ts';
import { LinesPass } from './lines-pass.ts';
import { applyPolicy, rejectedPlan } from './plan-policy.ts';
import { firstBytes } from './scan-source.ts';
import { type EndState, type LinesState, type ScanDeps, type ScanState, startLines } from './scan-state.ts';

/**
 * What is left of a worker's life when it stops to save: a quarter of it, at most this. A checkpoint has 70 MB at
 * most.
 */
const MAX_MARGIN_MS = 30_000;

/** Whether a worker, whose life begins now, is to stop and save. */
export function isOverOf(deadline: Deadline): () => boolean {
  const margin = Math.min(MAX_MARGIN_MS, deadline.remainingMs() / 4);
  return () => deadline.remainingMs() < margin;
}

/**
 * Reads the job's source once, or twice if it turns out to be shattered.
 * @param from a name for a new attempt, or what `save` was given last.
 * @returns the plan, or `undefined` if time was over: the state to continue from was saved.
 */
export async function scan(deps: ScanDeps, job: Job, from: string | ScanState): Promise<Plan | undefined> {
  const isOver = isOverOf(deps.deadline);
  const state = typeof from === 'string' ? await begin(deps, job, from) : from;
  if (state.phase === 'duplicates') return end(deps, job, state, undefined, isOver);
  try {
    let read = await new LinesPass(deps, job, state).read(isOver);
    if (read === 'shattered') {
      const again = startLines(`${state.attempt}-spool`, { compressed: false, spooled: true });
      read = await new LinesPass(deps, job, again).read(isOver);
    }
    if (read === 'saved' || read === 'shattered') return undefined;
    if ('plan' in read) return read.plan;
    const { state: found, ids } = read;
    // A file that took several workers so far is not read again because the last of them died.
    if (typeof from !== 'string') {
      await deps.save({ ...found, ids: await ids.suspend() });
      if (isOver()) return undefined;
    }
    return await end(deps, job, found, ids, isOver);
  } catch (error) {
    if (!(error instanceof GzipError)) throw error;
    return rejectedPlan(job.jobId, { code: error.code, message: error.message });
  }
}

async function begin(deps: ScanDeps, job: Job, attempt: string): Promise<LinesState> {
  const compressed = isGzip(await firstBytes(deps.objects, job.source));
  const isFilledIn = additionsOf(job.route, deps.prices, job.createdAt) !== undefined;
  return startLines(attempt, { compressed, spooled: compressed || isFilledIn });
}

/** @param ids of the pass, if this worker made it; else the state has all of them. */
async function end(
  deps: ScanDeps,
  job: Job,
  state: EndState,
  ids: IdRuns | undefined,
  isOver: () => boolean,
): Promise<Plan | undefined> {
  const { attempt, spooled, invalidRun, originals, work } = state;
  const keys = workKeys(deps.layout, job.jobId);
  const { hashesOfARound, looksEvery } = deps.sizes ?? {};
  const isDone = await removeDuplicates(
    {
      objects: deps.objects,
      rules: deps.rules,
      prices: deps.prices,
      bucket: job.source.bucket,
      ids: ids?.sorted() ?? { runs: state.ids, memory: new Uint32Array(0) },
      keysOf: (batchId, name) => keys.unique(attempt, batchId, name),
      // Offsets in a spool mean nothing to a person.
      statesBytes: !spooled,
      isOver,
      hashesOfARound,
      looksEvery,
    },
    work,
  );
  if (!isDone) {
    await deps.save({ ...state, ids: (await ids?.suspend()) ?? state.ids });
    return undefined;
  }
  const invalidByCode = { ...state.invalidByCode };
  if (work.removed > 0) invalidByCode.duplicate_custom_id = work.removed;
  const firstInvalid = { ...state.firstInvalid, ...work.firstInvalid };
  const plan: Plan = defined({
    v: 1,
    jobId: job.jobId,
    requests: state.requests,
    invalid: state.invalid + work.removed,
    invalidByCode,
    firstInvalid: work.removed + state.invalid > 0 ? firstInvalid : undefined,
    batches: work.batches
      .filter(({ requests }) => requests > 0)
      .map((batch, index) => ({ ...batch, batchId: batchIdOf(0, index) })),
    invalidRuns: [...(invalidRun === undefined ? [] : [invalidRun]), ...work.runs],
    originals,
    preflight: state.preflight,
  });
  return applyPolicy(plan, job);
}
