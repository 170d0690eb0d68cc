/**
 * `work/<job>/collected/<batch>/record.json`: the record of a batch whose requests all have an outcome or a place in the
 * next round, written once and before the table says so. A table that is restored to an earlier time is brought forward
 * from here: what was decided is not decided anew, since batches may have been made of it.
 */
import * as z from 'zod';
import type { Layout } from '../../contract/layout.ts';
import { workKeys } from '../files/keys.ts';
import { readWorkJson, writeWorkJsonOnce } from '../files/work-json.ts';
import type { BatchRecord } from '../model/batch.ts';
import type { ObjectStore } from '../ports/objects.ts';
import type { JobStore } from '../ports/records.ts';
import { SUCCEEDED } from './step-failure.ts';

/** Of our own making: what names it is checked, the rest is taken as it was written. */
const settledSchema = z.looseObject({
  v: z.literal(1),
  jobId: z.string(),
  batchId: z.string(),
  state: z.literal('collected'),
  outcome: z.looseObject({}),
});

type Changes = Parameters<JobStore['updateBatch']>[2];
interface SettledDeps {
  objects: Pick<ObjectStore, 'get' | 'put'>;
  settings: { layout: Layout };
}

/**
 * Writes down what becomes of a batch.
 * @returns the changes to its record that are to be written: those of whoever was first.
 */
export async function writeOutcomeOnce(
  { objects, settings }: SettledDeps,
  batch: BatchRecord,
  changes: Changes,
): Promise<Changes> {
  const key = workKeys(settings.layout, batch.jobId).settled(batch.batchId);
  const record = JSON.parse(JSON.stringify({ ...batch, ...changes })) as z.infer<typeof settledSchema>;
  return changesOf(await writeWorkJsonOnce(objects, key, settledSchema, record));
}

/** The changes that bring a batch to what became of it; `undefined` if nothing has yet. */
export async function readOutcome(
  { objects, settings }: { objects: Pick<ObjectStore, 'get'>; settings: { layout: Layout } },
  { jobId, batchId }: Pick<BatchRecord, 'jobId' | 'batchId'>,
): Promise<Changes | undefined> {
  const key = workKeys(settings.layout, jobId).settled(batchId);
  const settled = await readWorkJson(objects, key, settledSchema);
  return settled === undefined ? undefined : changesOf(settled);
}

function changesOf(settled: z.infer<typeof settledSchema>): Changes {
  // What the record holds reserved now is its own.
  const {
    v: _,
    jobId: __,
    batchId: ___,
    reservation: ____,
    ...attributes
  } = settled as unknown as BatchRecord;
  const cleared = { ...SUCCEEDED, heldReason: undefined, heldAt: undefined, lateResults: undefined };
  return { ...cleared, ...attributes, claim: undefined, claimedUntil: undefined };
}
