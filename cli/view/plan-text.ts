/** Sentences of `batchdrop plan` that depend on nothing but what they are about. */
import type { Route, Tier } from '../../src/contract/route.ts';
import type { BatchForecast, Bound, Forecast } from '../../src/core/forecast/file-forecast.ts';
import { MODEL_RETIRED } from '../../src/core/model/outcome-codes.ts';
import { endsSoon, isShutDown, replacementText, type Shutdown } from '../../src/core/model/shutdown.ts';
import type { ShutdownRules } from '../../src/core/ports/provider-rules.ts';
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

/** How many invalid lines of each code. */
export function codesOf({ invalidByCode }: Forecast): string {
  return Object.entries(invalidByCode)
    .map(([code, found]) => `${code} ${format(found)}`)
    .join(', ');
}

/** What a route says of its files. */
export function routeText({ name, prefix, tiers, deadline, maxRounds }: Route): string {
  return (
    `Route "${name}" (${prefix}): ${tiers.join(', then ')}; ` +
    `${deadline === undefined ? 'no deadline' : `within ${deadline} of the drop`}; each request in up to ${count(maxRounds, 'batch', 'batches')}.`
  );
}

/** Where the route and the recommendation part ways. */
export function routeAdvice({ name, tiers }: Route, tier: Tier): string {
  if (!tiers.includes(tier)) return ` Route "${name}" does not have it: its tiers are ${tiers.join(', ')}.`;
  return tiers[0] === tier
    ? ''
    : ` Route "${name}" begins in ${tiers[0]}, and continues in ${tier} when time runs short.`;
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
