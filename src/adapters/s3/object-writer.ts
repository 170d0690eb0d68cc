/**
 * {@link ObjectWriter} on S3: one PutObject for what fits into one part, else a multipart upload. Parts grow (see
 * {@link partBytesOf}); three buffers of one part are all the memory that a writer takes.
 *
 * Two writers that resume one state (a worker that was thought dead) send parts of the same numbers. The last one
 * of a number counts, and completing names each part by its ETag, so the object is what one of them wrote, or
 * completing fails with {@link UploadGoneError}: never a mixture.
 */
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { BatchdropError, CorruptWorkFileError, UploadGoneError } from '../../core/base/errors.ts';
import type { SourceObject } from '../../core/model/objects.ts';
import type { ObjectStore, ObjectWriter, WriterState } from '../../core/ports/objects.ts';
import { findingMissing } from './missing.ts';
import type { PartBuffers } from './part-buffers.ts';
import { abortUpload, completedPart, copySourceOf, errorNameOf, goneError, isMissing } from './requests.ts';
import { MAX_COPIES_IN_FLIGHT, MAX_PARTS, partBytesOf, type S3Sizes } from './sizes.ts';

const MAX_PARTS_IN_FLIGHT = 2;

/** S3's answers to a part or a completion whose upload is not there any more, or not as it was left. */
const GONE: ReadonlySet<string> = new Set(['NoSuchUpload', 'InvalidPart']);

export class S3ObjectWriter implements ObjectWriter {
  readonly #client: S3Client;
  readonly #read: ObjectStore['read'];
  readonly #target: { Bucket: string; Key: string };
  readonly #contentType: { ContentType?: string };
  readonly #sizes: S3Sizes;
  /** A state that names the upload is kept somewhere: a failure must not take the upload away. */
  readonly #isResumed: boolean;
  readonly #parts: CompletedPart[] = [];
  readonly #uploads = new Set<Promise<void>>();
  readonly #copies = new Set<Promise<void>>();
  readonly #buffers: PartBuffers;
  #buffer: Buffer;
  #used = 0;
  #bytes = 0;
  #partNumber = 1;
  #uploadId: string | undefined;
  #failure: { error: unknown } | undefined;
  #state: 'open' | 'suspended' | 'closed' | 'aborted' = 'open';

  /** @param options.read how bytes are fetched that are too few to be copied within S3. */
  constructor(
    client: S3Client,
    options: {
      read: ObjectStore['read'];
      bucket: string;
      key: string;
      sizes: S3Sizes;
      buffers: PartBuffers;
      contentType?: string | undefined;
      resume?: WriterState | undefined;
    },
  ) {
    const { resume } = options;
    this.#client = client;
    this.#read = options.read;
    this.#target = { Bucket: options.bucket, Key: options.key };
    this.#contentType = options.contentType === undefined ? {} : { ContentType: options.contentType };
    this.#sizes = options.sizes;
    this.#isResumed = resume !== undefined;
    for (const [index, { etag, crc32 }] of (resume?.upload?.parts ?? []).entries()) {
      this.#parts.push(completedPart(index + 1, { ETag: etag, ChecksumCRC32: crc32 }));
    }
    this.#partNumber = this.#parts.length + 1;
    this.#uploadId = resume?.upload?.id;
    this.#bytes = resume?.bytes ?? 0;
    this.#buffers = options.buffers;
    this.#buffer = this.#buffers.take(partBytesOf(this.#partNumber, this.#sizes.firstPartBytes));
    this.#buffer.set(resume?.tail ?? []);
    this.#used = resume?.tail.length ?? 0;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    await this.#attempt(async () => {
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
    });
  }

  async copy(source: SourceObject, start: number, end: number): Promise<void> {
    this.#assertOpen();
    // What is in the buffer must be a part of its own before, and not too small a one.
    const missing = this.#used === 0 ? 0 : Math.max(0, this.#minPartBytes() - this.#used);
    if (end - start - missing < this.#minPartBytes()) {
      await this.#copyThrough(source, start, end);
      return;
    }
    await this.#copyThrough(source, start, start + missing);
    await this.#attempt(async () => {
      if (this.#used > 0) await this.#sendPart();
      let from = start + missing;
      while (from < end) {
        const most = Math.max(
          this.#sizes.copyPartBytes,
          partBytesOf(this.#partNumber, this.#sizes.firstPartBytes),
        );
        // Equal pieces: the last one may not be too small either.
        const piece = Math.ceil((end - from) / Math.ceil((end - from) / most));
        await this.#sendCopy(source, from, from + piece);
        from += piece;
      }
      this.#bytes += end - start - missing;
    });
  }

  async suspend(): Promise<WriterState> {
    this.#assertOpen();
    await this.#attempt(async () => {
      if (this.#used >= this.#sizes.minPartBytes) await this.#sendPart();
      await this.#settle();
    });
    this.#state = 'suspended';
    const tail = new Uint8Array(this.#buffer.subarray(0, this.#used));
    this.#giveBack();
    return {
      bytes: this.#bytes,
      tail,
      upload:
        this.#uploadId === undefined
          ? undefined
          : {
              id: this.#uploadId,
              parts: this.#parts.map(({ ETag, ChecksumCRC32 }) => ({ etag: ETag!, crc32: ChecksumCRC32 })),
            },
    };
  }

  async close(): Promise<number> {
    this.#assertOpen();
    await this.#attempt(async () => {
      if (this.#uploadId === undefined) {
        await this.#client.send(
          new PutObjectCommand({
            ...this.#target,
            ...this.#contentType,
            Body: this.#buffer.subarray(0, this.#used),
          }),
        );
        return;
      }
      if (this.#used > 0) await this.#sendPart();
      await this.#settle();
      await this.#client.send(
        new CompleteMultipartUploadCommand({
          ...this.#target,
          UploadId: this.#uploadId,
          MultipartUpload: { Parts: this.#parts },
        }),
      );
    });
    this.#state = 'closed';
    this.#giveBack();
    return this.#bytes;
  }

  async abort(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'aborted';
    // A part that lands after the abort would stay and be paid for.
    await Promise.all([...this.#uploads, ...this.#copies]);
    if (this.#uploadId !== undefined) {
      await abortUpload(this.#client, { ...this.#target, UploadId: this.#uploadId });
    }
  }

  /** Nothing is written any more, and nothing of the buffer is on its way. */
  #giveBack(): void {
    this.#buffers.give(this.#buffer);
    this.#buffer = Buffer.alloc(0);
  }

  /** Runs a step; after a failure nothing more is taken. */
  async #attempt(step: () => Promise<void>): Promise<void> {
    try {
      this.#throwFailure();
      await step();
    } catch (cause) {
      const error = this.#explain(cause);
      this.#failure = { error };
      if (!this.#isResumed) await this.abort();
      throw error;
    }
  }

  #explain(error: unknown): unknown {
    if (!GONE.has(errorNameOf(error) ?? '')) return error;
    return new UploadGoneError(
      `the upload of s3://${this.#target.Bucket}/${this.#target.Key} was ended, or another worker wrote to it: ` +
        'the object has to be written from its beginning',
      { cause: error },
    );
  }

  /**
   * The smallest part that is sent by choice. It grows with the parts, so that 10,000 of them always reach 4.9 TiB;
   * only what is suspended goes down to S3's own limit.
   */
  #minPartBytes(): number {
    return this.#sizes.minPartBytes * 2 ** Math.floor((this.#partNumber - 1) / 1000);
  }

  async #copyThrough(source: SourceObject, start: number, end: number): Promise<void> {
    if (end <= start) return;
    const before = this.#bytes;
    await this.#attempt(async () => {
      for await (const chunk of await this.#read(source, start, end)) await this.write(chunk);
      if (this.#bytes - before !== end - start) {
        throw new CorruptWorkFileError(
          `s3://${source.bucket}/${source.key} ends at byte ${start + this.#bytes - before}; ${end} were to be copied`,
        );
      }
    });
  }

  /** Takes the next part number once there is an upload and fewer than `most` calls are under way. */
  async #nextPart(underWay: ReadonlySet<Promise<void>>, most: number) {
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
    while (underWay.size >= most) await Promise.race(underWay);
    this.#throwFailure();
    const number = this.#partNumber;
    this.#partNumber += 1;
    return { number, part: { ...this.#target, UploadId: this.#uploadId, PartNumber: number } };
  }

  async #sendPart(): Promise<void> {
    const { number, part } = await this.#nextPart(this.#uploads, MAX_PARTS_IN_FLIGHT);
    const buffer = this.#buffer;
    const Body = buffer.subarray(0, this.#used);
    this.#track(this.#uploads, number, async () => {
      const uploaded = await this.#client.send(new UploadPartCommand({ ...part, Body }));
      this.#buffers.give(buffer);
      return uploaded;
    });
    this.#used = 0;
    this.#buffer = this.#buffers.take(partBytesOf(this.#partNumber, this.#sizes.firstPartBytes));
  }

  async #sendCopy(source: SourceObject, start: number, end: number): Promise<void> {
    const { number, part } = await this.#nextPart(this.#copies, MAX_COPIES_IN_FLIGHT);
    this.#track(this.#copies, number, async () => {
      try {
        const copy = new UploadPartCopyCommand({
          ...part,
          CopySource: copySourceOf(source),
          CopySourceRange: `bytes=${start}-${end - 1}`,
        });
        const { CopyPartResult } = await findingMissing(this.#client, source, () => this.#client.send(copy));
        return CopyPartResult ?? {};
      } catch (error) {
        throw isMissing(error) ? goneError(source, error) : error;
      }
    });
  }

  /** Lets a call run; what goes wrong is kept for the next one. */
  #track(
    underWay: Set<Promise<void>>,
    number: number,
    send: () => Promise<{ ETag?: string | undefined; ChecksumCRC32?: string | undefined }>,
  ): void {
    const sent = (async () => {
      try {
        this.#parts[number - 1] = completedPart(number, await send());
      } catch (error) {
        this.#failure ??= { error };
      }
    })();
    underWay.add(sent);
    void sent.then(() => underWay.delete(sent));
  }

  /** Waits until everything that was sent has arrived. */
  async #settle(): Promise<void> {
    await Promise.all([...this.#uploads, ...this.#copies]);
    this.#throwFailure();
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
