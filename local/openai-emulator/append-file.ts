import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';

/** A file that grows by whole lines. */
export type AppendFile = {
  /**
   * Adds text that ends in a line feed. When it returns, the text is with the system: the end of this process does not
   * lose it.
   * @throws the file system's error, such as ENOSPC; the file is then as it was before
   */
  append(text: string): void;
  close(): void;
};

/** Opens a file for appending; made when absent. */
export function openAppendFile(path: string): AppendFile {
  const file = openSync(path, 'a');
  let size = fstatSync(file).size;
  let isTorn = false;
  return {
    append: (text) => {
      const bytes = Buffer.from(text);
      try {
        if (isTorn) ftruncateSync(file, size);
        isTorn = true;
        // A write may take only part of what it is given, for example when the disk is nearly full.
        for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
        isTorn = false;
        size += bytes.length;
      } catch (error) {
        // Cut at once, so that a reader finds whole lines; if that fails, too, before the next append.
        if (isTorn) isTorn = !isCut(file, size);
        throw error;
      }
    },
    close: () => closeSync(file),
  };
}

function isCut(file: number, size: number): boolean {
  try {
    ftruncateSync(file, size);
    return true;
  } catch {
    return false;
  }
}
