import type { Scratch, ScratchFile } from '../../../src/core/ports/scratch.ts';

/** {@link Scratch} in memory. */
export class MemoryScratch implements Scratch {
  readonly #roomBytes: number;

  /** @param roomBytes how much a file may hold. Default: any amount. */
  constructor(roomBytes = Number.POSITIVE_INFINITY) {
    this.#roomBytes = roomBytes;
  }

  async open(): Promise<ScratchFile> {
    let bytes = Buffer.alloc(0);
    return {
      roomBytes: this.#roomBytes,
      async append(more) {
        bytes = Buffer.concat([bytes, more]);
      },
      async read(offset, into) {
        into.set(bytes.subarray(offset, offset + into.length));
      },
      async dispose() {
        bytes = Buffer.alloc(0);
      },
    };
  }
}
