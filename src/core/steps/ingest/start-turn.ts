/** The turn of a file among those of its route, before anything of it is read. */
import { waitsForTurn } from '../../model/drop-turn.ts';
import type { IngestRun } from './ingest-run.ts';

/**
 * Whether the file may start. If not, its job waits for the poll and is no longer leased.
 *
 * The limits are those of the settings' present route of the job's route's name, as with budgets. What was read in part
 * before its route had limits, and what was cancelled, needs no turn.
 */
export async function mayStart({ deps, leased }: IngestRun): Promise<boolean> {
  const { jobId, route, turn, ingest, cancelledAt } = leased.record;
  const limits = deps.settings.routes.find(({ name }) => name === route.name)?.drops;
  const isUnlimited = turn === undefined && (limits === undefined || ingest?.checkpoint !== undefined);
  if (isUnlimited || turn?.takenAt !== undefined || cancelledAt !== undefined) return true;
  const job = await leased.takeDropTurn(deps.drops, limits, deps.ambient.now());
  if (!waitsForTurn(job)) return true;
  const { waitsFor, nextAt } = job.turn!;
  // Said once, however often its message is delivered.
  if (turn === undefined)
    deps.telemetry.record('drop.deferred', { jobId, route: route.name, waitsFor: waitsFor!, nextAt });
  return false;
}
