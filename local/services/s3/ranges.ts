import { S3Error } from './errors.ts';

/** Both ends inclusive, as in HTTP. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Reads a `Range` header of a GET. What is not one single byte range is ignored, as RFC 9110 has it and S3 does.
 *
 * @returns undefined for the whole object
 * @throws S3Error `InvalidRange` when no byte of the object is in the range
 */
export function parseRange(range: string | undefined, sizeBytes: number): ByteRange | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(range?.trim() ?? '');
  if (!match) return undefined;
  const [, from = '', to = ''] = match;
  if (from === '' && to === '') return undefined;
  if (from !== '' && to !== '' && Number(to) < Number(from)) return undefined;
  const first = from === '' ? Math.max(0, sizeBytes - Number(to)) : Number(from);
  const last = from === '' || to === '' ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1);
  if (first > last) {
    throw new S3Error('InvalidRange', undefined, { 'content-range': `bytes */${sizeBytes}` });
  }
  return { first, last };
}

/**
 * Reads `x-amz-copy-source-range`, which must name both ends, within the source.
 *
 * @returns undefined for the whole source
 * @throws S3Error `InvalidArgument`
 */
export function parseCopyRange(range: string | undefined, sizeBytes: number): ByteRange | undefined {
  if (range === undefined) return undefined;
  const match = /^bytes=(\d+)-(\d+)$/.exec(range.trim());
  const first = Number(match?.[1]);
  const last = Number(match?.[2]);
  if (!match || first > last) {
    throw new S3Error(
      'InvalidArgument',
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
    );
  }
  if (last >= sizeBytes) {
    throw new S3Error(
      'InvalidArgument',
      `Range specified is not valid for source object of size: ${sizeBytes}`,
    );
  }
  return { first, last };
}
