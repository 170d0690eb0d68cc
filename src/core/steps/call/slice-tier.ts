/** Which tier what is left of a slice belongs in. */
import type { Tier } from '../../../contract/route.ts';
import { MINUTE_MS } from '../../../contract/time.ts';
import { type Backoff, waitAfter } from '../../base/backoff.ts';
import { errorName } from '../../base/own-text.ts';
import { type BatchRecord, type Ladder, tierOf } from '../../model/batch.ts';
import type { Ledger } from '../../model/ledger.ts';
import { leavesAt, type StepQuestion, tierToStay, workOf } from '../../scheduling/ladder.ts';
import { isOffered } from '../../scheduling/offered-tiers.ts';
import { callsLedgerOf } from '../../scheduling/scopes.ts';
import { readTiers } from '../../scheduling/step-down.ts';
import type { CallDeps } from './deps.ts';

const REST_BACKOFF: Backoff = { firstMs: 2 * MINUTE_MS, maxMs: 30 * MINUTE_MS };

/** The tier after that of the slice; `undefined` if that is the last one. */
export function nextTierOf(batch: BatchRecord): Tier | undefined {
  const tiers = batch.ladder?.tiers ?? [];
  return tiers[tiers.indexOf(tierOf(batch)) + 1];
}

type SliceTierDeps = Pick<CallDeps, 'jobs' | 'quota' | 'rules' | 'settings' | 'ambient'>;

/** What the ladder is to be asked of a slice. */
async function questionOf(deps: SliceTierDeps, batch: BatchRecord, ladder: Ladder): Promise<StepQuestion> {
  const { jobId, model } = batch;
  const work = workOf(await deps.jobs.listBatches(jobId), model);
  const known = await readTiers(deps, batch);
  return { ladder, tier: tierOf(batch), work, ...known, now: deps.ambient.now() };
}

/** The tier that what is left now has to be in at a time. @param at epoch milliseconds. */
export async function tierAt(deps: SliceTierDeps, batch: BatchRecord, at: number): Promise<Tier> {
  const { ladder } = batch;
  const tier = tierOf(batch);
  if (ladder?.deadlineAt === undefined || ladder.tiers.at(-1) === tier) return tier;
  return tierToStay({ ...(await questionOf(deps, batch, ladder)), now: at });
}

/**
 * When a slice is called again that the provider had no room for: ever later, but in time for the next tier.
 * @param refusals workers in a row that ended for that.
 * @returns epoch milliseconds.
 */
export async function continueAt(deps: SliceTierDeps, batch: BatchRecord, refusals: number): Promise<number> {
  const now = deps.ambient.now();
  const restMs = waitAfter(REST_BACKOFF, refusals);
  const isInTime = (await tierAt(deps, batch, now + restMs)) === tierOf(batch);
  return now + (isInTime ? restMs : REST_BACKOFF.firstMs);
}

/**
 * Notes that the provider does not serve the model in the slice's tier, so that other work of the model goes straight to
 * the next tier for a day. What cannot be noted is learned again by the next refusal.
 */
export async function rememberRefusal(
  { quota, ambient, telemetry }: Pick<CallDeps, 'quota' | 'ambient' | 'telemetry'>,
  batch: BatchRecord,
): Promise<void> {
  const { jobId, batchId, model } = batch;
  const now = ambient.now();
  let isNew = false;
  try {
    const rule = (ledger: Ledger | undefined) => {
      isNew = isOffered(ledger, now);
      return isNew ? { notOfferedAt: now } : undefined;
    };
    await quota.changeLedger(callsLedgerOf(batch), rule, now);
  } catch (error) {
    telemetry.record('pace.discarded', { jobId, batchId, tier: tierOf(batch), error: errorName(error) });
    return;
  }
  if (isNew) telemetry.record('tier.refused', { jobId, batchId, tier: tierOf(batch), model });
}

/** When a slice in the background is left, epoch ms; `Infinity`: never. */
export interface Moments {
  /** Responses that are still queued are cancelled, and go on further down; now, if that is due. */
  queuedAt: number;
  /** So are those that are being made: from then on the last tier could not do them any more. */
  allAt: number;
  /** Where what is left now continues. */
  nextTier: Tier;
}

/**
 * When what a slice in the background has open is to be left.
 * @param beganAt when the oldest of it was created. Absent: nothing is open.
 */
export async function momentsOf(
  deps: SliceTierDeps,
  batch: BatchRecord,
  beganAt: number | undefined,
): Promise<Moments> {
  const { ladder, createdAt } = batch;
  const tier = tierOf(batch);
  const last = ladder?.tiers.at(-1);
  const never = Number.POSITIVE_INFINITY;
  if (ladder?.deadlineAt === undefined || last === undefined || last === tier)
    return { queuedAt: never, allAt: never, nextTier: tier };
  const question = { ...(await questionOf(deps, batch, ladder)), beganAt };
  const toLast = { ...question, ladder: { ...ladder, tiers: [tier, last] }, now: createdAt };
  return {
    queuedAt: leavesAt(question) ?? never,
    allAt: leavesAt(toLast) ?? never,
    nextTier: tierToStay(question),
  };
}
