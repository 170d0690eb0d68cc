/**
 * What ingest found: written once to `work/<job>/plan.json`, and from then on the only truth about what the job is
 * made of. Two runs of ingest over the same object may both finish; the first plan counts.
 */
import * as z from 'zod';
import { firstInvalidSchema } from '../../contract/receipt.ts';
import { CorruptWorkFileError } from '../base/errors.ts';
import { preflightFindingSchema } from '../model/preflight.ts';
import { shutdownSchema } from '../model/shutdown.ts';
import type { ObjectStore } from '../ports/objects.ts';
import { readWorkJson } from './work-json.ts';

const runRefSchema = z.object({
  dataKey: z.string(),
  indexKey: z.string(),
  lines: z.int(),
  bytes: z.int(),
  firstLine: z.int(),
  lastLine: z.int(),
});

export const planSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  /** Every line with something on it. */
  requests: z.int(),
  /** Of those, not run. */
  invalid: z.int(),
  invalidByCode: z.record(z.string(), z.int()),
  /** Absent: none, or the plan of an earlier deployment. */
  firstInvalid: z.exactOptional(firstInvalidSchema),
  batches: z.array(
    z.object({
      batchId: z.string(),
      endpoint: z.string(),
      model: z.string(),
      manifestKey: z.string(),
      requests: z.int(),
      bytes: z.int(),
      /** See `BatchRecord`; absent in a plan that was made before there were budgets. */
      outputTokens: z.exactOptional(z.int()),
      longestBytes: z.exactOptional(z.int()),
      /** UTF-8 bytes of all strings in the bodies, escapes decoded, keys and data: URLs left out. */
      textBytes: z.int(),
      /** The same for data: URLs. */
      dataUrlBytes: z.int(),
    }),
  ),
  /** Requests that the provider is sure to refuse, as far as is known. */
  preflight: z.exactOptional(z.array(preflightFindingSchema)),
  /** Models of the batches that end within 30 days, or have ended; absent: none. */
  shutdowns: z.exactOptional(z.array(z.object({ model: z.string(), ...shutdownSchema.shape }))),
  /** Lines that are not run; each run is in input order. */
  invalidRuns: z.array(runRefSchema),
  /**
   * Every line as it was dropped, where the batches have lines with the route's defaults filled in; a line that was too
   * long to be read is left out.
   */
  originals: z.exactOptional(runRefSchema),
  /** Nothing is run, for this reason. */
  rejection: z.object({ code: z.string(), message: z.string() }).optional(),
});
export type Plan = z.infer<typeof planSchema>;
export type PlannedBatch = Plan['batches'][number];

/** Records the plan unless there is one; returns the one that is there. */
export async function writePlanOnce(objects: ObjectStore, key: string, plan: Plan): Promise<Plan> {
  await objects.put(key, Buffer.from(JSON.stringify(plan)), {
    ifAbsent: true,
    contentType: 'application/json',
  });
  const current = await readPlan(objects, key);
  if (current === undefined) throw new CorruptWorkFileError(`${key} was written and is not there`);
  return current;
}

/** The plan, or `undefined` if none was written yet. */
export function readPlan(objects: Pick<ObjectStore, 'get'>, key: string): Promise<Plan | undefined> {
  return readWorkJson(objects, key, planSchema);
}
