/**
 * {@link ObjectStore} and {@link Inputs} on S3.
 *
 * - Bodies that break off midway are fetched on from the last good byte, so that a range that takes minutes to render
 *   into an upload survives a dropped connection.
 * - Objects written through {@link ObjectStore.openWrite} become visible in one step: see {@link S3ObjectWriter}.
 */
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { type Backoff, waitAfter } from '../../core/base/backoff.ts';
import { defined } from '../../core/base/defined.ts';
import { BatchdropError, ObjectGoneError } from '../../core/base/errors.ts';
import type { KeyVersion, ListCursor, ObjectHead, SourceObject } from '../../core/model/objects.ts';
import type {
  ByteStream,
  Inputs,
  ObjectStore,
  ObjectWriter,
  WorkFiles,
  WriterState,
} from '../../core/ports/objects.ts';
import { decodeKey, keyVersionsOf, versionOf, wholeSeconds } from './listing.ts';
import { findingMissing } from './missing.ts';
import { S3ObjectWriter } from './object-writer.ts';
import { PartBuffers } from './part-buffers.ts';
import {
  abortUpload,
  completedPart,
  copySourceOf,
  goneError,
  isMissing,
  statusOf,
  unreadableError,
} from './requests.ts';
import { type OpenRange, ResumingBody } from './resuming-body.ts';
import { copyRangesOf, MAX_COPIES_IN_FLIGHT, S3_SIZES, type S3Sizes } from './sizes.ts';

/** Entries of a page of one key's versions: most keys have one or two. */
const KEY_PAGE = 50;

/** How often a conditional write that ran into another one is sent; waits 50, 100, 200 and 400 ms between. */
const MAX_CONDITIONAL_PUTS = 5;
const CONDITIONAL_PUT_BACKOFF: Backoff = { firstMs: 50, maxMs: 400 };

export class S3Objects implements ObjectStore, Inputs, WorkFiles {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #sizes: S3Sizes;
  readonly #buffers = new PartBuffers();

  /** @param names `bucket`: where everything is that is addressed by key alone. */
  constructor(client: S3Client, names: { bucket: string }, sizes: S3Sizes = S3_SIZES) {
    this.#client = client;
    this.#bucket = names.bucket;
    this.#sizes = sizes;
  }

  async head(bucket: string, key: string, versionId?: string): Promise<ObjectHead | undefined> {
    try {
      const source = { bucket, key, ...versionOf(versionId) };
      const head = await findingMissing(this.#client, source, () =>
        this.#client.send(new HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: versionId })),
      );
      return {
        bucket,
        key,
        ...versionOf(head.VersionId),
        etag: head.ETag ?? '',
        lastModified: head.LastModified?.getTime() ?? 0,
        size: head.ContentLength ?? 0,
        metadata: Object.keys(head.Metadata ?? {}).length === 0 ? undefined : head.Metadata,
      };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw unreadableError({ bucket, key }, error, true) ?? error;
    }
  }

  async read(source: SourceObject, start = 0, end?: number): Promise<ByteStream> {
    if (end !== undefined && end <= start) return emptyStream();
    const open = async (from: number, to: number | undefined, etag: string | undefined) => {
      const whole = from === 0 && to === undefined;
      return this.#client.send(
        new GetObjectCommand({
          Bucket: source.bucket,
          Key: source.key,
          VersionId: source.versionId,
          Range: whole ? undefined : `bytes=${from}-${to === undefined ? '' : to - 1}`,
          IfMatch: etag,
        }),
      );
    };
    const openOrGone: OpenRange = async (from, to, etag) => {
      try {
        const { Body, ContentLength, ETag } = await findingMissing(this.#client, source, () =>
          open(from, to, etag),
        );
        return {
          body: Body as Readable,
          bytes: ContentLength ?? 0,
          etag: ETag,
        };
      } catch (error) {
        if (isMissing(error) || (etag !== undefined && statusOf(error) === 412)) {
          throw goneError(source, error);
        }
        throw unreadableError(source, error) ?? error;
      }
    };
    try {
      return new ResumingBody(openOrGone, start, await openOrGone(start, end, undefined));
    } catch (error) {
      // The range begins at the end of the object or beyond: there is nothing to read.
      if (statusOf(error) === 416) return emptyStream();
      throw error;
    }
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const chunks: Uint8Array[] = [];
    try {
      for await (const chunk of await this.read({ bucket: this.#bucket, key }))
        chunks.push(new Uint8Array(chunk));
    } catch (error) {
      if (error instanceof ObjectGoneError) return undefined;
      throw error;
    }
    return new Uint8Array(Buffer.concat(chunks));
  }

  async put(
    key: string,
    body: Uint8Array,
    options: { ifAbsent?: boolean; contentType?: string } = {},
  ): Promise<boolean> {
    const command = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      Body: body,
      ContentType: options.contentType,
      IfNoneMatch: options.ifAbsent ? '*' : undefined,
    });
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#client.send(command);
        return true;
      } catch (error) {
        if (!options.ifAbsent) throw error;
        if (statusOf(error) === 412) return false;
        // ConditionalRequestConflict: another write or a delete of this key was under way, neither has won yet.
        // S3 User Guide, "Prevent object overwrites with conditional writes": send it again.
        if (statusOf(error) !== 409 || attempt === MAX_CONDITIONAL_PUTS) throw error;
        await delay(waitAfter(CONDITIONAL_PUT_BACKOFF, attempt));
      }
    }
  }

  openWrite(
    key: string,
    options: { contentType?: string; resume?: WriterState | undefined } = {},
  ): ObjectWriter {
    return new S3ObjectWriter(this.#client, {
      read: (...range) => this.read(...range),
      bucket: this.#bucket,
      key,
      sizes: this.#sizes,
      buffers: this.#buffers,
      ...options,
    });
  }

  /** @throws {ObjectGoneError} if the object no longer has the ETag `input.etag`. */
  async pin(input: ObjectHead, toKey: string): Promise<void> {
    try {
      if (input.size > this.#sizes.copyObjectBytes) await this.#pinInParts(input, toKey);
      else {
        const copy = new CopyObjectCommand({
          Bucket: this.#bucket,
          Key: toKey,
          CopySource: copySourceOf(input),
          CopySourceIfMatch: input.etag,
          // Tags would need rights of their own, and a lifecycle rule on one might catch the copy.
          TaggingDirective: 'REPLACE',
        });
        await findingMissing(this.#client, input, () => this.#client.send(copy));
      }
    } catch (error) {
      if (isMissing(error) || statusOf(error) === 412) throw goneError(input, error);
      throw unreadableError(input, error) ?? error;
    }
  }

  async remove(key: string): Promise<void> {
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: key }));
  }

  async removeBelow(prefix: string): Promise<boolean> {
    const { Contents = [], IsTruncated } = await this.#client.send(
      // XML cannot carry every character that a key may have.
      new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: prefix, EncodingType: 'url' }),
    );
    if (Contents.length === 0) return true;
    const Objects = Contents.map(({ Key }) => ({ Key: decodeKey(Key) }));
    const { Errors = [] } = await this.#client.send(
      new DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects, Quiet: true } }),
    );
    const [first] = Errors;
    if (first !== undefined)
      throw new BatchdropError(
        `${Errors.length} of ${Objects.length} objects below ${prefix} were not removed: ${first.Code}, ${first.Message}`,
      );
    return IsTruncated !== true;
  }

  async listBelow(prefix: string): Promise<string[]> {
    const keys: string[] = [];
    let after: string | undefined;
    do {
      const page: ListObjectsV2CommandOutput = await this.#client.send(
        new ListObjectsV2Command({
          Bucket: this.#bucket,
          Prefix: prefix,
          EncodingType: 'url',
          ContinuationToken: after,
        }),
      );
      keys.push(...(page.Contents ?? []).map(({ Key }) => decodeKey(Key)));
      after = page.NextContinuationToken;
    } while (after !== undefined);
    return keys;
  }

  async listVersions(
    prefix: string,
    after?: ListCursor,
  ): Promise<{ versions: ObjectHead[]; next?: ListCursor }> {
    const page = await this.#client.send(
      new ListObjectVersionsCommand({
        Bucket: this.#bucket,
        Prefix: prefix,
        // XML cannot carry every character that a key may have.
        EncodingType: 'url',
        KeyMarker: after?.key,
        VersionIdMarker: after?.versionId,
      }),
    );
    const versions = (page.Versions ?? [])
      // One without an id that newer versions hide cannot be asked for.
      .filter(({ VersionId, IsLatest }) => IsLatest || versionOf(VersionId).versionId !== undefined)
      .map(
        ({ Key, VersionId, ETag, LastModified, Size }): ObjectHead => ({
          bucket: this.#bucket,
          key: decodeKey(Key),
          ...versionOf(VersionId),
          etag: ETag ?? '',
          lastModified: wholeSeconds(LastModified),
          size: Size ?? 0,
        }),
      );
    if (!page.IsTruncated) return { versions };
    const { NextVersionIdMarker } = page;
    const next = defined<ListCursor>({
      key: decodeKey(page.NextKeyMarker),
      versionId: NextVersionIdMarker,
    });
    return { versions, next };
  }

  async listKey(key: string, after?: ListCursor): Promise<{ versions: KeyVersion[]; next?: ListCursor }> {
    const page = await this.#client.send(
      new ListObjectVersionsCommand({
        Bucket: this.#bucket,
        Prefix: key,
        MaxKeys: KEY_PAGE,
        EncodingType: 'url',
        KeyMarker: after?.key,
        VersionIdMarker: after?.versionId,
      }),
    );
    const versions = keyVersionsOf(page, this.#bucket, key);
    // Other keys that begin with this one come after it.
    if (!page.IsTruncated || decodeKey(page.NextKeyMarker) !== key || page.NextVersionIdMarker === undefined)
      return { versions };
    return { versions, next: { key, versionId: page.NextVersionIdMarker } };
  }

  async #pinInParts(input: ObjectHead, toKey: string): Promise<void> {
    const target = { Bucket: this.#bucket, Key: toKey };
    const { UploadId } = await this.#client.send(new CreateMultipartUploadCommand(target));
    const parts: CompletedPart[] = [];
    const ranges = copyRangesOf(input.size, this.#sizes.copyPartBytes).entries();
    let failed = false;
    const copyRanges = async () => {
      // One iterator serves all copiers: each takes the next free range.
      for (const [index, { start, end }] of ranges) {
        if (failed) return;
        try {
          const { CopyPartResult } = await this.#client.send(
            new UploadPartCopyCommand({
              ...target,
              UploadId,
              PartNumber: index + 1,
              CopySource: copySourceOf(input),
              CopySourceIfMatch: input.etag,
              CopySourceRange: `bytes=${start}-${end - 1}`,
            }),
          );
          parts[index] = completedPart(index + 1, CopyPartResult ?? {});
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    const copiers = await Promise.allSettled(Array.from({ length: MAX_COPIES_IN_FLIGHT }, copyRanges));
    try {
      for (const copier of copiers) if (copier.status === 'rejected') throw copier.reason;
      await this.#client.send(
        new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts: parts } }),
      );
    } catch (error) {
      await abortUpload(this.#client, { ...target, UploadId });
      throw error;
    }
  }
}

async function* emptyStream(): AsyncGenerator<Uint8Array> {}
