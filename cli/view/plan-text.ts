/** Sentences of `batchdrop plan` that depend on nothing but what they are about. */
import { isWindowTier, type Route, type Tier } from '../../src/contract/route.ts';
import { formatUsd } from '../../src/core/base/money.ts';
import type { BatchForecast, Bound, GroupForecast } from '../../src/core/forecast/file-forecast.ts';
import type { TierCost } from '../../src/core/forecast/tiers.ts';
import { MODEL_RETIRED, TIER_NOT_OFFERED } from '../../src/core/model/outcome-codes.ts';
import { endsSoon, isShutDown, replacementText, type Shutdown } from '../../src/core/model/shutdown.ts';
import type { ProviderRules, ShutdownRules } from '../../src/core/ports/provider-rules.ts';
import { isServed, type TierRules } from '../../src/core/scheduling/offered-tiers.ts';
import { format } from './progress.ts';
import { count } from './text.ts';

const BOUND_TEXT: Record<Bound, string> = {
  requests: '50,000 requests',
  bytes: 'bytes',
  embedding_inputs: '50,000 embedding inputs',
  output: 'predicted output',
  tokens: 'enqueued tokens',
  groups: 'the number of models that fill up side by side',
  end: 'the end of the file',
};

/** How many batches, and what they were full of. */
export function batchesText(batches: readonly BatchForecast[]): string {
  const bounds = new Map<Bound, number>();
  for (const { bound } of batches) bounds.set(bound, (bounds.get(bound) ?? 0) + 1);
  const parts = [...bounds].map(([bound, found]) => `${format(found)} by ${BOUND_TEXT[bound]}`);
  return `${format(batches.length)}, cut ${parts.join(', ')}`;
}

/** What a route says of its files. */
export function routeText({ name, prefix, tiers, deadline, maxTries }: Route): string {
  return (
    `Route "${name}" (${prefix}): ${tiers.join(', then ')}; ` +
    `${deadline === undefined ? 'no deadline' : `within ${deadline} of the drop`}; each request in up to ${count(maxTries, 'batch', 'batches')}.`
  );
}

/** Where the route and the recommendation part ways. */
export function routeAdvice({ name, tiers }: Route, tier: Tier): string {
  if (!tiers.includes(tier)) return ` Route "${name}" does not have it: its tiers are ${tiers.join(', ')}.`;
  return tiers[0] === tier
    ? ''
    : ` Route "${name}" begins in ${tiers[0]}, and continues in ${tier} when time runs short.`;
}

/** What requests of a model would cost in a tier. @param cost `undefined`: no price is known. */
export function tierText(
  tier: Tier,
  { model }: Pick<GroupForecast, 'model'>,
  cost: TierCost | undefined,
  { models }: Pick<ProviderRules, 'models'>,
): string {
  if (cost === undefined) return 'no price known';
  const { input, output } = cost;
  const isSure = !isWindowTier(tier) || models.isSurelyInWindows(model);
  return `${formatUsd(input)} in, at most ${formatUsd(output)} out${isSure ? '' : ', if OpenAI serves the model there'}`;
}

/** Which tiers of the route are not offered for some of its requests, and where those go. */
export function unservedTexts(
  route: Route,
  groups: readonly Pick<GroupForecast, 'endpoint' | 'model' | 'requests'>[],
  rules: TierRules,
): string[] {
  const { tiers } = route;
  return groups.flatMap((group) => {
    const unserved = tiers.filter((tier) => !isServed(tier, group, rules));
    if (unserved.length === 0) return [];
    const served = tiers.filter((tier) => !unserved.includes(tier));
    const where =
      served.length === 0
        ? `fail as ${TIER_NOT_OFFERED}: the route has no other tier`
        : `go in ${served.join(', then ')}`;
    return `${count(group.requests, 'request')} of ${group.model} at ${group.endpoint} ${where}; ${unserved.join(' and ')} ${unserved.length === 1 ? 'is' : 'are'} not offered there.`;
  });
}

/** The end of a model that is near or past. */
export interface ModelEnd extends Shutdown {
  /** `model_retired`: its day is over, so that its requests are to fail with that. */
  code: 'model_shutdown' | typeof MODEL_RETIRED;
}

/** What is to be said of the end of a model; `undefined`: nothing, for another 30 days. */
export function modelEndOf(rules: ShutdownRules, model: string, now: number): ModelEnd | undefined {
  const shutdown = rules.shutdownOf(model);
  if (shutdown === undefined || !endsSoon(shutdown, now)) return undefined;
  return { ...shutdown, code: isShutDown(shutdown, now) ? MODEL_RETIRED : 'model_shutdown' };
}

/** The same as a sentence. */
export function modelEndText(end: ModelEnd): string {
  const what =
    end.code === MODEL_RETIRED
      ? `OpenAI shut the model down on ${end.date}: requests for it fail.`
      : `OpenAI shuts the model down on ${end.date}; what it refuses after that day fails as ${MODEL_RETIRED}.`;
  return `${end.code}: ${what}${replacementText(end)}`;
}
