import { open } from 'node:fs/promises';

/** One line of a file, without its line feed. */
export type Line = {
  /** 1-based. */
  number: number;
  bytes: Buffer;
  /** Where the next line starts in the file. */
  endOffset: number;
};

const LF = 0x0a;
const READ_BYTES = 1 << 18;

/**
 * The lines of a file, read in blocks so that memory does not grow with the file. Only LF ends a line; a last line
 * without LF counts, an empty rest after the last LF does not.
 * @param path the file
 * @param from where to start: a line's number and its offset; default the first line
 */
export async function* readLines(
  path: string,
  from: { number: number; offset: number } = { number: 1, offset: 0 },
): AsyncGenerator<Line[]> {
  const handle = await open(path, 'r');
  try {
    let number = from.number;
    let lineStart = from.offset;
    let position = from.offset;
    // Pieces of a line that is longer than one block: joined once, when its end is found.
    let pieces: Buffer[] = [];
    for (;;) {
      const block = Buffer.allocUnsafe(READ_BYTES);
      const { bytesRead } = await handle.read(block, 0, READ_BYTES, position);
      if (bytesRead === 0) break;
      position += bytesRead;
      const read = block.subarray(0, bytesRead);
      const lines: Line[] = [];
      let start = 0;
      for (let end = read.indexOf(LF); end !== -1; end = read.indexOf(LF, start)) {
        const tail = read.subarray(start, end);
        const bytes = pieces.length === 0 ? tail : Buffer.concat([...pieces, tail]);
        pieces = [];
        lineStart += bytes.length + 1;
        lines.push({ number: number++, bytes, endOffset: lineStart });
        start = end + 1;
      }
      if (start < read.length) pieces.push(read.subarray(start));
      if (lines.length > 0) yield lines;
    }
    if (pieces.length > 0) {
      const bytes = Buffer.concat(pieces);
      yield [{ number, bytes, endOffset: lineStart + bytes.length }];
    }
  } finally {
    await handle.close();
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The value of a line, or undefined when it is not JSON in valid UTF-8 (a byte order mark is not JSON). */
export function parseLine(bytes: Uint8Array): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(strictUtf8.decode(bytes)) };
  } catch {
    return undefined;
  }
}

/** Whether a JSON value is an object (not an array, not null). */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** How deep a request may be nested: what walks or writes it again needs stack for each level. */
export const MAX_DEPTH = 1_000;

/** Whether a JSON value is nested deeper than `MAX_DEPTH`; needs no stack itself. */
export function isTooDeep(value: unknown): boolean {
  let level: object[] = [value].filter(isContainer);
  for (let depth = 0; level.length > 0; depth++) {
    if (depth >= MAX_DEPTH) return true;
    const next: object[] = [];
    for (const container of level) {
      for (const member of Object.values(container)) if (isContainer(member)) next.push(member);
    }
    level = next;
  }
  return false;
}

const isContainer = (value: unknown): value is object => typeof value === 'object' && value !== null;
