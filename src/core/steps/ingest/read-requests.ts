/** Requests of a batch, read again from where the source has them. */
import { CorruptWorkFileError } from '../../base/errors.ts';
import { readRanges } from '../../files/ranges.ts';
import type { SourceObject } from '../../model/objects.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { LineRules } from '../../ports/provider-rules.ts';
import { checkLine, type ValidLine } from '../../requests/check-line.ts';

/**
 * Reads whole lines, each a request that was found valid before, in the order of their ranges.
 * @throws {CorruptWorkFileError} if a range has no valid request.
 */
export async function* readRequests(
  { objects, rules }: { objects: Pick<ObjectStore, 'read'>; rules: LineRules },
  source: SourceObject,
  ranges: readonly { offset: number; length: number }[],
): AsyncGenerator<{ index: number; request: ValidLine }> {
  let pieces: Uint8Array[] = [];
  for await (const { index, bytes, last } of readRanges(objects, source, ranges)) {
    if (!last) {
      pieces.push(new Uint8Array(bytes));
      continue;
    }
    const line = pieces.length === 0 ? bytes : Buffer.concat([...pieces, bytes]);
    pieces = [];
    const request = checkLine(line, rules);
    if (!request.valid) {
      throw new CorruptWorkFileError(
        `${source.key} has no valid request at byte ${ranges[index]!.offset}, where one was read before; did the object change?`,
      );
    }
    yield { index, request };
  }
}
