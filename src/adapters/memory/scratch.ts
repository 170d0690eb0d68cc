import type { Scratch, ScratchFile } from '../../core/ports.ts';

/** {@link Scratch} in memory. */
export class MemoryScratch implements Scratch {
  async open(): Promise<ScratchFile> {
    let bytes = Buffer.alloc(0);
    return {
      async append(more) {
        bytes = Buffer.concat([bytes, more]);
      },
      read: async (offset, length) => Uint8Array.from(bytes.subarray(offset, offset + length)),
      async dispose() {
        bytes = Buffer.alloc(0);
      },
    };
  }
}
