import { type Call, header } from './call.ts';
import { S3Error } from './errors.ts';
import { etagMatches } from './object-store.ts';
import type { ObjectVersion } from './records.ts';

/** Where a copy reads from. */
export interface CopySource {
  readonly bucket: string;
  readonly key: string;
  readonly versionId: string | undefined;
}

/**
 * Reads `x-amz-copy-source`: `/bucket/key?versionId=…`, percent-encoded or not.
 *
 * @throws S3Error `InvalidArgument`
 */
export function parseCopySource(call: Call): CopySource {
  const [location = '', versionId] = (header(call, 'x-amz-copy-source') ?? '').split('?versionId=');
  let decoded: string;
  try {
    decoded = decodeURIComponent(location);
  } catch {
    decoded = location;
  }
  const match = /^\/?([^/]+)\/(.+)$/s.exec(decoded);
  if (!match) throw new S3Error('InvalidArgument', 'Copy Source must mention the source bucket and key');
  return { bucket: match[1] ?? '', key: match[2] ?? '', versionId };
}

/**
 * Finds the object to copy and checks the `x-amz-copy-source-if-…` conditions.
 *
 * @throws S3Error `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`, `InvalidRequest` or `PreconditionFailed`
 */
export function getCopySource(call: Call): ObjectVersion {
  const { bucket, key, versionId } = parseCopySource(call);
  const source = getSourceObject(call, bucket, key, versionId);
  const condition = (name: string) => header(call, `x-amz-copy-source-if-${name}`);
  const ifMatch = condition('match');
  const ifNoneMatch = condition('none-match');
  const modifiedSince = Date.parse(condition('modified-since') ?? '');
  const unmodifiedSince = Date.parse(condition('unmodified-since') ?? '');
  const isRefused =
    (ifMatch !== undefined && !etagMatches(ifMatch, source.etag)) ||
    (ifNoneMatch !== undefined && etagMatches(ifNoneMatch, source.etag)) ||
    source.lastModifiedMs <= modifiedSince ||
    (ifMatch === undefined && source.lastModifiedMs > unmodifiedSince);
  if (isRefused) throw new S3Error('PreconditionFailed');
  return source;
}

function getSourceObject(
  call: Call,
  bucket: string,
  key: string,
  versionId: string | undefined,
): ObjectVersion {
  try {
    return call.store.getObject(bucket, key, versionId);
  } catch (error) {
    if (error instanceof S3Error && error.code === 'MethodNotAllowed') {
      throw new S3Error(
        'InvalidRequest',
        'The source of a copy request may not specifically refer to a delete marker by version id.',
      );
    }
    throw error;
  }
}
