import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { OWNERS_KEY } from '../../contract/prefix-owners.ts';
import type { OwnersStore } from '../../core/ports/objects.ts';
import { findingMissing } from './missing.ts';
import { isMissing, statusOf } from './requests.ts';

/**
 * How long a write may take in all, retries included. A takeover takes effect two minutes after it was decided, by
 * when it must be written: see `HANDOVER_MS`.
 */
const WRITE_MS = 20_000;

/** {@link OwnersStore} at `.batchdrop/owners.json` of a bucket. */
export class S3Owners implements OwnersStore {
  readonly #client: S3Client;
  readonly #object: { Bucket: string; Key: string };

  constructor(client: S3Client, names: { bucket: string }) {
    this.#client = client;
    this.#object = { Bucket: names.bucket, Key: OWNERS_KEY };
  }

  async readOwners(): Promise<{ body: string; etag: string } | undefined> {
    try {
      const { Bucket: bucket, Key: key } = this.#object;
      const { Body, ETag } = await findingMissing(this.#client, { bucket, key }, () =>
        this.#client.send(new GetObjectCommand(this.#object)),
      );
      return { body: await Body!.transformToString(), etag: ETag! };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async writeOwners(body: string, etag: string | undefined): Promise<boolean> {
    try {
      await this.#client.send(
        new PutObjectCommand({
          ...this.#object,
          Body: body,
          ContentType: 'application/json',
          IfNoneMatch: etag === undefined ? '*' : undefined,
          IfMatch: etag,
        }),
        { abortSignal: AbortSignal.timeout(WRITE_MS) },
      );
      return true;
    } catch (error) {
      // 412: it is another one. 409: another write is under way. 404: it was removed.
      // S3 User Guide, "Prevent object overwrites with conditional writes".
      if ([404, 409, 412].includes(statusOf(error) ?? 0)) return false;
      throw error;
    }
  }
}
