/**
 * Reads a large object front to back through several ranged GETs at a time: one GET stream is slower than a scan, and
 * three keep a vCPU busy (perf figures: docs/performance.md). Memory is the ranges in flight, whatever the object's
 * size.
 */
import { ObjectSizeError } from '../base/errors.ts';
import type { SourceObject } from '../model/objects.ts';
import type { ByteStream, ObjectStore } from '../ports/objects.ts';

/** AWS advises ranges of 8 to 16 MB. Source: S3 User Guide, "Performance design patterns". */
const RANGE_BYTES = 8 * 1024 * 1024;
const RANGES_IN_FLIGHT = 3;

/**
 * What is given at a time: small enough for the reader to look at the clock in between, large enough to be worth it.
 */
const PIECE_BYTES = 1024 * 1024;

/**
 * Yields the bytes of `source` in order. Stopping early stops every GET. A chunk is valid until the next one is asked
 * for: ranges are read into buffers that are used again, because a buffer that is made for each chunk and waits
 * for its turn is old when it is freed, and holds memory for long.
 * @param size of the object, which must not change: a version, or a copy that no other worker writes.
 * @param options.start the first byte to give. Default: 0.
 * @param options.rangeBytes default: 8 MiB.
 * @param options.inFlight ranges that are read at a time. Default: 3.
 * @param options.buffers to read into, as {@link buffersFor} says. Default: it makes its own.
 * @throws {ObjectSizeError} if more or less comes than the object has.
 */
export async function* readInParallel(
  objects: Pick<ObjectStore, 'read'>,
  source: SourceObject,
  size: number,
  options: Ranges & { buffers?: readonly Uint8Array[] } = {},
): AsyncGenerator<Uint8Array> {
  const { start = 0, rangeBytes = RANGE_BYTES, inFlight = RANGES_IN_FLIGHT } = options;
  const { bytes } = buffersFor(size, options);
  const slots: Slot[] = [];
  const free = [...(options.buffers ?? [])];
  let next = start;
  const fill = (): void => {
    while (slots.length < inFlight && next < size) {
      const end = Math.min(next + rangeBytes, size);
      const buffer = free.pop() ?? Buffer.allocUnsafeSlow(bytes);
      slots.push(new Slot(objects.read(source, next, end), buffer, { start: next, end }));
      next = end;
    }
  };
  try {
    for (fill(); slots.length > 0; fill()) {
      yield* slots[0]!.chunks();
      free.push(slots.shift()!.buffer);
    }
  } finally {
    await Promise.all(slots.map((slot) => slot.stop()));
  }
}

/** How an object is cut into ranges. */
interface Ranges {
  start?: number;
  rangeBytes?: number;
  inFlight?: number;
}

/** How many buffers {@link readInParallel} reads into, and their size: those of ranges that are read at a time. */
export function buffersFor(
  size: number,
  { start = 0, rangeBytes = RANGE_BYTES, inFlight = RANGES_IN_FLIGHT }: Ranges = {},
): { count: number; bytes: number } {
  const left = Math.max(0, size - start);
  return { count: Math.min(inFlight, Math.ceil(left / rangeBytes)), bytes: Math.min(rangeBytes, left) };
}

/** One range: what has come of it, and what of that was taken. */
class Slot {
  readonly buffer: Uint8Array;
  readonly #range: { start: number; end: number };
  #filled = 0;
  #taken = 0;
  #state: 'reading' | 'done' | { error: unknown } = 'reading';
  #isStopped = false;
  #wake: () => void = () => {};
  readonly #finished: Promise<void>;

  constructor(opening: Promise<ByteStream>, buffer: Uint8Array, range: { start: number; end: number }) {
    this.buffer = buffer;
    this.#range = range;
    this.#finished = this.#read(opening);
  }

  /** Gives what has come, and what still comes, piece by piece. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const waiting = this.#filled - this.#taken;
      if (waiting >= PIECE_BYTES || (waiting > 0 && this.#state !== 'reading')) {
        const piece = this.buffer.subarray(this.#taken, Math.min(this.#filled, this.#taken + PIECE_BYTES));
        this.#taken += piece.length;
        yield piece;
      } else if (this.#state === 'done') return;
      else if (this.#state === 'reading') await new Promise<void>((resolve) => (this.#wake = resolve));
      else throw this.#state.error;
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#finished;
  }

  /** Never rejects: an error is kept for the reader of the chunks. */
  async #read(opening: Promise<ByteStream>): Promise<void> {
    const { start, end } = this.#range;
    const bytes = end - start;
    try {
      for await (const chunk of await opening) {
        if (this.#isStopped) break;
        if (chunk.length > bytes - this.#filled)
          throw new ObjectSizeError(`${bytes} bytes were read from byte ${start} on, and more came`);
        this.buffer.set(chunk, this.#filled);
        this.#filled += chunk.length;
        this.#wake();
      }
      // Else what follows would be joined to it, as if the bytes between had never been.
      if (!this.#isStopped && this.#filled < bytes) {
        throw new ObjectSizeError(
          `${bytes} bytes were read from byte ${start} on, and only ${this.#filled} came: is the object shorter than it was said to be?`,
        );
      }
      this.#state = 'done';
    } catch (error) {
      this.#state = { error };
    }
    this.#wake();
  }
}
