import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CONTENT, type Content, GENERATOR_VERSION, generateLines } from './generate.ts';

/** One file to measure on. */
export interface InputSpec {
  name: string;
  content: Content;
  /** How large: whole lines until there are this many bytes, or this many lines. */
  size: { bytes: number } | { lines: number };
}

/** A generated file. */
export interface InputFile {
  name: string;
  path: string;
  bytes: number;
  lines: number;
  about: string;
}

/** Where generated files are kept from run to run; safe to delete. */
export const CACHE_FOLDER = join(tmpdir(), 'batchdrop-bench');

const WRITE_BYTES = 4 * 1024 * 1024;

/**
 * The file of this specification; generates it unless an earlier run has left it.
 * @param onGenerate told before anything is generated.
 */
export function inputFile(
  spec: InputSpec,
  options: { folder?: string; seed?: string; onGenerate?: (path: string) => void } = {},
): InputFile {
  const { folder = CACHE_FOLDER, seed = 'batchdrop' } = options;
  const size = 'bytes' in spec.size ? `${spec.size.bytes}b` : `${spec.size.lines}l`;
  const path = join(folder, `${spec.content}-${size}-${seed}-v${GENERATOR_VERSION}.jsonl`);
  const lines = linesOf(path) ?? generate(spec, path, seed, options.onGenerate);
  return { name: spec.name, path, bytes: statSync(path).size, lines, about: CONTENT[spec.content].about };
}

/** Lines of a file that was generated to its end. */
function linesOf(path: string): number | undefined {
  try {
    const { lines, bytes } = JSON.parse(readFileSync(`${path}.json`, 'utf8'));
    return statSync(path).size === bytes ? lines : undefined;
  } catch {
    return undefined;
  }
}

function generate(spec: InputSpec, path: string, seed: string, onGenerate?: (path: string) => void): number {
  onGenerate?.(path);
  mkdirSync(join(path, '..'), { recursive: true });
  const partial = `${path}.${process.pid}.partial`;
  const file = openSync(partial, 'w');
  const maxBytes = 'bytes' in spec.size ? spec.size.bytes : Number.POSITIVE_INFINITY;
  const maxLines = 'lines' in spec.size ? spec.size.lines : Number.POSITIVE_INFINITY;
  let [bytes, lines, pending, pendingChars] = [0, 0, [] as string[], 0];
  const write = (): void => {
    const buffer = Buffer.from(pending.join(''));
    for (let at = 0; at < buffer.length; ) at += writeSync(file, buffer, at);
    bytes += buffer.length;
    [pending, pendingChars] = [[], 0];
  };
  try {
    for (const line of generateLines(spec.content, seed)) {
      pending.push(line, '\n');
      pendingChars += line.length + 1;
      lines++;
      // Three bytes are the most that one UTF-16 unit takes: written out in time, a file ends close to its size.
      if (pendingChars >= Math.min(WRITE_BYTES, (maxBytes - bytes) / 3)) write();
      if (bytes >= maxBytes || lines >= maxLines) break;
    }
    write();
  } finally {
    closeSync(file);
  }
  renameSync(partial, path);
  writeFileSync(`${path}.json`, JSON.stringify({ lines, bytes }));
  return lines;
}
