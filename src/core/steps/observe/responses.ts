/** A webhook about a response that was made in the background. */
import type { Layout } from '../../../contract/layout.ts';
import type { ObserveMessage } from '../../../contract/messages.ts';
import { isWindowTier } from '../../../contract/route.ts';
import { SECOND_MS } from '../../../contract/time.ts';
import { writeArrival } from '../../files/arrivals.ts';
import { readCreated } from '../../files/created.ts';
import { workKeys } from '../../files/keys.ts';
import { toHurried } from '../../lifecycle/batch-transitions.ts';
import { markOf, type ResponseMark } from '../../lifecycle/response-marks.ts';
import { apiKeyOf, type BatchKey, type BatchRecord, tierOf } from '../../model/batch.ts';
import { hasEnded } from '../../model/response-status.ts';
import type { Ambient } from '../../ports/ambient.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { BackgroundApi, BackgroundResponse, ByKey } from '../../ports/provider.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import type { Look } from './look.ts';

/** What a look at a response takes. */
export interface ObserveResponsesDeps {
  stackId: string;
  settings: { layout: Layout };
  objects: Pick<ObjectStore, 'get' | 'put'>;
  jobs: Pick<JobStore, 'getBatch' | 'moveBatch'>;
  background: ByKey<Pick<BackgroundApi, 'get' | 'remove'>>;
  telemetry: Telemetry;
  outbox: Pick<Outbox, 'call'>;
  ambient: Pick<Ambient, 'now'>;
}

/** Of those that end together, one worker reads as many as arrive in this time. */
const GATHERED_MS = 2 * SECOND_MS;

/** Reads the response that a webhook names, and writes it down for its slice if it is ours. */
export async function lookAtResponse(
  deps: ObserveResponsesDeps,
  { objectId, apiKey }: ObserveMessage,
): Promise<Look> {
  const response = await deps.background.withKey(apiKey).get(objectId);
  if (response === undefined) return { found: 'missing' };
  const mark = markOf(deps.stackId, response.metadata);
  if (mark === undefined) return { found: 'foreign' };
  const key: BatchKey = { jobId: mark.jobId, batchId: mark.batchId };
  const batch = await deps.jobs.getBatch(key.jobId, key.batchId);
  if (batch === undefined || !isWindowTier(tierOf(batch)) || mark.request >= batch.requests)
    return { found: 'foreign' };
  if (!hasEnded(response.status)) return { found: 'early' };
  let isLive = !isOver(batch);
  if (isLive) {
    await writeArrival(deps, key, mark.request, response);
    isLive = await hurry(deps, key);
  }
  if (!isLive) await removeUnneeded(deps, mark, response, apiKey);
  return { found: 'ours', batch: key, apiKey: apiKeyOf(batch) };
}

/** The answers of its requests are written down, and nothing else counts any more. */
function isOver({ state }: Pick<BatchRecord, 'state'>): boolean {
  return state === 'ended' || state === 'collected';
}

/**
 * Deletes a response whose slice has ended: the answer is safe, or its create was given up. Marks can be copied: where
 * the slice knows another response of the request, and does not know this one, it is a stranger's.
 */
async function removeUnneeded(
  deps: ObserveResponsesDeps,
  { jobId, batchId, request, isStored }: ResponseMark,
  { id, keyVersion }: BackgroundResponse,
  apiKey: string,
): Promise<void> {
  if (isStored) return;
  const keys = workKeys(deps.settings.layout, jobId).calls(batchId);
  const ids = new Set<string | undefined>();
  for await (const lines of readCreated(deps.objects, keys))
    for (const line of lines) if (line.request === request) ids.add(line.id);
  const isLost = ids.size === 1 && ids.has(undefined);
  if (!ids.has(id) && !isLost) return;
  try {
    await deps.background.withKey(apiKey).remove(id, keyVersion);
  } catch {
    deps.telemetry.record('responses.retained', { jobId, batchId, responses: 1 });
  }
}

/**
 * Has the slice looked at soon. While a worker has it there is nothing to do: it lists what has arrived once more after
 * it has recorded its pause.
 * @returns whether the slice has not ended.
 */
async function hurry(deps: ObserveResponsesDeps, key: BatchKey): Promise<boolean> {
  const batch = await deps.jobs.getBatch(key.jobId, key.batchId);
  const now = deps.ambient.now();
  const soon = now + GATHERED_MS;
  if (batch?.state !== 'admitted' || (batch.wait?.notBefore ?? 0) <= soon) return !batch || !isOver(batch);
  const isLeased = batch.lease !== undefined && batch.lease.until > now;
  if (!isLeased && (await deps.jobs.moveBatch(batch, toHurried(batch, soon), now)) !== undefined)
    await deps.outbox.call({ v: 1, ...key }, { delayMs: GATHERED_MS });
  return true;
}
