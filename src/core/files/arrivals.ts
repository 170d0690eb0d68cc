/**
 * `work/<job>/calls/<batch>/arrived/<request>.json`: a response that a webhook reported, by the place of its request in
 * the slice. Written once by the worker that reads the response, read by the slice's next worker.
 */

import * as z from 'zod';
import type { Layout } from '../../contract/layout.ts';
import { defined } from '../base/defined.ts';
import type { BatchKey } from '../model/batch.ts';
import { BEGUN, RESPONSE_STATUSES } from '../model/response-status.ts';
import type { ObjectStore, WorkFiles } from '../ports/objects.ts';
import type { BackgroundResponse } from '../ports/provider.ts';
import { workKeys } from './keys.ts';
import { readWorkJson, writeWorkJsonOnce } from './work-json.ts';

/** A response that has ended: what of it was read. */
export const arrivalSchema = z.object({
  v: z.literal(1),
  id: z.string(),
  status: z.enum(RESPONSE_STATUSES),
  begun: z.enum(BEGUN),
  requestId: z.exactOptional(z.string()),
  keyVersion: z.exactOptional(z.string()),
  /** As JSON, as it came. */
  body: z.string(),
});
/** See {@link BackgroundResponse}. */
type Arrival = Omit<BackgroundResponse, 'metadata' | 'isStatusKnown'>;

interface ArrivalDeps {
  objects: Pick<ObjectStore, 'get' | 'put'> & Pick<WorkFiles, 'listBelow'>;
  settings: { layout: Layout };
}

/**
 * Writes down a response that has ended; the first one for a request counts.
 * @param request its place in the slice.
 */
export async function writeArrival(
  { objects, settings }: { objects: Pick<ObjectStore, 'get' | 'put'>; settings: { layout: Layout } },
  { jobId, batchId }: BatchKey,
  request: number,
  arrival: Arrival,
): Promise<void> {
  const key = workKeys(settings.layout, jobId).calls(batchId).arrived(request);
  const { id, status, begun, requestId, keyVersion, body } = arrival;
  await writeWorkJsonOnce(
    objects,
    key,
    arrivalSchema,
    defined({
      v: 1,
      id,
      status,
      begun,
      body,
      requestId,
      keyVersion,
    }),
  );
}

/** The requests of a slice whose responses have arrived, by their places. */
export async function listArrivals(
  { objects, settings }: ArrivalDeps,
  { jobId, batchId }: BatchKey,
): Promise<number[]> {
  const { arrivals } = workKeys(settings.layout, jobId).calls(batchId);
  const keys = await objects.listBelow(arrivals);
  return keys.map((key) => Number.parseInt(key.slice(arrivals.length), 10)).sort((one, other) => one - other);
}

/** The response that has arrived for a request; `undefined`: none has. */
export function readArrival(
  { objects, settings }: ArrivalDeps,
  { jobId, batchId }: BatchKey,
  request: number,
): Promise<Arrival | undefined> {
  const key = workKeys(settings.layout, jobId).calls(batchId).arrived(request);
  return readWorkJson(objects, key, arrivalSchema);
}
