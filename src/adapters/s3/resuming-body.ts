/** A range of an object as a stream that survives broken connections. */
import type { Readable } from 'node:stream';
import { BatchdropError } from '../../core/base/errors.ts';
import { BodyChunks } from '../body-chunks.ts';

/** How often a body may break off, counted from zero each time that {@link RESUME_PROGRESS_BYTES} came through. */
const MAX_RESUMES = 5;
const RESUME_PROGRESS_BYTES = 8 * 1024 * 1024;
/** A connection that its reader left alone for so long may be ended by either side: such a break is not counted. */
const LEFT_ALONE_MS = 20_000;

/** A range of an object that has been opened. */
export interface OpenedRange {
  /** What the SDK's node handler gives. */
  body: Readable;
  bytes: number;
  etag?: string | undefined;
}

/** Opens bytes `from` to `to` (exclusive); with `etag`, only if the object still has it. */
export type OpenRange = (
  from: number,
  to: number | undefined,
  etag: string | undefined,
) => Promise<OpenedRange>;

/** One range of one object as a stream that fetches on after a break. Releases the connection when dropped. */
export class ResumingBody implements AsyncIterableIterator<Uint8Array> {
  readonly #open: OpenRange;
  readonly #end: number;
  readonly #etag: string | undefined;
  #body: Readable;
  #chunks: BodyChunks;
  #position: number;
  #resumes = 0;
  #lastBreakAt: number;
  #givenAt = performance.now();
  #isDone = false;

  constructor(open: OpenRange, start: number, first: OpenedRange) {
    this.#open = open;
    this.#position = start;
    this.#lastBreakAt = start;
    this.#end = start + first.bytes;
    this.#etag = first.etag;
    this.#body = first.body;
    this.#chunks = new BodyChunks(first.body);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    let wasLeftAlone = performance.now() - this.#givenAt >= LEFT_ALONE_MS;
    while (!this.#isDone) {
      let cause: unknown;
      try {
        const result = await this.#chunks.next();
        if (!result.done) {
          this.#position += result.value.length;
          this.#givenAt = performance.now();
          return result;
        }
        if (this.#position === this.#end) break;
      } catch (error) {
        // All bytes came and the stream still failed: its checksum is wrong.
        if (this.#position >= this.#end) return this.#fail(error);
        cause = error;
      }
      try {
        await this.#resume(cause, wasLeftAlone);
      } catch (error) {
        return this.#fail(error);
      }
      wasLeftAlone = false;
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

  async #resume(cause: unknown, wasLeftAlone: boolean): Promise<void> {
    this.#body.destroy();
    if (this.#position - this.#lastBreakAt >= RESUME_PROGRESS_BYTES) this.#resumes = 0;
    this.#lastBreakAt = this.#position;
    if (this.#resumes >= MAX_RESUMES && !wasLeftAlone) {
      throw new BatchdropError(
        `reading from S3 broke off ${MAX_RESUMES + 1} times, last after byte ${this.#position} of ${this.#end}`,
        { cause },
      );
    }
    if (!wasLeftAlone) this.#resumes += 1;
    const { body } = await this.#open(this.#position, this.#end, this.#etag);
    this.#body = body;
    this.#chunks = new BodyChunks(body);
  }
}
