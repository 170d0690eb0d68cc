import {
  DeleteObjectsCommand,
  ListObjectVersionsCommand,
  type ObjectIdentifier,
  type S3Client,
} from '@aws-sdk/client-s3';
import { BatchdropError } from '../../core/base/errors.ts';
import type { Erasure } from '../../core/ports/objects.ts';
import { decodeKey } from './listing.ts';

/** Objects of one request at the most. Source: S3 API reference, DeleteObjects. */
const MAX_DELETES = 1_000;
/** What S3 calls the version of an object that was put without versioning. */
const NULL_VERSION = 'null';

/** {@link Erasure} on S3. Nothing of what it removes is kept as an older version. */
export class S3Erasure implements Erasure {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor(client: S3Client, names: { bucket: string }) {
    this.#client = client;
    this.#bucket = names.bucket;
  }

  async eraseVersions(key: string, versionIds: readonly (string | undefined)[]): Promise<void> {
    for (let start = 0; start < versionIds.length; start += MAX_DELETES) {
      const page = versionIds.slice(start, start + MAX_DELETES);
      await this.#erase(page.map((versionId) => ({ Key: key, VersionId: versionId ?? NULL_VERSION })));
    }
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

  async #erase(objects: ObjectIdentifier[]): Promise<void> {
    const { Errors = [] } = await this.#client.send(
      new DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects: objects, Quiet: true } }),
    );
    const [first] = Errors;
    if (first === undefined) return;
    throw new BatchdropError(
      `${Errors.length} of ${objects.length} versions were not removed, ${first.Key} first: ${first.Code}, ${first.Message}`,
    );
  }
}
