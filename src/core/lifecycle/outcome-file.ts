/**
 * `work/<job>/collected/<batch>/record.json`: the record of a batch whose requests all have an outcome or a place in
 * the next round, written once and before the table says so. A table that is restored to an earlier time is brought
 * forward from here: what was decided is not decided again, since batches may have been made of it.
 */
import * as z from 'zod';
import type { Layout } from '../../contract/layout.ts';
import { workKeys } from '../files/keys.ts';
import { readWorkJson, writeWorkJsonOnce } from '../files/work-json.ts';
import type { BatchGroup, BatchKey, BatchRecord } from '../model/batch.ts';
import type { BatchPatch } from '../model/transition.ts';
import type { ObjectStore } from '../ports/objects.ts';

/** Of our own making: what names it is checked, the rest is taken as it was written. */
export const outcomeFileSchema = z.looseObject({
  v: z.literal(1),
  jobId: z.string(),
  batchId: z.string(),
  state: z.literal('collected'),
  results: z.looseObject({ outcome: z.looseObject({}) }),
});

interface OutcomeDeps {
  objects: Pick<ObjectStore, 'get' | 'put'>;
  settings: { layout: Layout };
}

/**
 * Writes down what becomes of a batch.
 * @returns what its record is to hold of that: as the first writer wrote it.
 */
export async function writeOutcomeOnce(
  { objects, settings }: OutcomeDeps,
  batch: BatchRecord,
  results: NonNullable<BatchRecord['results']>,
): Promise<BatchPatch> {
  const key = workKeys(settings.layout, batch.jobId).settled(batch.batchId);
  const collected = { ...batch, state: 'collected', results };
  const record = JSON.parse(JSON.stringify(collected)) as z.infer<typeof outcomeFileSchema>;
  return patchOf(await writeWorkJsonOnce(objects, key, outcomeFileSchema, record));
}

/** What a batch's record is to hold of what became of it; `undefined` if nothing has yet. */
export async function readOutcome(
  { objects, settings }: { objects: Pick<ObjectStore, 'get'>; settings: { layout: Layout } },
  { jobId, batchId }: BatchKey,
): Promise<BatchPatch | undefined> {
  const key = workKeys(settings.layout, jobId).settled(batchId);
  const written = await readWorkJson(objects, key, outcomeFileSchema);
  return written === undefined ? undefined : patchOf(written);
}

/** Groups that are taken from the file. Lease, waits and reservations are those of the record. */
const TAKEN = {
  lease: false,
  wait: false,
  hold: false,
  admission: false,
  attempt: true,
  remote: true,
  stop: true,
  ending: true,
  download: true,
  results: true,
  calls: true,
  recut: true,
  history: true,
} as const satisfies Record<BatchGroup, boolean>;

function patchOf(written: z.infer<typeof outcomeFileSchema>): BatchPatch {
  const taken = Object.entries(written).filter(([name]) => TAKEN[name as BatchGroup]);
  return Object.fromEntries(taken) as BatchPatch;
}
