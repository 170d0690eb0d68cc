/**
 * Models that are gone for good. What the provider says decides: a date alone fails no request, because a request
 * for a model that is gone is refused for free, and one that still answers would have been lost (ADR 40).
 */
import { apiKeyOf, type BatchRecord } from '../model/batch.ts';
import { MODEL_RETIRED, type StatedError } from '../model/outcome-codes.ts';
import {
  endOfDay,
  isShutDown,
  type KeptShutdowns,
  replacementText,
  type Shutdown,
} from '../model/shutdown.ts';
import type { Suspension } from '../model/suspension.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { ProviderRules, ShutdownRules } from '../ports/provider-rules.ts';
import type { SuspensionStore } from '../ports/quota.ts';
import type { ShutdownStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import { suspensionScope } from './scopes.ts';

/** The end of a model: the date that the provider's list showed, or else what its rules know. */
export function shutdownOf(
  rules: ShutdownRules,
  kept: KeptShutdowns | undefined,
  model: string,
): Shutdown | undefined {
  const known = rules.shutdownOf(model);
  const dates = kept?.dates ?? {};
  if (!Object.hasOwn(dates, model)) return known;
  return { date: dates[model]!, replacements: known?.replacements ?? [] };
}

/** What it takes to know whether a model is gone. */
export interface RetirementDeps {
  rules: Pick<ProviderRules, 'shutdowns'>;
  shutdowns: Pick<ShutdownStore, 'getShutdowns'>;
}

/**
 * What the requests of a batch fail with whose model the provider says it does not know.
 * @returns `undefined` if no day is known that is over: they wait for a person.
 */
export async function retiredError(
  deps: RetirementDeps,
  batch: Pick<BatchRecord, 'apiKey' | 'model'>,
  now: number,
): Promise<StatedError | undefined> {
  const shutdown = await pastShutdownOf(deps, batch, now);
  return shutdown && errorOf(batch.model, shutdown);
}

/** Notes what the provider said, so that batches which wait for the model end without being sent. */
export async function noteRetired(
  deps: {
    suspensions: Pick<SuspensionStore, 'suspend'>;
    ambient: Pick<Ambient, 'now'>;
    telemetry: Telemetry;
  },
  batch: BatchRecord,
  code: string,
): Promise<void> {
  const { jobId, batchId, model } = batch;
  await deps.suspensions.suspend(scopeOf(batch), code, 'collected', deps.ambient.now());
  deps.telemetry.record('model.retired', { jobId, batchId, model });
}

/**
 * Which of the suspended models are gone: the provider has said so after the day of their shutdown. While a probe is
 * due, none is: what it said may be old.
 * @returns by scope, what the requests of the model fail with.
 */
export async function retiredScopes(
  deps: RetirementDeps,
  waiting: readonly Pick<BatchRecord, 'apiKey' | 'model'>[],
  suspensions: ReadonlyMap<string, Suspension>,
  now: number,
): Promise<Map<string, StatedError>> {
  const retired = new Map<string, StatedError>();
  if (suspensions.size === 0) return retired;
  for (const [scope, batch] of new Map(waiting.map((each) => [scopeOf(each), each]))) {
    const suspension = suspensions.get(scope);
    if (suspension === undefined || !deps.rules.shutdowns.isModelGone(suspension.reason)) continue;
    const shutdown = await pastShutdownOf(deps, batch, now);
    if (shutdown === undefined) continue;
    const { saidAt = suspension.suspendedAt, probeAt } = suspension;
    if (saidAt >= endOfDay(shutdown.date) && probeAt > now)
      retired.set(scope, errorOf(batch.model, shutdown));
  }
  return retired;
}

function scopeOf(batch: Pick<BatchRecord, 'apiKey' | 'model'>): string {
  return suspensionScope(apiKeyOf(batch), batch.model);
}

async function pastShutdownOf(
  { rules, shutdowns }: RetirementDeps,
  batch: Pick<BatchRecord, 'apiKey' | 'model'>,
  now: number,
): Promise<Shutdown | undefined> {
  const kept = await shutdowns.getShutdowns(apiKeyOf(batch));
  const shutdown = shutdownOf(rules.shutdowns, kept, batch.model);
  return shutdown !== undefined && isShutDown(shutdown, now) ? shutdown : undefined;
}

function errorOf(model: string, shutdown: Shutdown): StatedError {
  const message = `The model ${model} was shut down on ${shutdown.date}, and the provider does not know it any more.${replacementText(shutdown)}`;
  return { code: MODEL_RETIRED, message };
}
