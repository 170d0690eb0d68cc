/**
 * A batch whose input S3 has and does not give any more, although it was read when it was checked: archived
 * meanwhile, or forbidden. It is tried for as long as a file that cannot be checked, see drops/unreadable.ts.
 */

import type { Settings } from '../../contract/settings.ts';
import { HOUR_MS } from '../../contract/time.ts';
import { ObjectUnreadableError } from '../base/errors.ts';
import type { Manifest } from '../files/manifest.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { ObjectStore } from '../ports/objects.ts';
import { toInputUnreadable } from './batch-transitions.ts';
import type { LeasedBatch } from './leased.ts';

/** What {@link isGivenUp} works with. */
export interface UnreadableSourceDeps {
  settings: Pick<Settings, 'inputs'>;
  ambient: Pick<Ambient, 'now'>;
}

/** Whether S3 refuses the requests of a batch. A byte says it; an object that is gone is another matter. */
export async function isSourceUnreadable(
  objects: Pick<ObjectStore, 'read'>,
  { source, entries }: Manifest,
): Promise<boolean> {
  const start = entries.offset(0);
  try {
    for await (const _ of await objects.read(source, start, start + 1)) break;
    return false;
  } catch (error) {
    return error instanceof ObjectUnreadableError;
  }
}

/**
 * To be asked each time that a leased batch could not be sent because of this; notes the first time.
 * @returns whether that was so long ago that the batch is to end.
 */
export async function isGivenUp(
  { settings, ambient }: UnreadableSourceDeps,
  batch: LeasedBatch,
): Promise<boolean> {
  const now = ambient.now();
  const since = batch.record.history?.inputUnreadableSince;
  if (since !== undefined) return now >= since + settings.inputs.unreadableHours * HOUR_MS;
  await batch.tryMove(toInputUnreadable(batch.record, now));
  return false;
}
