import {
  type DeletedObject,
  DeleteObjectsCommand,
  ListObjectVersionsCommand,
  type ObjectIdentifier,
  type S3Client,
} from '@aws-sdk/client-s3';
import { BatchdropError } from '../../core/base/errors.ts';
import type { ErasableVersion, Erasure } from '../../core/ports/objects.ts';
import { decodeKey } from './listing.ts';

/** Objects of one request at the most. Source: S3 API reference, DeleteObjects. */
const MAX_DELETES = 1_000;
/** What S3 calls the version of an object that was put without versioning. */
const NULL_VERSION = 'null';
/**
 * What S3 says where a condition does not hold, because another object is there by now, or none. Source: S3 user guide,
 * "How to perform conditional deletes".
 */
const CHANGED = new Set(['PreconditionFailed', 'NoSuchKey', 'NotFound']);

/** {@link Erasure} on S3. Nothing of what it removes is kept as an older version. */
export class S3Erasure implements Erasure {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor(client: S3Client, names: { bucket: string }) {
    this.#client = client;
    this.#bucket = names.bucket;
  }

  async eraseVersions(key: string, versions: readonly ErasableVersion[]): Promise<number> {
    let erased = 0;
    for (let start = 0; start < versions.length; start += MAX_DELETES) {
      const page = versions.slice(start, start + MAX_DELETES);
      const deleted = await this.#erase(page.map((version) => identifierOf(key, version)));
      erased += deleted.length;
      await this.#eraseHidden(key, deleted);
    }
    return erased;
  }

  /**
   * A condition cannot be put together with a version id (S3 answers 501), so what has none was deleted as a bucket
   * without versioning has it. One that has versioning by now has hidden the object behind a delete marker instead.
   */
  async #eraseHidden(key: string, deleted: readonly DeletedObject[]): Promise<void> {
    const marker = deleted.find(({ VersionId, DeleteMarker }) => VersionId === undefined && DeleteMarker);
    // While versioning is suspended, the marker has replaced the object.
    if (marker === undefined || marker.DeleteMarkerVersionId === NULL_VERSION) return;
    const hidden = [NULL_VERSION, marker.DeleteMarkerVersionId];
    await this.#erase(hidden.map((VersionId) => ({ Key: key, VersionId })));
  }

  async eraseBelow(prefix: string): Promise<{ erased: number; isEmpty: boolean }> {
    const page = await this.#client.send(
      // XML cannot carry every character that a key may have.
      new ListObjectVersionsCommand({ Bucket: this.#bucket, Prefix: prefix, EncodingType: 'url' }),
    );
    const objects = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].map(({ Key, VersionId }) => ({
      Key: decodeKey(Key),
      VersionId: VersionId ?? NULL_VERSION,
    }));
    if (objects.length > 0) await this.#erase(objects);
    return { erased: objects.length, isEmpty: page.IsTruncated !== true };
  }

  async #erase(objects: ObjectIdentifier[]): Promise<DeletedObject[]> {
    const { Deleted = [], Errors = [] } = await this.#client.send(
      new DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects: objects } }),
    );
    const failed = Errors.filter(({ Code = '' }) => !CHANGED.has(Code));
    const [first] = failed;
    if (first === undefined) return Deleted;
    throw new BatchdropError(
      `${failed.length} of ${objects.length} versions were not removed, ${first.Key} first: ${first.Code}, ${first.Message}`,
    );
  }
}

/** Without a version id, another writer may replace what is the latest: then its ETag is another one. */
function identifierOf(Key: string, { versionId, etag, isLatest }: ErasableVersion): ObjectIdentifier {
  if (versionId !== undefined) return { Key, VersionId: versionId };
  return isLatest ? { Key, ETag: etag } : { Key, VersionId: NULL_VERSION };
}
