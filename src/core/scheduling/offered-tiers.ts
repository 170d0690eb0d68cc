/** Which tiers a request may be sent in: by its route, by what is known of its endpoint and model, and by refusals. */
import { readDuration } from '../../contract/durations.ts';
import { isWindowTier, type Route, type Tier } from '../../contract/route.ts';
import { DAY_MS } from '../../contract/time.ts';
import { defined } from '../base/defined.ts';
import type { BatchRecord, Ladder } from '../model/batch.ts';
import type { Ledger } from '../model/ledger.ts';
import { type StatedError, TIER_NOT_OFFERED } from '../model/outcome-codes.ts';
import type { EndpointRules, ModelRules } from '../ports/provider-rules.ts';

/** What is known beforehand of where tiers are offered. */
export interface TierRules {
  endpoints: ReadonlyMap<string, Pick<EndpointRules, 'hasFlex' | 'hasBackground'>>;
  models: Pick<ModelRules, 'hasFlex'>;
}

/** What decides in which tiers a request can go. */
type Asked = Pick<BatchRecord, 'endpoint' | 'model'>;

/** Whether the provider has a tier for an endpoint and model, as far as is known; all of them have batch and standard. */
export function isServed(tier: Tier, { endpoint, model }: Asked, { endpoints, models }: TierRules): boolean {
  const rules = endpoints.get(endpoint);
  if (tier === 'flex') return rules?.hasFlex === true && models.hasFlex(model);
  return !isWindowTier(tier) || rules?.hasBackground === true;
}

/** In which tiers a request of this route may go; `undefined`: in none. */
export function ladderOf(
  route: Pick<Route, 'tiers' | 'deadline'>,
  asked: Asked,
  rules: TierRules,
  droppedAt: number,
): Ladder | undefined {
  const tiers = route.tiers.filter((tier) => isServed(tier, asked, rules));
  if (tiers.length === 0) return undefined;
  const deadlineMs = route.deadline === undefined ? undefined : readDuration(route.deadline);
  return defined({ tiers, deadlineAt: deadlineMs === undefined ? undefined : droppedAt + deadlineMs });
}

/** What its ladder makes of a new batch: with one tier, batch, there is nothing to decide; with none, it cannot run. */
export function onLadder(
  ladder: Ladder | undefined,
  asked: Asked,
  rules: TierRules,
  now: number,
): Partial<BatchRecord> {
  if (ladder === undefined)
    return {
      state: 'ended',
      ending: { status: 'failed', errors: [tierNotOffered(asked, rules)], endedAt: now },
    };
  return ladder.tiers.length === 1 && ladder.tiers[0] === 'batch' ? {} : { ladder };
}

/** For requests that {@link ladderOf} has no tier for. */
function tierNotOffered({ model }: Asked, rules: TierRules): StatedError {
  const urlsWith = (tier: Tier): string =>
    [...rules.endpoints.keys()]
      .filter((endpoint) => isServed(tier, { endpoint, model }, rules))
      .join(' and ') || 'no endpoint';
  return {
    code: TIER_NOT_OFFERED,
    message: `No tier of the route serves this endpoint and model; for ${model}, flex is offered for ${urlsWith('flex')}, background windows for ${urlsWith('background-8h')}. Add "batch" or "standard" to the tiers of the route.`,
  };
}

/** A refusal is believed for so long: what OpenAI offers changes within days, not hours. */
const REFUSAL_COUNTS_MS = DAY_MS;

/**
 * Whether the provider has not refused a model in a tier lately.
 * @param ledger of the calls of the model in the tier; see `callsLedgerOf`.
 */
export function isOffered(ledger: Pick<Ledger, 'notOfferedAt'> | undefined, now: number): boolean {
  return ledger?.notOfferedAt === undefined || now >= ledger.notOfferedAt + REFUSAL_COUNTS_MS;
}
