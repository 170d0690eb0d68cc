import { randomUUID } from 'node:crypto';
import { open, statfs, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scratch, ScratchFile } from '../core/ports/scratch.ts';

/** Of the free room in the folder: the rest is for other writers. */
const SHARE_OF_ROOM = 0.9;

/**
 * {@link Scratch} in the temporary folder (`/tmp` of a Lambda). The name is removed as soon as the file is open, so
 * that a function that is killed leaves nothing for the next one to trip over.
 */
export class TmpScratch implements Scratch {
  async open(): Promise<ScratchFile> {
    const path = join(tmpdir(), `batchdrop-${randomUUID()}`);
    const file = await open(path, 'wx+', 0o600);
    await unlink(path);
    const { bavail, bsize } = await statfs(tmpdir());
    let end = 0;
    return {
      roomBytes: Math.floor(bavail * bsize * SHARE_OF_ROOM),
      async append(bytes) {
        let written = 0;
        while (written < bytes.length) {
          written += (await file.write(bytes, written, bytes.length - written, end + written)).bytesWritten;
        }
        end += bytes.length;
      },
      async read(offset, into) {
        let filled = 0;
        while (filled < into.length) {
          const { bytesRead } = await file.read(into, filled, into.length - filled, offset + filled);
          if (bytesRead === 0)
            throw new Error(`scratch file ends at ${offset + filled}, ${offset + into.length} wanted`);
          filled += bytesRead;
        }
      },
      dispose: () => file.close(),
    };
  }
}
