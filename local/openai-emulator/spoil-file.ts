import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open, rename, stat, truncate } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { EffectOf, Rewrite } from './effects.ts';
import { readLines } from './json-lines.ts';

const TAIL_BYTES = 4_194_304;

/**
 * Spoils an output or error file as the rules say, one after the other.
 * @param path the file, changed in place
 * @param bytes its size
 * @returns its size afterwards
 */
export async function spoilFile(
  path: string,
  bytes: number,
  faults: readonly EffectOf<'file'>[],
): Promise<number> {
  let size = bytes;
  for (const fault of faults) {
    if (size === 0) break;
    if (fault.kind === 'file.cut') size = await cutTail(path, size, fault.at);
    if (fault.kind === 'file.rewrite') size = await rewrite(path, fault.as);
  }
  return size;
}

/**
 * Where the first half of a file's lines ends.
 * @param bytes its size
 * @returns bytes up to and with a line feed, 0 when the file has one line
 */
export async function endOfHalf(path: string, bytes: number): Promise<number> {
  let end = 0;
  for await (const lines of readLines(path)) {
    for (const line of lines) if (line.endOffset <= bytes / 2) end = line.endOffset;
  }
  return end;
}

/** Cuts the end off a file: its last line feed, half of its last line, or inside its last long character. */
async function cutTail(path: string, bytes: number, at: 'newline' | 'line' | 'character'): Promise<number> {
  let end = bytes - 1;
  if (at !== 'newline') {
    const handle: FileHandle = await open(path, 'r');
    try {
      const tail = Buffer.alloc(Math.min(bytes, TAIL_BYTES));
      await handle.read(tail, 0, tail.length, bytes - tail.length);
      const lineStart = tail.lastIndexOf(0x0a, tail.length - 2) + 1;
      const lead = at === 'character' ? tail.findLastIndex((byte) => byte >= 0xc0) : -1;
      const cut = lead > lineStart ? lead + 1 : lineStart + Math.floor((tail.length - lineStart) / 2);
      end = bytes - tail.length + cut;
    } finally {
      await handle.close();
    }
  }
  await truncate(path, Math.max(0, end));
  return Math.max(0, end);
}

const BOM = Buffer.from('\ufeff');

/** Rewrites a file, block by block: what each block becomes does not depend on where blocks end. */
async function rewrite(path: string, as: Rewrite): Promise<number> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const changed = (block: Buffer): Buffer => {
    switch (as) {
      case 'bom':
        return block;
      // Characters beyond Latin-1 lose their upper bits, as in a conversion gone wrong.
      case 'latin1':
        return Buffer.from(decoder.decode(block, { stream: true }), 'latin1');
      case 'mojibake':
        return Buffer.from(block.toString('latin1'));
      default: {
        const end = { crlf: '\r\n', cr: '\r', blank_lines: '\n\n' }[as];
        return Buffer.from(block.toString('latin1').replaceAll('\n', end), 'latin1');
      }
    }
  };
  const target = `${path}.rewritten`;
  await pipeline(
    createReadStream(path),
    async function* (blocks: AsyncIterable<Buffer>) {
      if (as === 'bom') yield BOM;
      for await (const block of blocks) yield changed(block);
    },
    createWriteStream(target),
  );
  await rename(target, path);
  return (await stat(path)).size;
}
