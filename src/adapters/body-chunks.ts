/**
 * The bodies of answers, chunk by chunk, each of which is freed when the next one is asked for. Node makes a buffer
 * for every chunk. Those that are no longer needed would stay until garbage is collected: tens of megabytes, and a
 * hundred collections for each gigabyte that find nothing else.
 */
import { finished, type Readable } from 'node:stream';

/** Smaller ones are not worth it. */
const RELEASED_BYTES = 16 * 1024;

/**
 * Gives the memory of a chunk back at once; a reader that still has the chunk finds it empty. What shares its memory
 * with others is left alone.
 */
export function release({ buffer, byteLength }: Uint8Array): void {
  if (byteLength < RELEASED_BYTES || byteLength !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/**
 * The chunks of a stream with a single reader. A chunk must not be given to anything that uses it after the
 * next one is asked for, such as a socket or a file that is written to.
 */
export class BodyChunks {
  readonly #body: Readable;
  /** Has come and was not asked for yet. */
  #next: Uint8Array | undefined;
  #given: Uint8Array | undefined;
  #end: 'whole' | { error: Error } | undefined;
  #wake: () => void = () => {};

  constructor(body: Readable) {
    this.#body = body;
    body.pause();
    // Iterating over the stream would put all chunks that have come together in one more buffer.
    body.on('data', (chunk: Uint8Array) => {
      body.pause();
      this.#next = chunk;
      this.#wake();
    });
    finished(body, { writable: false }, (error) => {
      this.#end = error ? { error } : 'whole';
      this.#wake();
    });
    // One that comes after the end has no reader.
    body.on('error', () => {});
  }

  /** @throws what broke the stream off. */
  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#given !== undefined) release(this.#given);
    this.#given = undefined;
    if (this.#next === undefined && this.#end === undefined) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#body.resume();
      await woken;
    }
    this.#given = this.#next;
    this.#next = undefined;
    if (this.#given !== undefined) return { done: false, value: this.#given };
    if (this.#end === 'whole') return { done: true, value: undefined };
    throw this.#end!.error;
  }
}
