/** Files of the command line as streams, with progress on standard error. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { UsageError } from '../view/exit.ts';

const CHUNK_BYTES = 1024 * 1024;
const SHOW_EVERY_MS = 200;
/** Files that take no time are read without a word. */
const SHOW_AFTER_MS = 1_000;

/** In place of a path: standard input. */
const STANDARD_INPUT = '-';

/**
 * The sizes of files in bytes; of standard input (`-`) 0, as it is not known.
 * @throws {UsageError} for the first path that is no file.
 */
export async function sizesOf(files: readonly string[]): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const file of files) {
    if (file === STANDARD_INPUT) {
      sizes.set(file, 0);
      continue;
    }
    const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
      throw new UsageError(
        `${file}: ${error.code === 'ENOENT' ? 'there is no such file' : `cannot be read (${error.code})`}`,
      );
    });
    if (!found.isFile()) throw new UsageError(`${file}: a file is expected, not a folder`);
    sizes.set(file, found.size);
  }
  return sizes;
}

/** The bytes of a file; shows its progress on a terminal. */
export async function* readWithProgress(
  file: string,
  size: number,
  stream: NodeJS.WriteStream,
  now: () => number,
): AsyncGenerator<Uint8Array> {
  const startedAt = now();
  let [bytes, shownAt] = [0, startedAt + SHOW_AFTER_MS - SHOW_EVERY_MS];
  let isShown = false;
  try {
    const source =
      file === STANDARD_INPUT ? process.stdin : createReadStream(file, { highWaterMark: CHUNK_BYTES });
    for await (const chunk of source) {
      bytes += chunk.length;
      if (size > 0 && stream.isTTY && now() - shownAt >= SHOW_EVERY_MS) {
        shownAt = now();
        isShown = true;
        const percent = Math.floor((100 * bytes) / Math.max(1, size));
        const rate = bytes / 1e6 / ((shownAt - startedAt) / 1_000);
        stream.write(
          `\r\x1b[K${`${file}  ${percent} %  ${rate.toFixed(0)} MB/s`.slice(0, (stream.columns ?? 80) - 1)}`,
        );
      }
      yield chunk;
    }
  } finally {
    if (isShown) stream.write('\r\x1b[K');
  }
}
