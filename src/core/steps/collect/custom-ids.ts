import { isUnavailable } from '../../base/errors.ts';
import type { Manifest } from '../../files/manifest.ts';
import { readRanges } from '../../files/ranges.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { Decision } from './decide.ts';

/**
 * The ids of the requests that end with an error line of our own, which names the request: read from the original
 * lines, because manifests hold only hashes.
 * @returns by index in the manifest; without those whose line cannot be read any more.
 */
export async function readCustomIds(
  objects: Pick<ObjectStore, 'read'>,
  { source, entries }: Manifest,
  decisions: readonly Decision[],
): Promise<Map<number, string>> {
  const wanted: number[] = [];
  for (const [index, decision] of decisions.entries()) {
    if (decision.kind === 'failed' && decision.stated !== undefined) wanted.push(index);
  }
  const customIds = new Map<number, string>();
  const ranges = wanted.map((index) => ({ offset: entries.offset(index), length: entries.length(index) }));
  let pieces: Uint8Array[] = [];
  try {
    for await (const piece of readRanges(objects, source, ranges)) {
      pieces.push(new Uint8Array(piece.bytes));
      if (!piece.last) continue;
      const request = JSON.parse(Buffer.concat(pieces).toString('utf8')) as { custom_id: string };
      customIds.set(wanted[piece.index]!, request.custom_id);
      pieces = [];
    }
  } catch (error) {
    // The input was deleted meanwhile, or S3 does not give it: the line numbers still say which requests these were.
    if (!isUnavailable(error)) throw error;
  }
  return customIds;
}
