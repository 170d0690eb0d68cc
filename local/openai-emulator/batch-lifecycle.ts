import { unixSeconds } from './clock.ts';
import type { EffectOf } from './effects.ts';
import { patched } from './json-patch.ts';

/** OpenAI's batch statuses, verbatim. */
export type BatchStatus =
  | 'validating'
  | 'failed'
  | 'in_progress'
  | 'finalizing'
  | 'completed'
  | 'expired'
  | 'cancelling'
  | 'cancelled';

/** One validation error as `errors.data` shows it. */
export type BatchError = { code: string; message: string; param: string | null; line: number | null };

/** Tokens of one or many answers; `cached` is part of `input`, `reasoning` part of `output`. */
export type TokenUsage = { input: number; cached: number; output: number; reasoning: number };

/** Everything the emulator knows of a batch; kept in the journal. Times are milliseconds. */
export type BatchRecord = {
  id: string;
  /** 1 for the first batch ever created. */
  ordinal: number;
  /** The project of the key that created it. */
  project: string;
  endpoint: string;
  inputFileId: string;
  completionWindow: string;
  metadata: Record<string, string> | null;
  outputExpiresAfterSeconds: number | null;
  status: BatchStatus;
  errors: BatchError[] | null;
  /** As sent in the lines; known after validation. */
  model: string | null;
  /** The snapshot that the model resolved to. */
  resolvedModel: string | null;
  /** Requests in the input file; 0 before validation is over. */
  total: number;
  enqueuedTokens: number;
  createdAtMs: number;
  expiresAtMs: number;
  inProgressAtMs: number | null;
  finalizingAtMs: number | null;
  completedAtMs: number | null;
  failedAtMs: number | null;
  expiredAtMs: number | null;
  cancellingAtMs: number | null;
  cancelledAtMs: number | null;
  /** With an upstream: when the last line was answered. */
  answeredAtMs: number | null;
  counts: { total: number; completed: number; failed: number };
  usage: TokenUsage;
  outputFileId: string | null;
  errorFileId: string | null;
  /** What goes wrong with this batch, decided when it was created. */
  faults: EffectOf<'batch'>[];
  /** How often it has been retrieved; counted only where a fault depends on it. */
  reads: number;
};

/**
 * How long each state lasts, in virtual time. The defaults follow the captures of the real service: 1 line
 * completed after about 70 s, 9 lines after 133 s (in_progress at +3 s, finalizing at +131 s).
 */
export type Timings = {
  /** Default 3,000. */
  validatingMs: number;
  /** Of in_progress, before the first request: default 57,000. */
  startMs: number;
  /** Of in_progress, for each of the first 9 requests: default 7,900. */
  perRequestMs: number;
  /** Of in_progress, for each request after the ninth: default 100 (50,000 requests take 86 minutes; inferred). */
  perFurtherRequestMs: number;
  /** Default 2,000. */
  finalizingMs: number;
  /** Default 60,000: documented as "up to 10 minutes", under 3 minutes seen. */
  cancellingMs: number;
  /**
   * After its upload, until a file can be the input of a batch: a create before that is answered 400 "Cannot find
   * file". Default 0.
   */
  fileReadyMs: number;
};

/** See `Timings`. */
export const DEFAULT_TIMINGS: Timings = {
  validatingMs: 3_000,
  startMs: 57_000,
  perRequestMs: 7_900,
  perFurtherRequestMs: 100,
  finalizingMs: 2_000,
  cancellingMs: 60_000,
  fileReadyMs: 0,
};

/** The completion window "24h". */
export const COMPLETION_WINDOW_MS = 86_400_000;

const SLOW_REQUESTS = 9;
/** Counts grow in jumps; a batch shows at most this many. */
const JUMPS = 20;

/** Where several real objects differ, which of them to be (as seen in practice). */
export type Shapes = {
  /** `error_file_id` of a completed batch without failed lines. Default `null`. */
  noErrorFile: 'null' | 'empty_string' | 'absent' | 'zero_byte_file';
  /** `output_file_id` of a completed batch in which all lines failed. Default `null`. */
  noOutputFile: 'null' | 'empty_string' | 'absent' | 'zero_byte_file';
  /** How every other field without a value is shown. Default `null`. */
  noValue: 'null' | 'absent';
  /** Letters of `status`: `completed`, `COMPLETED` (Together) or `Completed` (older Azure). Default `lower`. */
  statuses: 'lower' | 'upper' | 'capital';
  /** Of `GET /v1/batches`: newest first is what is seen, not what is documented. Default `newest_first`. */
  listOrder: 'newest_first' | 'oldest_first' | 'by_id';
  /** Whether lists have `has_more`; a client that needs it sees only the first page. Default `shown`. */
  hasMore: 'shown' | 'absent';
  /** Of the lines in output and error files. Default `shuffled`. */
  outputOrder: 'shuffled' | 'input';
};

/** See `Shapes`. */
export const DEFAULT_SHAPES: Shapes = {
  noErrorFile: 'null',
  noOutputFile: 'null',
  noValue: 'null',
  statuses: 'lower',
  listOrder: 'newest_first',
  hasMore: 'shown',
  outputOrder: 'shuffled',
};

/** The next change of state that time alone will bring. */
export type Transition = {
  to: 'validated' | 'finalizing' | 'completed' | 'expired' | 'cancelled';
  atMs: number;
};

/** Whether nothing more will happen to a batch. */
export const isTerminal = (status: BatchStatus): boolean =>
  status === 'failed' || status === 'completed' || status === 'expired' || status === 'cancelled';

/** The first fault of a kind that was decided for this batch. */
export function faultOf<K extends EffectOf<'batch'>['kind']>(
  record: BatchRecord,
  kind: K,
): Extract<EffectOf<'batch'>, { kind: K }> | undefined {
  return record.faults.find((fault) => fault.kind === kind) as
    | Extract<EffectOf<'batch'>, { kind: K }>
    | undefined;
}

/** How long `total` requests are in_progress, in ms. */
function executionMs(total: number, timings: Timings): number {
  return (
    timings.startMs +
    timings.perRequestMs * Math.min(total, SLOW_REQUESTS) +
    timings.perFurtherRequestMs * Math.max(0, total - SLOW_REQUESTS)
  );
}

/**
 * What happens next to a batch and when, or undefined if nothing will without a client or the upstream.
 * @param hasUpstream execution then takes as long as the upstream does
 */
export function nextTransition(
  record: BatchRecord,
  timings: Timings,
  hasUpstream: boolean,
): Transition | undefined {
  if (isTerminal(record.status)) return undefined;
  const held = heldMs(record, record.status);
  if (record.status === 'cancelling') {
    const seconds = faultOf(record, 'batch.cancelling')?.seconds;
    const cancellingMs = seconds === undefined ? timings.cancellingMs : seconds * 1000;
    return { to: 'cancelled', atMs: record.cancellingAtMs! + cancellingMs + held };
  }
  const expired: Transition = { to: 'expired', atMs: expiryMs(record) };
  const due = dueTransition(record, timings, hasUpstream, held);
  return due !== undefined && due.atMs <= expired.atMs ? due : expired;
}

function dueTransition(
  record: BatchRecord,
  timings: Timings,
  hasUpstream: boolean,
  held: number,
): Transition | undefined {
  switch (record.status) {
    case 'validating':
      return { to: 'validated', atMs: record.createdAtMs + timings.validatingMs + held };
    case 'finalizing':
      return { to: 'completed', atMs: record.finalizingAtMs! + timings.finalizingMs + held };
    default: {
      if (faultOf(record, 'batch.expire') !== undefined) return undefined;
      if (!hasUpstream)
        return { to: 'finalizing', atMs: record.inProgressAtMs! + held + durationMs(record, timings) };
      return record.answeredAtMs === null
        ? undefined
        : { to: 'finalizing', atMs: record.answeredAtMs + held };
    }
  }
}

/** How many requests have been executed at `nowMs`: a function of time alone, growing in jumps. */
export function executedBy(record: BatchRecord, nowMs: number, timings: Timings): number {
  if (record.inProgressAtMs === null) return 0;
  const until = record.cancellingAtMs ?? record.finalizingAtMs ?? Math.min(nowMs, expiryMs(record));
  const elapsed = until - record.inProgressAtMs - heldMs(record, 'in_progress');
  const duration = durationMs(record, timings);
  const expire = faultOf(record, 'batch.expire');
  if (expire !== undefined) return Math.min(expire.done, record.total);
  const most = Math.min(faultOf(record, 'batch.fail')?.done ?? record.total, record.total);
  if (elapsed < 0) return 0;
  if (elapsed >= duration) return most;
  return Math.min(most, Math.floor((Math.floor((elapsed / duration) * JUMPS) / JUMPS) * record.total));
}

/** How long this batch is in_progress, in ms. */
export function durationMs(record: BatchRecord, timings: Timings): number {
  const overrun = faultOf(record, 'batch.overrun');
  if (overrun !== undefined && record.inProgressAtMs !== null) {
    const completedAtMs = record.expiresAtMs + overrun.seconds * 1000;
    return Math.max(0, completedAtMs - timings.finalizingMs - record.inProgressAtMs);
  }
  const seconds = faultOf(record, 'batch.duration')?.seconds;
  return seconds === undefined ? executionMs(record.total, timings) : seconds * 1000;
}

/** How long a batch is held in a state, in ms: 0 unless a fault says so, Infinity for ever. */
export function heldMs(record: BatchRecord, state: BatchStatus): number {
  const stuck = faultOf(record, 'batch.stuck');
  return stuck?.state === state ? (stuck.seconds ?? Number.POSITIVE_INFINITY) * 1000 : 0;
}

/** When a batch came to its end, or undefined before. */
export function endedAtMs(record: BatchRecord): number | undefined {
  if (!isTerminal(record.status)) return undefined;
  return record.completedAtMs ?? record.failedAtMs ?? record.expiredAtMs ?? record.cancelledAtMs ?? undefined;
}

/** A batch as it was just before its end; as it is when it has not ended. */
export function beforeItsEnd(record: BatchRecord): BatchRecord {
  if (!isTerminal(record.status)) return record;
  const status =
    record.cancellingAtMs !== null
      ? 'cancelling'
      : record.finalizingAtMs !== null
        ? 'finalizing'
        : record.inProgressAtMs !== null
          ? 'in_progress'
          : 'validating';
  const noEnd = { completedAtMs: null, failedAtMs: null, expiredAtMs: null, cancelledAtMs: null };
  return { ...record, ...noEnd, status, errors: null, outputFileId: null, errorFileId: null };
}

function expiryMs(record: BatchRecord): number {
  if (faultOf(record, 'batch.no_expiry') ?? faultOf(record, 'batch.overrun')) return Number.POSITIVE_INFINITY;
  const early = faultOf(record, 'batch.expire');
  return early === undefined
    ? record.expiresAtMs
    : Math.min(record.expiresAtMs, record.createdAtMs + early.after_seconds * 1000);
}

/** Whether the batch's tokens count against its model's queue: from validation until it is terminal, or leaked. */
export function holdsTokens(record: BatchRecord, nowMs: number): boolean {
  if (record.total === 0 || record.status === 'failed') return false;
  const ended = endedAtMs(record);
  if (ended === undefined) return true;
  const leak = faultOf(record, 'batch.leak_tokens');
  return leak !== undefined && nowMs < ended + (leak.seconds ?? Number.POSITIVE_INFINITY) * 1000;
}

/** The Batch object as the API shows it at a moment. */
export function batchObject(record: BatchRecord, shapes: Shapes, nowMs: number): Record<string, unknown> {
  const seconds = (ms: number | null) => (ms === null ? null : unixSeconds(ms));
  const counts = faultOf(record, 'batch.counts') ?? backwards(record);
  const object: Record<string, unknown> = {
    id: record.id,
    object: 'batch',
    endpoint: record.endpoint,
    model: record.resolvedModel,
    errors: record.errors === null ? null : { object: 'list', data: record.errors },
    input_file_id: record.inputFileId,
    completion_window: record.completionWindow,
    status: lettersOf(record.status, shapes.statuses),
    output_file_id: isNamed(record, 'output', nowMs) ? record.outputFileId : null,
    error_file_id: isNamed(record, 'error', nowMs) ? record.errorFileId : null,
    created_at: seconds(record.createdAtMs),
    in_progress_at: seconds(record.inProgressAtMs),
    expires_at: seconds(record.expiresAtMs),
    finalizing_at: seconds(record.finalizingAtMs),
    completed_at: seconds(record.completedAtMs),
    failed_at: seconds(record.failedAtMs),
    expired_at: seconds(record.expiredAtMs),
    cancelling_at: seconds(record.cancellingAtMs),
    cancelled_at: seconds(record.cancelledAtMs),
    request_counts: {
      total: counts?.total ?? record.counts.total,
      completed: counts?.completed ?? record.counts.completed,
      failed: counts?.failed ?? record.counts.failed,
    },
    usage: usageObject(isTerminal(record.status) ? record.usage : NO_TOKENS),
    metadata: record.metadata,
  };
  if (record.status === 'completed') {
    absentIn(object, 'error_file_id', shapes.noErrorFile);
    absentIn(object, 'output_file_id', shapes.noOutputFile);
  }
  if (shapes.noValue === 'absent') {
    const isFileId = (key: string) => record.status === 'completed' && /^(output|error)_file_id$/.test(key);
    for (const key of Object.keys(object)) if (object[key] === null && !isFileId(key)) delete object[key];
  }
  return record.faults
    .filter((fault) => fault.kind === 'batch.patch')
    .filter((fault) => fault.while?.includes(record.status) ?? true)
    .reduce((shown, fault) => patched(shown, fault.operations) as typeof object, object);
}

/** Whether the id of a file that a batch wrote is shown already. */
function isNamed(record: BatchRecord, file: 'output' | 'error', nowMs: number): boolean {
  const late = faultOf(record, 'batch.files_named_late');
  if (late === undefined || (late.file ?? file) !== file) return true;
  return nowMs >= (endedAtMs(record) ?? nowMs) + late.seconds * 1000;
}

/** Counts that fall while a batch is in progress, as `batch.counts_backwards` asks. */
function backwards(record: BatchRecord): Partial<BatchRecord['counts']> | undefined {
  if (record.status !== 'in_progress' || !faultOf(record, 'batch.counts_backwards')) return undefined;
  const { total, completed, failed } = record.counts;
  return { completed: total - completed - failed, failed: 0 };
}

function lettersOf(status: BatchStatus, letters: Shapes['statuses']): string {
  if (letters === 'upper') return status.toUpperCase();
  return letters === 'capital' ? status[0]!.toUpperCase() + status.slice(1) : status;
}

/** No tokens at all. */
export const NO_TOKENS: TokenUsage = { input: 0, cached: 0, output: 0, reasoning: 0 };

/** The sum of two usages. */
export const addTokens = (a: TokenUsage, b: TokenUsage): TokenUsage => ({
  input: a.input + b.input,
  cached: a.cached + b.cached,
  output: a.output + b.output,
  reasoning: a.reasoning + b.reasoning,
});

/** A usage in the form of `batch.usage` and of the Responses API. */
export const usageObject = (usage: TokenUsage) => ({
  input_tokens: usage.input,
  input_tokens_details: { cached_tokens: usage.cached },
  output_tokens: usage.output,
  output_tokens_details: { reasoning_tokens: usage.reasoning },
  total_tokens: usage.input + usage.output,
});

function absentIn(object: Record<string, unknown>, key: string, shape: Shapes[keyof Shapes]): void {
  if (object[key] !== null) return;
  if (shape === 'absent') delete object[key];
  if (shape === 'empty_string') object[key] = '';
}
