/**
 * The check alone, on data in RAM and in one process: `JSON.parse` per line against what ingest uses. Prints one JSON
 * object: wall and CPU milliseconds of each round by core.
 */
import { isUtf8 } from 'node:buffer';
import { closeSync, openSync, readSync } from 'node:fs';
import { CustomIdHasher } from '../../src/core/base/custom-id-hash.ts';
import { checkLine } from '../../src/core/requests/check-line.ts';
import { type LineHandlers, LineScanner } from '../../src/core/requests/line-scanner.ts';
import { IdRuns } from '../../src/core/steps/ingest/id-runs.ts';
import { OPENAI_RULES } from '../../src/providers/openai/rules.ts';

const [path, megabytes, count] = process.argv.slice(2) as [string, string, string];
const LINE_FEED = 0x0a;
/** In which the stream comes that ingest reads. */
const CHUNK_BYTES = 256 * 1024;
const JOB_ID = 'c0ffee00c0ffee00c0ffee00c0ffee00';

/** A core takes whole lines and says how many there were, all of them valid and distinct. */
type Core = (bytes: Buffer) => number;

/** Ids as ingest keeps them; so many are never written out. */
const collectIds = (): IdRuns =>
  new IdRuns({ put: () => Promise.reject(new Error('nothing is kept here')) }, String);

function expectDistinct(ids: IdRuns): void {
  const { memory } = ids.sorted();
  for (let at = 2; at < memory.length; at += 2) {
    if (memory[at] === memory[at - 2] && memory[at + 1] === memory[at - 1]) throw new Error('duplicate ids');
  }
}

const CORES: Record<string, Core> = {
  'core-json-parse': (bytes) => {
    if (!isUtf8(bytes)) throw new Error('not UTF-8');
    const ids = new Set<string>();
    let lines = 0;
    for (let from = 0; from < bytes.length; ) {
      const end = bytes.indexOf(LINE_FEED, from);
      const { custom_id: id, method, url, body } = JSON.parse(bytes.toString('utf8', from, end));
      const isRequest = typeof id === 'string' && method === 'POST' && typeof url === 'string';
      if (!isRequest || typeof body?.model !== 'string') throw new Error('not a request');
      ids.add(id);
      lines++;
      from = end + 1;
    }
    if (ids.size !== lines) throw new Error('duplicate ids');
    return lines;
  },
  'core-ours': (bytes) => {
    const ids = collectIds();
    let lines = 0;
    const handlers: LineHandlers = {
      onSpan: ({ count, hashes }) => {
        ids.appendAll(hashes);
        lines += count;
      },
      onLine: () => {
        throw new Error('a line was left to checkLine');
      },
    };
    const scanner = new LineScanner(JOB_ID, handlers, { rules: OPENAI_RULES });
    for (let from = 0; from < bytes.length; from += CHUNK_BYTES) {
      scanner.push(bytes.subarray(from, from + CHUNK_BYTES));
    }
    scanner.end();
    expectDistinct(ids);
    return lines;
  },
  'core-check-line': (bytes) => {
    const hasher = new CustomIdHasher(JOB_ID);
    const ids = collectIds();
    let lines = 0;
    for (let from = 0; from < bytes.length; ) {
      const end = bytes.indexOf(LINE_FEED, from);
      const verdict = checkLine(bytes.subarray(from, end), OPENAI_RULES);
      if (!verdict.valid) throw new Error(verdict.code);
      hasher.hashText(verdict.customId);
      ids.append(hasher.hash0, hasher.hash1);
      lines++;
      from = end + 1;
    }
    expectDistinct(ids);
    return lines;
  },
};

/** Whole lines from the start of the file. */
function wholeLines(bytes: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  const file = openSync(path, 'r');
  const length = readSync(file, buffer);
  closeSync(file);
  return buffer.subarray(0, buffer.subarray(0, length).lastIndexOf(LINE_FEED) + 1);
}

const bytes = wholeLines(Number(megabytes) * 1e6);
const rounds: Record<string, { wallMs: number; cpuMs: number }[]> = Object.fromEntries(
  Object.keys(CORES).map((id) => [id, []]),
);
const counted = new Set<number>();
// The first round warms the code up and is not counted.
for (let round = 0; round <= Number(count); round++) {
  for (const [id, core] of Object.entries(CORES)) {
    const started = performance.now();
    const cpuBefore = process.cpuUsage();
    counted.add(core(bytes));
    const wallMs = performance.now() - started;
    const { user, system } = process.cpuUsage(cpuBefore);
    if (round > 0) rounds[id]!.push({ wallMs, cpuMs: (user + system) / 1000 });
  }
}
if (counted.size !== 1) throw new Error(`the cores counted ${[...counted].join(', ')} lines`);
console.log(JSON.stringify({ bytes: bytes.length, lines: [...counted][0], rounds }));
