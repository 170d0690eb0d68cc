/** How many inputs the requests of an embeddings batch have: an answer with fewer vectors is not whole. */
import { isUnavailable } from '../base/errors.ts';
import type { JsonObject } from '../base/json-value.ts';
import type { Manifest } from '../files/manifest.ts';
import { readRanges } from '../files/ranges.ts';
import type { ObjectStore } from '../ports/objects.ts';
import type { EndpointRules } from '../ports/provider-rules.ts';

/**
 * Reads the requests of a batch again, one at a time, and counts their inputs.
 * @returns by request, in the order of the manifest; `undefined` for other endpoints, and if the input was deleted
 * meanwhile or is not given: then each has at least one.
 */
export async function readInputCounts(
  objects: Pick<ObjectStore, 'read'>,
  { source, entries }: Manifest,
  endpoint: Pick<EndpointRules, 'countInputs'> | undefined,
): Promise<Uint16Array | undefined> {
  if (endpoint?.countInputs === undefined) return undefined;
  const counts = new Uint16Array(entries.count);
  const ranges = Array.from({ length: entries.count }, (_, index) => ({
    offset: entries.offset(index),
    length: entries.length(index),
  }));
  let pieces: Uint8Array[] = [];
  try {
    for await (const { index, bytes, last } of readRanges(objects, source, ranges)) {
      // The next piece may come in the same buffer.
      pieces.push(last ? bytes : new Uint8Array(bytes));
      if (!last) continue;
      const { body } = JSON.parse(Buffer.concat(pieces).toString('utf8')) as { body: JsonObject };
      counts[index] = endpoint.countInputs(body);
      pieces = [];
    }
  } catch (error) {
    if (isUnavailable(error)) return undefined;
    throw error;
  }
  return counts;
}
