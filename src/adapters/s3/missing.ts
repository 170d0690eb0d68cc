/**
 * Objects that may be missing. To a caller who may not list its whole bucket S3 answers 403 in place of 404 for a missing
 * object (S3 API reference, GetObject and HeadObject, "Permissions"), and the functions may list prefixes only: whether a
 * read of one key counts as a listing of its prefix is not documented. A listing of that one key, which is allowed, says
 * which it is.
 */
import { ListObjectsV2Command, ListObjectVersionsCommand, type S3Client } from '@aws-sdk/client-s3';
import type { SourceObject } from '../../core/model/objects.ts';
import { decodeKey } from './listing.ts';
import { isMissing, MissingObjectError, mayHideMissing, statusOf } from './requests.ts';

/**
 * Sends a request about an object.
 *
 * @throws an error of which {@link isMissing} says so, if S3 has no such object or version; what S3 says otherwise
 */
export async function findingMissing<Answer>(
  client: S3Client,
  source: SourceObject,
  send: () => Promise<Answer>,
): Promise<Answer> {
  try {
    return await send();
  } catch (error) {
    if (isMissing(error) || !mayHideMissing(error)) throw error;
    if (!(await isListed(client, source))) throw new MissingObjectError(source, error);
  }
  // It has come in between, or may really not be read.
  return send();
}

/** Whether the bucket has the object or version; `true` if that cannot be seen. */
async function isListed(client: S3Client, source: SourceObject): Promise<boolean> {
  try {
    return await (source.versionId === undefined
      ? isKeyListed(client, source)
      : isVersionListed(client, source));
  } catch (error) {
    if (statusOf(error) === 403) return true;
    throw error;
  }
}

async function isKeyListed(client: S3Client, { bucket: Bucket, key }: SourceObject): Promise<boolean> {
  // The first key that begins with it is the key itself. XML cannot carry every character that a key may have.
  const { Contents = [] } = await client.send(
    new ListObjectsV2Command({ Bucket, Prefix: key, MaxKeys: 1, EncodingType: 'url' }),
  );
  return Contents.some(({ Key }) => decodeKey(Key) === key);
}

async function isVersionListed(
  client: S3Client,
  { bucket: Bucket, key, versionId }: SourceObject,
): Promise<boolean> {
  let after: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {};
  for (;;) {
    const page = await client.send(
      new ListObjectVersionsCommand({ Bucket, Prefix: key, EncodingType: 'url', ...after }),
    );
    const ofKey = (page.Versions ?? []).filter(({ Key }) => decodeKey(Key) === key);
    if (ofKey.some(({ VersionId }) => VersionId === versionId)) return true;
    // Other keys that begin with this one come after it.
    if (!page.IsTruncated || decodeKey(page.NextKeyMarker) !== key) return false;
    after = { KeyMarker: key, VersionIdMarker: page.NextVersionIdMarker };
  }
}
