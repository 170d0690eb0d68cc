/**
 * {@link ObjectStore} on S3.
 *
 * - Bodies that break off midway are fetched on from the last good byte, so that a range that takes minutes to render
 *   into an upload survives a dropped connection.
 * - Objects written through {@link ObjectStore.openWrite} become visible in one step: one PutObject for what fits into
 *   one part, else a multipart upload. Parts grow (see {@link partBytesOf}); three buffers of one part are all the
 *   memory that a writer takes.
 */
import { setTimeout as delay } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { BatchdropError, ObjectGoneError } from '../core/errors.ts';
import type { ObjectHead, SourceObject } from '../core/model.ts';
import type { ByteStream, ObjectStore, ObjectWriter } from '../core/ports.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Sizes at which S3 asks for another call. A test may pass smaller ones. */
export interface S3Sizes {
  /** The first part of a multipart upload. */
  firstPartBytes: number;
  /** The largest object that CopyObject copies. */
  copyObjectBytes: number;
  /** One UploadPartCopy. */
  copyPartBytes: number;
}

/**
 * CopyObject copies up to 5 GB (5,368,709,120 bytes); a part has 5 MiB to 5 GiB and an upload at most 10,000 of them.
 * Source: S3 User Guide, "Amazon S3 multipart upload limits"; API reference, CopyObject.
 */
export const S3_SIZES: S3Sizes = { firstPartBytes: 8 * MIB, copyObjectBytes: 5 * GIB, copyPartBytes: GIB };

/** Source: S3 User Guide, "Amazon S3 multipart upload limits". */
const MAX_PARTS = 10_000;

const MAX_PARTS_IN_FLIGHT = 2;
const MAX_COPIES_IN_FLIGHT = 4;

/** How often a body may break off, counted anew each time that {@link RESUME_PROGRESS_BYTES} came through. */
const MAX_RESUMES = 5;
const RESUME_PROGRESS_BYTES = 8 * MIB;

/** How often a conditional write that ran into another one is sent; waits 50, 100, 200 and 400 ms between. */
const MAX_CONDITIONAL_PUTS = 5;
const CONDITIONAL_PUT_DELAY_MS = 50;

/**
 * Size of a part by its number, which begins at 1: the first thousand parts have `firstPartBytes`, each next thousand
 * twice as much. With 8 MiB, 10,000 parts hold 7.8 TiB, which is beyond the 5 TB that one object may have, and what
 * a writer keeps in memory stays at 24 MiB up to 8 GB, at 96 MiB up to 58 GB.
 */
export function partBytesOf(partNumber: number, firstPartBytes: number): number {
  return firstPartBytes * 2 ** Math.floor((partNumber - 1) / 1000);
}

/** Cuts `size` bytes into ranges (`end` exclusive) of `partBytes`, or of more where 10,000 ranges would not do. */
export function copyRangesOf(size: number, partBytes: number): { start: number; end: number }[] {
  const step = Math.max(partBytes, Math.ceil(size / MAX_PARTS));
  const ranges: { start: number; end: number }[] = [];
  for (let start = 0; start < size; start += step) ranges.push({ start, end: Math.min(start + step, size) });
  return ranges;
}

export class S3Objects implements ObjectStore {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #sizes: S3Sizes;

  /** @param names `bucket`: where everything is that is addressed by key alone. */
  constructor(client: S3Client, names: { bucket: string }, sizes: S3Sizes = S3_SIZES) {
    this.#client = client;
    this.#bucket = names.bucket;
    this.#sizes = sizes;
  }

  async head(bucket: string, key: string, versionId?: string): Promise<ObjectHead | undefined> {
    try {
      const head = await this.#client.send(
        new HeadObjectCommand({
          Bucket: bucket,
          Key: key,
          ...(versionId === undefined ? {} : { VersionId: versionId }),
        }),
      );
      // A bucket whose versioning was suspended calls the version that the next write replaces "null".
      const version = head.VersionId === undefined || head.VersionId === 'null' ? undefined : head.VersionId;
      return {
        bucket,
        key,
        ...(version === undefined ? {} : { versionId: version }),
        etag: head.ETag ?? '',
        lastModified: head.LastModified?.getTime() ?? 0,
        size: head.ContentLength ?? 0,
      };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
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
          ...(source.versionId === undefined ? {} : { VersionId: source.versionId }),
          ...(whole ? {} : { Range: `bytes=${from}-${to === undefined ? '' : to - 1}` }),
          ...(etag === undefined ? {} : { IfMatch: etag }),
        }),
      );
    };
    const openOrGone: OpenRange = async (from, to, etag) => {
      try {
        const { Body, ContentLength, ETag } = await open(from, to, etag);
        return {
          body: Body as unknown as NodeBody,
          bytes: ContentLength ?? 0,
          ...(ETag === undefined ? {} : { etag: ETag }),
        };
      } catch (error) {
        if (isMissing(error) || (etag !== undefined && statusOf(error) === 412)) {
          throw goneError(source, error);
        }
        throw error;
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
      for await (const chunk of await this.read({ bucket: this.#bucket, key })) chunks.push(chunk);
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
      ...(options.contentType === undefined ? {} : { ContentType: options.contentType }),
      ...(options.ifAbsent ? { IfNoneMatch: '*' } : {}),
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
        await delay(CONDITIONAL_PUT_DELAY_MS * 2 ** (attempt - 1));
      }
    }
  }

  openWrite(key: string, options: { contentType?: string } = {}): ObjectWriter {
    return new S3ObjectWriter(this.#client, {
      bucket: this.#bucket,
      key,
      firstPartBytes: this.#sizes.firstPartBytes,
      ...(options.contentType === undefined ? {} : { contentType: options.contentType }),
    });
  }

  /** @throws {ObjectGoneError} if the object is not as it stood at `input.etag` any more. */
  async pin(input: ObjectHead, toKey: string): Promise<void> {
    try {
      if (input.size > this.#sizes.copyObjectBytes) await this.#pinInParts(input, toKey);
      else {
        await this.#client.send(
          new CopyObjectCommand({
            Bucket: this.#bucket,
            Key: toKey,
            CopySource: copySourceOf(input),
            CopySourceIfMatch: input.etag,
            // Tags would need rights of their own, and a lifecycle rule on one might catch the copy.
            TaggingDirective: 'REPLACE',
          }),
        );
      }
    } catch (error) {
      if (isMissing(error) || statusOf(error) === 412) throw goneError(input, error);
      throw error;
    }
  }

  async remove(key: string): Promise<void> {
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: key }));
  }

  async #pinInParts(input: ObjectHead, toKey: string): Promise<void> {
    const target = { Bucket: this.#bucket, Key: toKey };
    const { UploadId } = await this.#client.send(new CreateMultipartUploadCommand(target));
    const parts: CompletedPart[] = [];
    const ranges = copyRangesOf(input.size, this.#sizes.copyPartBytes).entries();
    let failed = false;
    const copyRanges = async () => {
      // One iterator serves all copiers: each takes the next range that nobody has.
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

/** What the SDK's node handler gives as a body. */
type NodeBody = AsyncIterable<Uint8Array> & { destroy(): void };

interface OpenedRange {
  body: NodeBody;
  bytes: number;
  etag?: string;
}

/** Opens bytes `from` to `to` (exclusive); with `etag`, only if the object still has it. */
type OpenRange = (from: number, to: number | undefined, etag: string | undefined) => Promise<OpenedRange>;

/** One range of one object as a stream that fetches on after a break. Lets go of the connection when dropped. */
class ResumingBody implements AsyncIterableIterator<Uint8Array> {
  readonly #open: OpenRange;
  readonly #end: number;
  readonly #etag: string | undefined;
  #body: NodeBody;
  #chunks: AsyncIterator<Uint8Array>;
  #position: number;
  #resumes = 0;
  #lastBreakAt: number;
  #isDone = false;

  constructor(open: OpenRange, start: number, first: OpenedRange) {
    this.#open = open;
    this.#position = start;
    this.#lastBreakAt = start;
    this.#end = start + first.bytes;
    this.#etag = first.etag;
    this.#body = first.body;
    this.#chunks = first.body[Symbol.asyncIterator]();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    while (!this.#isDone) {
      let cause: unknown;
      try {
        const result = await this.#chunks.next();
        if (!result.done) {
          this.#position += result.value.length;
          return result;
        }
        if (this.#position === this.#end) break;
      } catch (error) {
        // All bytes came and the stream still failed: its checksum is wrong.
        if (this.#position >= this.#end) return this.#fail(error);
        cause = error;
      }
      try {
        await this.#resume(cause);
      } catch (error) {
        return this.#fail(error);
      }
    }
    return this.return();
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#isDone = true;
    this.#body.destroy();
    return { done: true, value: undefined };
  }

  #fail(error: unknown): never {
    this.#isDone = true;
    this.#body.destroy();
    throw error;
  }

  async #resume(cause: unknown): Promise<void> {
    this.#body.destroy();
    if (this.#position - this.#lastBreakAt >= RESUME_PROGRESS_BYTES) this.#resumes = 0;
    this.#lastBreakAt = this.#position;
    if (this.#resumes === MAX_RESUMES) {
      throw new BatchdropError(
        `reading from S3 broke off ${MAX_RESUMES + 1} times, last after byte ${this.#position} of ${this.#end}`,
        { cause },
      );
    }
    this.#resumes += 1;
    const { body } = await this.#open(this.#position, this.#end, this.#etag);
    this.#body = body;
    this.#chunks = body[Symbol.asyncIterator]();
  }
}

class S3ObjectWriter implements ObjectWriter {
  readonly #client: S3Client;
  readonly #target: { Bucket: string; Key: string };
  readonly #contentType: { ContentType?: string };
  readonly #firstPartBytes: number;
  readonly #parts: CompletedPart[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  /** Buffers of the present part size that no upload uses any more. */
  #free: Buffer[] = [];
  #buffer: Buffer;
  #used = 0;
  #bytes = 0;
  #partNumber = 1;
  #uploadId: string | undefined;
  #failure: { error: unknown } | undefined;
  #state: 'open' | 'closed' | 'aborted' = 'open';

  constructor(
    client: S3Client,
    options: { bucket: string; key: string; firstPartBytes: number; contentType?: string },
  ) {
    this.#client = client;
    this.#target = { Bucket: options.bucket, Key: options.key };
    this.#contentType = options.contentType === undefined ? {} : { ContentType: options.contentType };
    this.#firstPartBytes = options.firstPartBytes;
    this.#buffer = Buffer.allocUnsafeSlow(options.firstPartBytes);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    try {
      let taken = 0;
      while (taken < bytes.length) {
        // A full buffer is sent only when more follows: what fits into one part needs no multipart upload.
        if (this.#used === this.#buffer.length) await this.#sendPart();
        const chunk = bytes.subarray(taken, taken + this.#buffer.length - this.#used);
        this.#buffer.set(chunk, this.#used);
        this.#used += chunk.length;
        taken += chunk.length;
      }
      this.#bytes += bytes.length;
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async close(): Promise<number> {
    this.#assertOpen();
    try {
      if (this.#uploadId === undefined) {
        await this.#client.send(
          new PutObjectCommand({
            ...this.#target,
            ...this.#contentType,
            Body: this.#buffer.subarray(0, this.#used),
          }),
        );
      } else {
        await this.#sendPart();
        await Promise.all(this.#inFlight);
        this.#throwFailure();
        await this.#client.send(
          new CompleteMultipartUploadCommand({
            ...this.#target,
            UploadId: this.#uploadId,
            MultipartUpload: { Parts: this.#parts },
          }),
        );
      }
    } catch (error) {
      await this.abort();
      throw error;
    }
    this.#state = 'closed';
    return this.#bytes;
  }

  async abort(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'aborted';
    // A part that lands after the abort would stay and be paid for.
    await Promise.all(this.#inFlight);
    if (this.#uploadId !== undefined) {
      await abortUpload(this.#client, { ...this.#target, UploadId: this.#uploadId });
    }
  }

  async #sendPart(): Promise<void> {
    this.#throwFailure();
    if (this.#partNumber > MAX_PARTS) {
      throw new BatchdropError(
        `s3://${this.#target.Bucket}/${this.#target.Key} needs more than ${MAX_PARTS} parts: it is larger than an ` +
          'S3 object can be',
      );
    }
    if (this.#uploadId === undefined) {
      const created = await this.#client.send(
        new CreateMultipartUploadCommand({ ...this.#target, ...this.#contentType }),
      );
      this.#uploadId = created.UploadId!;
    }
    while (this.#inFlight.size >= MAX_PARTS_IN_FLIGHT) await Promise.race(this.#inFlight);
    this.#throwFailure();
    const sent = this.#uploadPart(this.#partNumber, this.#buffer, this.#used, this.#uploadId);
    this.#inFlight.add(sent);
    void sent.then(() => this.#inFlight.delete(sent));
    this.#partNumber += 1;
    this.#used = 0;
    const partBytes = partBytesOf(this.#partNumber, this.#firstPartBytes);
    this.#free = this.#free.filter((buffer) => buffer.length === partBytes);
    this.#buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(partBytes);
  }

  /** Never rejects: what went wrong is kept for the next call. */
  async #uploadPart(number: number, buffer: Buffer, used: number, uploadId: string): Promise<void> {
    try {
      const uploaded = await this.#client.send(
        new UploadPartCommand({
          ...this.#target,
          UploadId: uploadId,
          PartNumber: number,
          Body: buffer.subarray(0, used),
        }),
      );
      this.#parts[number - 1] = completedPart(number, uploaded);
      this.#free.push(buffer);
    } catch (error) {
      this.#failure ??= { error };
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #assertOpen(): void {
    if (this.#state !== 'open') {
      this.#throwFailure();
      throw new BatchdropError(
        `s3://${this.#target.Bucket}/${this.#target.Key}: the writer is ${this.#state} already`,
      );
    }
  }
}

/** The entry of a part in CompleteMultipartUpload: what S3 said of it, with the checksum if there is one. */
function completedPart(
  number: number,
  said: { ETag?: string | undefined; ChecksumCRC32?: string | undefined },
): CompletedPart {
  return {
    PartNumber: number,
    ETag: said.ETag,
    ...(said.ChecksumCRC32 === undefined ? {} : { ChecksumCRC32: said.ChecksumCRC32 }),
  };
}

/** Gives up an upload. If even this fails, the bucket's lifecycle rule for incomplete uploads cleans up. */
async function abortUpload(
  client: S3Client,
  upload: { Bucket: string; Key: string; UploadId: string | undefined },
): Promise<void> {
  try {
    await client.send(new AbortMultipartUploadCommand(upload));
  } catch {
    // The error that led here is the one to be told.
  }
}

/** `x-amz-copy-source`: the path percent-encoded by segment. Source: S3 API reference, CopyObject. */
function copySourceOf(source: SourceObject): string {
  const path = `${source.bucket}/${source.key}`.split('/').map(encodeURIComponent).join('/');
  return source.versionId === undefined ? path : `${path}?versionId=${encodeURIComponent(source.versionId)}`;
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/**
 * Whether S3 says that there is no such object or version. A HEAD has no body, so its 404 carries no code. 405 is the
 * answer for a version that is a delete marker (S3 User Guide, "Working with delete markers").
 */
function isMissing(error: unknown): boolean {
  if (!(error instanceof S3ServiceException)) return false;
  if (error.name === 'NoSuchKey' || error.name === 'NoSuchVersion' || error.name === 'NotFound') return true;
  return statusOf(error) === 405;
}

function goneError(source: SourceObject, cause: unknown): ObjectGoneError {
  const version = source.versionId === undefined ? '' : ` (version ${source.versionId})`;
  return new ObjectGoneError(
    `s3://${source.bucket}/${source.key}${version} is gone or was replaced while it was being processed; drop it again`,
    { cause },
  );
}

async function* emptyStream(): AsyncGenerator<Uint8Array> {}
