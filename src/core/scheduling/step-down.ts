/** Takes the batches of a job down the ladder when their time has come. */
import type { Tier } from '../../contract/route.ts';
import type { Settings } from '../../contract/settings.ts';
import { MINUTE_MS } from '../../contract/time.ts';
import { toStopping, toTier, toWithdrawn } from '../lifecycle/batch-transitions.ts';
import { type BatchRecord, tierOf } from '../model/batch.ts';
import type { Ledger } from '../model/ledger.ts';
import { type Pause, pauseOf } from '../model/pause.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { Outbox } from '../ports/outbox.ts';
import type { PauseStore } from '../ports/pauses.ts';
import type { ProviderRules } from '../ports/provider-rules.ts';
import type { QuotaStore } from '../ports/quota.ts';
import type { JobStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { isWorthWaitingFor, type StepQuestion, tierToBegin, tierToStay, workOf } from './ladder.ts';
import { isOffered } from './offered-tiers.ts';
import { callsAtATime, paceOf } from './pace.ts';
import { callsLedgerOf } from './scopes.ts';

/** What {@link stepDown} works with. */
export interface StepDownDeps {
  settings: Pick<Settings, 'quota'>;
  jobs: Pick<JobStore, 'moveBatch'>;
  quota: Pick<QuotaStore, 'getLedger'>;
  pauses: Pick<PauseStore, 'getPauses'>;
  rules: Pick<ProviderRules, 'quota' | 'createSettles' | 'cancelMs'>;
  outbox: Pick<Outbox, 'collect'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** Beside what the provider's creates take to settle: two looks of the worker that finds out, see steps/submit/intent.ts. */
const LOOK_UP_MS = 2 * MINUTE_MS;

/**
 * Looks at batches that wait, are being sent, or are at OpenAI; slices that are being called look for themselves.
 * Safe to repeat: each step is a conditional write. What is paused stays in its tier: the next one would not send it
 * either.
 * @param batches of one job; those of one model share what time is left.
 * @returns the batches that were changed, as they are now.
 */
export async function stepDown(deps: StepDownDeps, batches: readonly BatchRecord[]): Promise<BatchRecord[]> {
  const { createMs, listMs } = deps.rules.createSettles;
  const changed: BatchRecord[] = [];
  const known = new Map<string, KnownTiers>();
  let pauses: Pause[] | undefined;
  for (const batch of batches) {
    const { ladder, model, state } = batch;
    if (ladder === undefined || batch.stop?.nextTier !== undefined) continue;
    if (state === 'ended' || state === 'collected') continue;
    const tier = tierOf(batch);
    if (tier !== 'batch' && state !== 'planned') continue;
    const tiers = known.get(model) ?? (await readTiers(deps, batch));
    known.set(model, tiers);
    const now = deps.ambient.now();
    // A batch that waits for its look-up is free only then, and its next create may take as long again.
    const waits = state === 'submitting' && (batch.wait?.notBefore ?? 0) > now;
    const asked = waits ? now + createMs + listMs + LOOK_UP_MS : now;
    const beganAt = batch.remote?.submittedAt;
    const question = { ladder, tier, work: workOf(batches, model), ...tiers, beganAt, now: asked };
    const next = state === 'planned' ? tierToBegin(question) : tierToStay(question);
    if (next === tier || (state === 'submitted' && isWorthWaitingFor(batch, question))) continue;
    pauses ??= await deps.pauses.getPauses();
    if (pauseOf(pauses, batch.route) !== undefined) continue;
    const left = await leave(deps, batch, next, now);
    if (left !== undefined) changed.push(left);
  }
  return changed;
}

/** What the ledgers know of a model in the tiers in which its requests are sent one by one. */
export type KnownTiers = Pick<StepQuestion, 'paceOf' | 'isOffered' | 'cancelMs'>;

/** What is known of the tiers of a batch's ladder for its model, called with its key. */
export async function readTiers(
  {
    settings,
    quota,
    rules,
    ambient,
  }: Pick<StepDownDeps, 'settings' | 'quota' | 'ambient'> & {
    rules: Pick<ProviderRules, 'quota' | 'cancelMs'>;
  },
  { apiKey, model, ladder }: Pick<BatchRecord, 'apiKey' | 'model' | 'ladder'>,
): Promise<KnownTiers> {
  const most = callsAtATime(settings.quota);
  const tiers = (ladder?.tiers ?? []).filter((tier) => tier !== 'batch');
  const ledgers = new Map<Tier, Ledger | undefined>(
    await Promise.all(
      tiers.map(
        async (tier) => [tier, await quota.getLedger(callsLedgerOf({ apiKey, model, tier }))] as const,
      ),
    ),
  );
  const now = ambient.now();
  return {
    paceOf: (tier) => paceOf(ledgers.get(tier), most, rules.quota.firstRates),
    isOffered: (tier) => isOffered(ledgers.get(tier), now),
    cancelMs: rules.cancelMs,
  };
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
