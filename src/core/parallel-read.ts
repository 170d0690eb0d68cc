/**
 * Reads a large object front to back through several ranged GETs at a time: one GET stream is slower than a scan, and
 * three keep a vCPU busy (perf figures: docs/performance.md). Memory is the ranges in flight, whatever the object's size.
 */
import type { SourceObject } from './model.ts';
import type { ByteStream, ObjectStore } from './ports.ts';

/** AWS advises ranges of 8 to 16 MB. Source: S3 User Guide, "Performance design patterns". */
const RANGE_BYTES = 8 * 1024 * 1024;
const RANGES_IN_FLIGHT = 3;

/**
 * Yields the bytes of `source` in order. Stopping early stops every GET.
 * @param size of the object, which must not change: a version, or a copy that nobody else writes.
 * @param options.start the first byte to give. Default: 0.
 * @param options.rangeBytes default: 8 MiB.
 * @param options.inFlight ranges that are read at a time. Default: 3.
 */
export async function* readInParallel(
  objects: Pick<ObjectStore, 'read'>,
  source: SourceObject,
  size: number,
  options: { start?: number; rangeBytes?: number; inFlight?: number } = {},
): AsyncGenerator<Uint8Array> {
  const { start = 0, rangeBytes = RANGE_BYTES, inFlight = RANGES_IN_FLIGHT } = options;
  const slots: Slot[] = [];
  let next = start;
  const fill = (): void => {
    while (slots.length < inFlight && next < size) {
      const end = Math.min(next + rangeBytes, size);
      slots.push(new Slot(objects.read(source, next, end)));
      next = end;
    }
  };
  try {
    for (fill(); slots.length > 0; fill()) {
      yield* slots[0]!.chunks();
      slots.shift();
    }
  } finally {
    await Promise.all(slots.map((slot) => slot.stop()));
  }
}

/** One range: what has come of it and was not taken yet. */
class Slot {
  #chunks: Uint8Array[] = [];
  #state: 'reading' | 'done' | { error: unknown } = 'reading';
  #isStopped = false;
  #wake: () => void = () => {};
  readonly #finished: Promise<void>;

  constructor(opening: Promise<ByteStream>) {
    this.#finished = this.#read(opening);
  }

  /** Gives what has come, and what still comes, as it comes. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (this.#state === 'done') return;
      else if (this.#state === 'reading') await new Promise<void>((resolve) => (this.#wake = resolve));
      else throw this.#state.error;
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#chunks = [];
    await this.#finished;
  }

  /** Never rejects: an error is kept for whoever takes the chunks. */
  async #read(opening: Promise<ByteStream>): Promise<void> {
    try {
      for await (const chunk of await opening) {
        if (this.#isStopped) break;
        // A copy: it may wait here while the stream uses its buffer again.
        this.#chunks.push(new Uint8Array(chunk));
        this.#wake();
      }
      this.#state = 'done';
    } catch (error) {
      this.#state = { error };
    }
    this.#wake();
  }
}
