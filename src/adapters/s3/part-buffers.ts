import { S3_SIZES } from './sizes.ts';

/** As many as one writer uses: one that is filled while two are on their way. */
const MAX_KEPT = 3;

/**
 * Buffers of parts, passed on from one writer to the next: a process that allocates them for each object keeps the
 * memory of those that it freed, because smaller things settle in between.
 */
export class PartBuffers {
  readonly #free: Buffer[] = [];

  /** A buffer of so many bytes; what is in it is left over from others. */
  take(bytes: number): Buffer {
    const place = this.#free.findIndex((buffer) => buffer.length === bytes);
    return place < 0 ? Buffer.allocUnsafeSlow(bytes) : this.#free.splice(place, 1)[0]!;
  }

  /** Takes back a buffer that is no longer used. */
  give(buffer: Buffer): void {
    if (buffer.length > 0 && buffer.length <= S3_SIZES.firstPartBytes && this.#free.length < MAX_KEPT)
      this.#free.push(buffer);
  }
}
