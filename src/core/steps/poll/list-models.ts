/**
 * Asks the provider once a day, with each API key, when its models end. A hint: nothing waits for it, and what goes
 * wrong is tried again later.
 */
import { apiKeyNamesOf, type Settings } from '../../../contract/settings.ts';
import { DAY_MS, HOUR_MS } from '../../../contract/time.ts';
import { reasonOf } from '../../base/own-text.ts';
import { type KeptShutdowns, SHUTDOWN_DATE } from '../../model/shutdown.ts';
import type { Ambient } from '../../ports/ambient.ts';
import type { BatchService, ByKey, RemoteModel } from '../../ports/provider.ts';
import type { ShutdownStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';

export interface ListModelsDeps {
  settings: Pick<Settings, 'routes'>;
  shutdowns: ShutdownStore;
  batches: ByKey<Pick<BatchService, 'listModels'>>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** Dates that are kept for one key, the latest ones: a table item holds 400 KB. */
const MAX_DATES = 1_000;

/** One look with each key for which it is time. */
export async function listModels(deps: ListModelsDeps): Promise<void> {
  for (const apiKey of apiKeyNamesOf(deps.settings)) await look(deps, apiKey);
}

async function look(deps: ListModelsDeps, apiKey: string): Promise<void> {
  const { shutdowns, ambient, telemetry } = deps;
  const api = deps.batches.withKey(apiKey);
  if (api.listModels === undefined) return;
  const now = ambient.now();
  const known = await shutdowns.getShutdowns(apiKey);
  if (known !== undefined && now < known.nextAt) return;
  // First, so that of two polls at once one asks. Should it die over that, another one does within an hour.
  const { generation = 0, dates = {} } = known ?? {};
  const claim: KeptShutdowns = {
    v: 1,
    apiKey,
    generation: generation + 1,
    nextAt: now + HOUR_MS,
    dates,
  };
  if (!(await shutdowns.putShutdowns(claim))) return;
  let models: RemoteModel[] | undefined;
  try {
    models = await api.listModels();
  } catch (error) {
    telemetry.record('models.withheld', { apiKey, reason: reasonOf(error) });
    return;
  }
  const next = datesAfter(dates, models ?? []);
  const written = { ...claim, generation: claim.generation + 1, nextAt: now + DAY_MS, dates: next };
  if (!(await shutdowns.putShutdowns(written))) return;
  telemetry.record('models.listed', {
    apiKey,
    models: models?.length ?? 0,
    ending: Object.keys(next).length,
    isAllowed: models !== undefined,
  });
}

/** A model that is listed has the date that the list says; one that is not listed any more keeps its date. */
function datesAfter(
  known: Readonly<Record<string, string>>,
  models: readonly RemoteModel[],
): Record<string, string> {
  const dates = new Map(Object.entries(known));
  for (const { id, shutdownDate } of models) {
    if (shutdownDate !== undefined && SHUTDOWN_DATE.test(shutdownDate) && Date.parse(shutdownDate) > 0)
      dates.set(id, shutdownDate);
    else dates.delete(id);
  }
  const latestFirst = [...dates].sort(([, one], [, other]) => (one < other ? 1 : -1));
  return Object.fromEntries(latestFirst.slice(0, MAX_DATES));
}
