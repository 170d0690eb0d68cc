import { ObjectGoneError, ObjectUnreadableError } from '../../base/errors.ts';
import { readManifest } from '../../files/manifest.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import { isGivenUp } from '../../lifecycle/unreadable-source.ts';
import { CANCELLED, INPUT_UNREADABLE, OBJECT_GONE, type StatedError } from '../../model/outcome-codes.ts';
import type { CallDeps } from './deps.ts';
import { renderSlice } from './requests.ts';

/**
 * The requests of a slice: from a copy, once there is one, so that a slice which has begun is brought to its end even
 * if the input is deleted. Or why there are none: it was deleted, or not given for long, before anything was called.
 * @param copyKey where the copy is kept.
 */
export async function readSlice(
  deps: CallDeps,
  leased: LeasedBatch,
  copyKey: string,
): Promise<Uint8Array | StatedError> {
  const { objects } = deps;
  const batch = leased.record;
  const copy = await objects.get(copyKey);
  if (copy !== undefined) return copy;
  const manifest = await readManifest(objects, batch.manifestKey);
  try {
    const rendered = await renderSlice(objects, manifest);
    await objects.put(copyKey, rendered);
    return rendered;
  } catch (error) {
    if (batch.calls !== undefined) throw error;
    if (error instanceof ObjectGoneError) return OBJECT_GONE;
    if (!(error instanceof ObjectUnreadableError)) throw error;
    const job = await deps.jobs.getJob(batch.jobId);
    if (job?.cancelledAt !== undefined) return CANCELLED;
    if (await isGivenUp(deps, leased)) return INPUT_UNREADABLE;
    throw error;
  }
}
