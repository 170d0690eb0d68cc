/**
 * Starts the files that wait for the limits of their route, the one that was dropped first comes first. The limits are
 * those of the settings now: what was raised or removed helps files that wait already.
 */
import type { Settings } from '../../../contract/settings.ts';
import { workingTime } from '../../lifecycle/time-limits.ts';
import { waitsForTurn } from '../../model/drop-turn.ts';
import type { Ambient, Deadline } from '../../ports/ambient.ts';
import type { DropTurnStore } from '../../ports/drops.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { Telemetry } from '../../ports/telemetry.ts';

/** What it takes to start them. */
export interface StartDropsDeps {
  settings: Pick<Settings, 'routes'>;
  drops: DropTurnStore;
  outbox: Pick<Outbox, 'ingest'>;
  ambient: Pick<Ambient, 'now'>;
  deadline: Deadline;
  telemetry: Telemetry;
}

/** Starts what may start now. Safe to be interrupted: what is counted and has no message is found by the sweep. */
export async function startDrops(deps: StartDropsDeps): Promise<void> {
  const deadline = workingTime(deps.deadline);
  for (const route of await deps.drops.listDropRoutes()) {
    const started = await startDropsOf(deps, route, deadline);
    if (started > 0) deps.telemetry.record('drops.started', { route, drops: started });
  }
}

/** @returns how many were started. */
async function startDropsOf(deps: StartDropsDeps, route: string, deadline: Deadline): Promise<number> {
  const { drops, ambient, outbox } = deps;
  const limits = deps.settings.routes.find(({ name }) => name === route)?.drops;
  const listedAt = ambient.now();
  let started = 0;
  let isEmpty = true;
  for await (const { jobId } of drops.listWaitingDrops(route)) {
    isEmpty = false;
    if (deadline.remainingMs() <= 0) return started;
    const job = await drops.takeDropTurn({ jobId, route, limits }, ambient.now());
    // Another worker started or cancelled it: the index lagged.
    if (job === undefined) continue;
    // No room for this one, so none for those after it.
    if (waitsForTurn(job)) return started;
    await outbox.ingest({ v: 1, jobId });
    started += 1;
  }
  if (isEmpty) await drops.noteNoneWaits(route, listedAt);
  return started;
}
