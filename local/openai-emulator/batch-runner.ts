import { statusError } from './answers.ts';
import { type BatchRecord, durationMs, heldMs, NO_TOKENS, type Timings } from './batch-lifecycle.ts';
import type { ExecutionResult, Workspace } from './batch-workspace.ts';
import { type Executed, type ExecutionDeps, execute, withText } from './execution.ts';
import { hexOf } from './ids.ts';
import { type Line, readLines } from './json-lines.ts';
import { bytesOfLines, lineOf, type ResultLine, resultLine, scriptedLines } from './result-lines.ts';
import { DEFAULT_CONCURRENCY } from './upstream.ts';

/** Results are written when they have grown to this, or when there are no more. */
const APPEND_BYTES = 1 << 20;

type BatchLine = { custom_id: string; body: Record<string, unknown> };

/** Executes the lines of one batch, each once. */
export type BatchRunner = {
  /** Executes, in input order, until `count` lines have been executed. */
  through(record: BatchRecord, count: number): Promise<void>;
  /** Executes everything not yet executed, several at a time, until done or aborted. */
  rest(record: BatchRecord, signal: AbortSignal): Promise<void>;
  /** Gives every line that was not executed an error line with this code. */
  giveUp(record: BatchRecord, code: 'batch_expired' | 'batch_cancelled', atMs: number): Promise<void>;
};

/** The real messages (as seen in practice). */
const UNEXECUTED = {
  batch_expired: 'This request could not be executed before the completion window expired.',
  batch_cancelled: 'This request was not executed because the batch was cancelled.',
} as const;

/** @param seed decides key order and id forms */
export function createBatchRunner(
  workspace: Workspace,
  deps: ExecutionDeps,
  seed: string,
  timings: Timings,
  now: () => number,
): BatchRunner {
  let place = { number: 1, offset: 0 };

  const run = async (record: BatchRecord, line: Line, signal: AbortSignal): Promise<ExecutionResult> => {
    const { custom_id, body } = parseBatchLine(line);
    const executionKey = hexOf(32, seed, record.id, line.number);
    const nowMs = deps.upstream === undefined ? executedAtMs(record, line.number, timings) : now();
    const subject = subjectOf(record, { line: line.number, custom_id, body, atMs: nowMs });
    const request = { endpoint: record.endpoint, body, subject, executionKey, nowMs, signal };
    const executed = await execute(deps, request);
    return resultOf({ number: line.number, customId: custom_id }, executionKey, nowMs, executed);
  };

  return {
    through: async (record, count) => {
      if (workspace.tally.rows >= count) return;
      const { signal } = new AbortController();
      const results = collectorOf(workspace, deps.upstream !== undefined);
      let executed = workspace.tally.rows;
      let reached = place;
      for await (const lines of readLines(workspace.inputPath, place)) {
        for (const line of lines) {
          if (executed >= count) break;
          reached = { number: line.number + 1, offset: line.endOffset };
          if (workspace.isDone(line.number)) continue;
          await results.add(await run(record, line, signal));
          executed += 1;
        }
        if (executed >= count) break;
      }
      await results.flush();
      // Only now: results that could not be written are made again.
      place = reached;
    },
    rest: async (record, signal) => {
      const results = collectorOf(workspace, deps.upstream !== undefined);
      const running = new Set<Promise<void>>();
      const limit = deps.upstream?.concurrency ?? DEFAULT_CONCURRENCY;
      for await (const lines of readLines(workspace.inputPath)) {
        for (const line of lines) {
          if (signal.aborted) break;
          if (workspace.isDone(line.number)) continue;
          const one: Promise<void> = run(record, line, signal)
            .then(results.add)
            .catch((error) => {
              if (!signal.aborted) throw error;
            })
            .finally(() => running.delete(one));
          running.add(one);
          if (running.size >= limit) await Promise.race(running);
        }
        if (signal.aborted) break;
      }
      await Promise.all(running);
      await results.flush();
    },
    giveUp: async (record, code, atMs) => {
      const results = collectorOf(workspace, deps.upstream !== undefined);
      for await (const lines of readLines(workspace.inputPath)) {
        for (const line of lines) {
          if (workspace.isDone(line.number)) continue;
          const { custom_id } = parseBatchLine(line);
          const key = hexOf(32, seed, record.id, line.number);
          const error = { code, message: UNEXECUTED[code] };
          await results.add({
            row: {
              line: line.number,
              custom_id,
              request_hash: '',
              at_ms: atMs,
              executed: false,
              status: 0,
              usage: NO_TOKENS,
              counts_as: 'none',
              to: 'error',
              copies: 1,
            },
            text: bytesOfLines([resultLine(key, custom_id, null, error)]),
          });
        }
      }
      await results.flush();
    },
  };
}

function parseBatchLine(line: Line): BatchLine {
  return JSON.parse(line.bytes.toString('utf8')) as BatchLine;
}

/** The moment within in_progress at which a line is executed: evenly spread. */
function executedAtMs(record: BatchRecord, line: number, timings: Timings): number {
  const held = heldMs(record, 'in_progress');
  // Of a batch that is held for ever, only `batch.expire` can ask for lines.
  const startMs = record.inProgressAtMs! + (Number.isFinite(held) ? held : 0);
  return Math.floor(startMs + (durationMs(record, timings) * line) / record.total);
}

/** The row and the lines of one request that was executed. */
function resultOf(
  line: { number: number; customId: string },
  executionKey: string,
  nowMs: number,
  executed: Executed,
): ExecutionResult {
  const { answer, effects, requestHash, usage } = executed;
  const own = lineOf(executionKey, line.customId, executed);
  const replaced = effects.find((effect) => effect.kind === 'line.lines');
  const duplicate = effects.find((effect) => effect.kind === 'line.duplicate')?.as;
  const isMissing = effects.some((effect) => effect.kind === 'line.missing') || replaced?.lines.length === 0;
  const isGood = answer.status === 200;
  // A line with status 0 sits in the error file and is counted as completed (as seen in practice).
  const isZombie = answer.status === 0 && own.error === null;
  const echo = isMissing ? undefined : echoOf(duplicate, own, executed);
  return {
    ...(echo === undefined ? {} : { echo }),
    row: {
      line: line.number,
      custom_id: line.customId,
      request_hash: requestHash,
      at_ms: nowMs,
      executed: own.error === null,
      status: answer.status,
      usage,
      counts_as: isGood || isZombie ? 'completed' : 'failed',
      to: replaced?.file ?? (isGood ? 'output' : 'error'),
      copies: isMissing ? 0 : duplicate === 'same' ? 2 : 1,
    },
    text: bytesOfLines(scriptedLines(own, effects)),
  };
}

/** The second line of a request whose line is doubled, unless it is the same. */
function echoOf(
  as: 'same' | 'other_answer' | 'error' | undefined,
  own: ResultLine,
  { answer, requestId }: Executed,
): ExecutionResult['echo'] {
  if (as === undefined || as === 'same') return undefined;
  const isError = as === 'error';
  const response = {
    status_code: isError ? 500 : answer.status,
    request_id: requestId,
    body: isError
      ? { error: statusError(500, '', requestId) }
      : withText(answer.body, '[emulated] another answer'),
  };
  return {
    to: isError || answer.status !== 200 ? 'error' : 'output',
    text: bytesOfLines([{ ...own, id: `${own.id}2`, response }]),
  };
}

/** Appends results in the order they come, many at a time. */
function collectorOf(workspace: Workspace, isPaid: boolean) {
  let pending: ExecutionResult[] = [];
  let bytes = 0;
  let writing = Promise.resolve();
  const flush = () => {
    const results = pending;
    pending = [];
    bytes = 0;
    writing = writing.then(() => workspace.append(results));
    return writing;
  };
  return {
    add: async (result: ExecutionResult) => {
      pending.push(result);
      bytes += result.text.length;
      // What an upstream answered is written at once: it was paid for.
      if (bytes >= APPEND_BYTES || isPaid) await flush();
    },
    flush,
  };
}

/** What the rules of a fault script see of a line. */
function subjectOf(
  record: BatchRecord,
  {
    line,
    custom_id,
    body,
    atMs,
  }: { line: number; custom_id: string; body: Record<string, unknown>; atMs: number },
) {
  return {
    custom_id,
    line,
    model: record.model,
    batch: record.ordinal,
    endpoint: record.endpoint,
    metadata: record.metadata,
    via: 'batch' as const,
    tier: typeof body.service_tier === 'string' ? body.service_tier : null,
    atMs,
  };
}
