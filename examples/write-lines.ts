import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Writes each value as a line of JSON to a file, whose folder is made if missing. @returns how many there were. */
export async function writeLines(path: string, values: Iterable<unknown>): Promise<number> {
  let count = 0;
  await mkdir(dirname(path), { recursive: true });
  await pipeline(
    Readable.from(
      (function* () {
        for (const value of values) {
          count++;
          yield `${JSON.stringify(value)}\n`;
        }
      })(),
    ),
    createWriteStream(path),
  );
  return count;
}
