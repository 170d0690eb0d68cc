/**
 * Reads the original lines that entries of a manifest point to, in order, with as few requests to S3 as is sensible:
 * entries that are close together come from one GET, and what lies between them is read over.
 */
import { CorruptWorkFileError } from '../base/errors.ts';
import type { SourceObject } from '../model/objects.ts';
import type { ObjectStore } from '../ports/objects.ts';

/** Unwanted bytes between two requests that are cheaper to read over than to start another GET for. */
export const COALESCE_GAP_BYTES = 256 * 1024;

/** A stretch of the source. */
export interface Range {
  offset: number;
  length: number;
}

/** A piece of one of the ranges asked for. */
export interface RangePiece {
  /** Which range, counted from 0. */
  index: number;
  bytes: Uint8Array;
  /** Whether the range ends with this piece. */
  last: boolean;
}

/**
 * Yields every range piece by piece, in the order given. Ranges must be in ascending order and must not overlap.
 * @throws {CorruptWorkFileError} if the source ends before a range does.
 */
export async function* readRanges(
  objects: Pick<ObjectStore, 'read'>,
  source: SourceObject,
  ranges: Iterable<Range>,
): AsyncGenerator<RangePiece> {
  let first = 0;
  for (const span of coalesce(ranges)) {
    yield* readSpan(objects, source, span, first);
    first += span.length;
  }
}

/** Groups ranges whose gaps are cheaper to read over than to skip. */
function* coalesce(ranges: Iterable<Range>): Generator<Range[]> {
  let span: Range[] = [];
  let end = 0;
  for (const range of ranges) {
    const gap = range.offset - end;
    if (span.length > 0 && (gap > COALESCE_GAP_BYTES || gap < 0)) {
      yield span;
      span = [];
    }
    span.push(range);
    end = range.offset + range.length;
  }
  if (span.length > 0) yield span;
}

async function* readSpan(
  objects: Pick<ObjectStore, 'read'>,
  source: SourceObject,
  span: readonly Range[],
  first: number,
): AsyncGenerator<RangePiece> {
  const from = span[0]!.offset;
  const lastRange = span.at(-1)!;
  const to = lastRange.offset + lastRange.length;
  let position = from;
  let current = 0;
  for await (const chunk of await objects.read(source, from, to)) {
    const chunkEnd = position + chunk.length;
    while (current < span.length && span[current]!.offset < chunkEnd) {
      const range = span[current]!;
      const rangeEnd = range.offset + range.length;
      const last = rangeEnd <= chunkEnd;
      const bytes = chunk.subarray(
        Math.max(0, range.offset - position),
        Math.min(rangeEnd, chunkEnd) - position,
      );
      yield { index: first + current, bytes, last };
      if (!last) break;
      current++;
    }
    position = chunkEnd;
  }
  if (current < span.length) {
    throw new CorruptWorkFileError(
      `${source.key} ended at byte ${position}; bytes up to ${to} were expected. The object is not the one that was planned.`,
    );
  }
}
