/** Which tier what is left of a slice belongs in. */
import type { Tier } from '../../../contract/route.ts';
import { MINUTE_MS } from '../../../contract/time.ts';
import { type Backoff, waitAfter } from '../../base/backoff.ts';
import { type BatchRecord, tierOf } from '../../model/batch.ts';
import { tierToStay, workOf } from '../../scheduling/ladder.ts';
import { readPaces } from '../../scheduling/step-down.ts';
import type { CallDeps } from './deps.ts';

const REST_BACKOFF: Backoff = { firstMs: 2 * MINUTE_MS, maxMs: 30 * MINUTE_MS };

/** The tier after that of the slice; `undefined` if that is the last one. */
export function nextTierOf(batch: BatchRecord): Tier | undefined {
  const tiers = batch.ladder?.tiers ?? [];
  return tiers[tiers.indexOf(tierOf(batch)) + 1];
}

/** The tier that what is left now has to be in at a time. @param at epoch milliseconds. */
export async function tierAt(
  deps: Pick<CallDeps, 'jobs' | 'quota' | 'settings'>,
  batch: BatchRecord,
  at: number,
): Promise<Tier> {
  const { ladder, jobId, model } = batch;
  const tier = tierOf(batch);
  if (ladder?.deadlineAt === undefined || ladder.tiers.at(-1) === tier) return tier;
  const work = workOf(await deps.jobs.listBatches(jobId), model);
  const paceOf = await readPaces(deps, batch);
  return tierToStay({ ladder, tier, work, paceOf, now: at });
}

/**
 * When a slice is called again that the provider had no room for: ever later, but in time for the next tier.
 * @param refusals workers in a row that ended for that.
 * @returns epoch milliseconds.
 */
export async function continueAt(
  deps: Pick<CallDeps, 'jobs' | 'quota' | 'settings' | 'ambient'>,
  batch: BatchRecord,
  refusals: number,
): Promise<number> {
  const now = deps.ambient.now();
  const restMs = waitAfter(REST_BACKOFF, refusals);
  const isInTime = (await tierAt(deps, batch, now + restMs)) === tierOf(batch);
  return now + (isInTime ? restMs : REST_BACKOFF.firstMs);
}
