import { constants, readSync } from 'node:fs';
import { copyFile, type FileHandle, link, mkdir, open, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { addTokens, NO_TOKENS, type TokenUsage } from './batch-lifecycle.ts';
import { shuffledOrder } from './ids.ts';
import { readLines } from './json-lines.ts';

/** What became of one request of a batch: one line of `executions.jsonl`. */
export type ExecutionRow = {
  /** 1-based line of the input file. */
  line: number;
  custom_id: string;
  request_hash: string;
  at_ms: number;
  /** False for lines that were never run: batch_expired, batch_cancelled, request_timeout. */
  executed: boolean;
  status: number;
  /** What was bought. */
  usage: TokenUsage;
  counts_as: 'completed' | 'failed' | 'none';
  /** The file that shows it, and how often. */
  to: 'output' | 'error';
  copies: number;
  /** Where its output line is in `answers.jsonl`. */
  offset: number;
  bytes: number;
  /** A second line about the same request, which follows the first. */
  echo?: { to: 'output' | 'error'; bytes: number };
};

type UnplacedRow = Omit<ExecutionRow, 'offset' | 'bytes' | 'echo'>;

/** A row and its output lines, before the places of the lines are known. */
export type ExecutionResult = {
  row: UnplacedRow;
  /** Without the last line feed. */
  text: Buffer;
  echo?: { to: 'output' | 'error'; text: Buffer };
};

/**
 * The files of one batch: `input.jsonl` (as it was at validation), `answers.jsonl` (output lines in order of execution)
 * and `executions.jsonl` (one row per line, the truth: what has a row was executed and is never executed again).
 */
export type Workspace = {
  inputPath: string;
  /** Whether a line of the input has a row. */
  isDone(line: number): boolean;
  tally: { rows: number; completed: number; failed: number; usage: TokenUsage };
  /** Adds results: the answers first, then the rows that point to them. */
  append(results: readonly ExecutionResult[]): Promise<void>;
  /**
   * Writes the lines that belong in one file, shuffled, or in order of execution. Memory holds offsets only.
   * @param random shuffles; undefined leaves the order
   * @returns the number of bytes and lines
   */
  write(
    file: 'output' | 'error',
    target: string,
    random: (() => number) | undefined,
  ): Promise<{ bytes: number; lines: number }>;
  /** Removes the input and the answers; the executions stay for the ledger. */
  release(): Promise<void>;
};

const LINE_FEED = Buffer.from('\n');
const FLUSH_BYTES = 1 << 20;

/** The folder of a batch. */
const workspacePath = (dir: string, batchId: string): string => join(dir, 'batches', batchId);

/** The rows of a batch, in order of execution; none when nothing was executed. */
export async function* readExecutions(dir: string, batchId: string): AsyncGenerator<ExecutionRow> {
  try {
    for await (const lines of readLines(join(workspacePath(dir, batchId), 'executions.jsonl'))) {
      for (const line of lines) yield JSON.parse(line.bytes.toString('utf8')) as ExecutionRow;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/**
 * Opens the workspace of a batch that is being executed, new or as a kill left it: a torn last row is cut off,
 * and so are answers without a row.
 * @param source the content of the input file; linked, so that deleting the file does not stop the batch
 */
export async function openWorkspace(dir: string, batchId: string, source: string): Promise<Workspace> {
  const folder = workspacePath(dir, batchId);
  const inputPath = join(folder, 'input.jsonl');
  const answersPath = join(folder, 'answers.jsonl');
  const executionsPath = join(folder, 'executions.jsonl');
  await mkdir(folder, { recursive: true });
  await link(source, inputPath).catch(async (error: NodeJS.ErrnoException) => {
    // A restart finds the link; the source may be gone by then. Some file systems have no links.
    if (error.code !== 'EEXIST' && error.code !== 'ENOENT') await copyFile(source, inputPath);
  });

  const done = new Set<number>();
  const tally: Workspace['tally'] = { rows: 0, completed: 0, failed: 0, usage: NO_TOKENS };
  const count = (row: UnplacedRow) => {
    done.add(row.line);
    tally.rows += 1;
    if (row.counts_as === 'completed') tally.completed += 1;
    if (row.counts_as === 'failed') tally.failed += 1;
    tally.usage = addTokens(tally.usage, row.usage);
  };
  const ends = await repair(executionsPath, answersPath, count);

  return {
    inputPath,
    isDone: (line) => done.has(line),
    tally,
    append: async (results) => {
      if (results.length === 0) return;
      const answers: Buffer[] = [];
      const rows: string[] = [];
      let end = ends.answers;
      for (const { row, text, echo } of results) {
        answers.push(text, LINE_FEED);
        const placed: ExecutionRow = { ...row, offset: end, bytes: text.length + 1 };
        end += placed.bytes;
        if (echo !== undefined) {
          answers.push(echo.text, LINE_FEED);
          placed.echo = { to: echo.to, bytes: echo.text.length + 1 };
          end += placed.echo.bytes;
        }
        rows.push(`${JSON.stringify(placed)}\n`);
      }
      const executions = Buffer.from(rows.join(''));
      await writeAt(answersPath, ends.answers, Buffer.concat(answers));
      await writeAt(executionsPath, ends.executions, executions);
      ends.answers = end;
      ends.executions += executions.length;
      for (const { row } of results) count(row);
    },
    write: async (file, target, random) => {
      const spans: number[] = [];
      for await (const row of readExecutions(dir, batchId)) {
        if (row.to === file) for (let copy = 0; copy < row.copies; copy++) spans.push(row.offset, row.bytes);
        if (row.echo?.to === file) spans.push(row.offset + row.bytes, row.echo.bytes);
      }
      return { bytes: await copySpans(answersPath, target, spans, random), lines: spans.length / 2 };
    },
    release: async () => {
      await rm(inputPath, { force: true });
      await rm(answersPath, { force: true });
    },
  };
}

/** Writes all bytes at a position, over what an attempt before left there. @throws the file system's error */
async function writeAt(path: string, position: number, bytes: Buffer): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT);
  try {
    await handle.truncate(position);
    for (let done = 0; done < bytes.length; ) {
      done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
    }
  } catch (error) {
    await handle.truncate(position).catch(() => {});
    throw error;
  } finally {
    await handle.close();
  }
}

/** Counts the whole rows, cuts off what a kill left behind them; gives the ends of both files then. */
async function repair(
  executionsPath: string,
  answersPath: string,
  count: (row: ExecutionRow) => void,
): Promise<{ answers: number; executions: number }> {
  let answersEnd = 0;
  let rowsEnd = 0;
  try {
    for await (const lines of readLines(executionsPath)) {
      for (const line of lines) {
        // A last line without LF ends where it ends: `endOffset` then equals its own length's end.
        if (line.endOffset - rowsEnd === line.bytes.length) continue;
        const row = JSON.parse(line.bytes.toString('utf8')) as ExecutionRow;
        count(row);
        answersEnd = row.offset + row.bytes + (row.echo?.bytes ?? 0);
        rowsEnd = line.endOffset;
      }
    }
    await truncate(executionsPath, rowsEnd);
    await truncate(answersPath, answersEnd);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return { answers: answersEnd, executions: rowsEnd };
}

async function copySpans(
  source: string,
  target: string,
  spans: readonly number[],
  random: (() => number) | undefined,
): Promise<number> {
  const output = await open(target, 'w');
  let input: FileHandle | undefined;
  let written = 0;
  try {
    if (spans.length === 0) return 0;
    input = await open(source, 'r');
    let pending: Buffer[] = [];
    let pendingBytes = 0;
    const flush = async () => {
      await output.writeFile(Buffer.concat(pending));
      written += pendingBytes;
      pending = [];
      pendingBytes = 0;
    };
    for (const index of shuffledOrder(spans.length / 2, random)) {
      const line = Buffer.allocUnsafe(spans[index * 2 + 1]!);
      // The pages were written a moment ago: reading them needs no waiting, and 50,000 promises would be slower.
      readSync(input.fd, line, 0, line.length, spans[index * 2]!);
      pending.push(line);
      pendingBytes += line.length;
      if (pendingBytes >= FLUSH_BYTES) await flush();
    }
    await flush();
    return written;
  } finally {
    await input?.close();
    await output.close();
  }
}
