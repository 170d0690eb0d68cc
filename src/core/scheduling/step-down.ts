/** Takes the batches of a job down the ladder when their time has come. */
import { TIERS, type Tier } from '../../contract/route.ts';
import type { Settings } from '../../contract/settings.ts';
import { toStopping, toTier, toWithdrawn } from '../lifecycle/batch-transitions.ts';
import { type BatchRecord, tierOf } from '../model/batch.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { Outbox } from '../ports/outbox.ts';
import type { QuotaStore } from '../ports/quota.ts';
import type { JobStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { isWorthWaitingFor, type Pace, tierToBegin, tierToStay, workOf } from './ladder.ts';
import { callsAtATime, paceOf } from './pace.ts';
import { callsLedgerOf } from './scopes.ts';

/** What {@link stepDown} works with. */
export interface StepDownDeps {
  settings: Pick<Settings, 'quota'>;
  jobs: Pick<JobStore, 'moveBatch'>;
  quota: Pick<QuotaStore, 'getLedger'>;
  outbox: Pick<Outbox, 'collect'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** What it takes to find out that an unanswered create made no batch: see steps/submit/intent.ts. */
const UNANSWERED_CREATE_MS = 20 * 60_000;

/**
 * Looks at batches that wait, are being sent, or are at OpenAI; slices that are being called look for themselves.
 * Safe to repeat: each step is a conditional write.
 * @param batches of one job; those of one model share what time is left.
 * @returns the batches that were changed, as they are now.
 */
export async function stepDown(deps: StepDownDeps, batches: readonly BatchRecord[]): Promise<BatchRecord[]> {
  const changed: BatchRecord[] = [];
  const paces = new Map<string, (tier: Tier) => Pace>();
  for (const batch of batches) {
    const { ladder, model, state } = batch;
    if (ladder === undefined || batch.stop?.nextTier !== undefined) continue;
    if (state === 'ended' || state === 'collected') continue;
    const tier = tierOf(batch);
    if (tier !== 'batch' && state !== 'planned') continue;
    const paceOfTier = paces.get(model) ?? (await readPaces(deps, batch));
    paces.set(model, paceOfTier);
    const now = deps.ambient.now();
    // A batch that waits for its look-up is free only then, and its next create may take as long again.
    const waits = state === 'submitting' && (batch.wait?.notBefore ?? 0) > now;
    const asked = waits ? now + UNANSWERED_CREATE_MS : now;
    const question = { ladder, tier, work: workOf(batches, model), paceOf: paceOfTier, now: asked };
    const next = state === 'planned' ? tierToBegin(question) : tierToStay(question);
    if (next === tier || (state === 'submitted' && isWorthWaitingFor(batch, question))) continue;
    const left = await leave(deps, batch, next, now);
    if (left !== undefined) changed.push(left);
  }
  return changed;
}

/**
 * What is known of the pace of a batch's model, called with its key, in the tiers in which requests are called one by
 * one.
 */
export async function readPaces(
  { settings, quota }: Pick<StepDownDeps, 'settings' | 'quota'>,
  { apiKey, model }: Pick<BatchRecord, 'apiKey' | 'model'>,
): Promise<(tier: Tier) => Pace> {
  const most = callsAtATime(settings.quota);
  const paces = await Promise.all(
    TIERS.filter((tier) => tier !== 'batch').map(
      async (tier) =>
        [tier, paceOf(await quota.getLedger(callsLedgerOf({ apiKey, model, tier })), most)] as const,
    ),
  );
  const byTier = new Map<Tier, Pace>(paces);
  return (tier) => byTier.get(tier)!;
}

/**
 * A batch that may be at OpenAI is cancelled there, and what is left when it has ended continues in the next tier;
 * one that is not yet there is ended as it is. The worker that is sending it finds that out by its next write.
 */
async function leave(
  deps: StepDownDeps,
  batch: BatchRecord,
  nextTier: Tier,
  now: number,
): Promise<BatchRecord | undefined> {
  const { jobId, batchId, state } = batch;
  const from = tierOf(batch);
  const isOrMayBeThere = state === 'submitting' || state === 'submitted';
  const leaving = isOrMayBeThere
    ? toStopping(batch, now, nextTier)
    : from === 'batch'
      ? toWithdrawn(batch, { errors: [], nextTier }, now)
      : toTier(batch, nextTier);
  const left = await deps.jobs.moveBatch(batch, leaving, now);
  if (left === undefined) return undefined;
  deps.telemetry.record('tier.changed', { jobId, batchId, state, from, to: nextTier });
  if (left.state !== 'ended') return left;
  deps.telemetry.record('batch.withdrawn', { jobId, batchId, requests: batch.requests });
  await deps.outbox.collect({ v: 1, jobId, batchId });
  return left;
}

/** Whether a batch ended without having been sent, because its requests continue in another tier. */
export function isWithdrawn({ stop, remote, calls }: BatchRecord): boolean {
  return stop?.nextTier !== undefined && remote === undefined && calls === undefined;
}
