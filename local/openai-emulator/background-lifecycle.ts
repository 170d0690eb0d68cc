import { answer } from './answers.ts';
import { usageObject } from './batch-lifecycle.ts';
import { unixSeconds } from './clock.ts';
import type { EffectOf } from './effects.ts';
import type { Body } from './exchange.ts';
import { patched } from './json-patch.ts';
import type { Execution } from './ledger-row.ts';
import { WINDOW_MS, WINDOW_RATE, type Window } from './windows.ts';

/** What a project's retention is: standard, modified abuse monitoring, or zero data retention. */
export type Retention = 'standard' | 'mam' | 'zdr';

/** How background responses run, and what is billed where no source says it. */
export type BackgroundSettings = {
  /** The share of its window that a response is queued. Default 0.01: the real one is not known. */
  queuedShare: number;
  /** The share of its window that a response is in_progress. Default 0.01: the real one is not known. */
  runShare: number;
  /** How many are in_progress at a time; the others stay queued, the oldest goes first. Default no bound. */
  capacity: number;
  /** The rate of a response that ends after its window: not established. Default `standard`. */
  missedWindow: 'standard' | 'discount';
  /** Whether one that is cancelled while in_progress is billed: not established. Default `billed`. */
  cancelledInProgress: 'billed' | 'unbilled';
  /** Whether one that is cancelled while queued shows a `usage` of zeros, or null: not established. Default `null`. */
  cancelledQueued: 'null' | 'zeros';
  /** Of all projects, or by project; what is not named is standard. Default `standard`. */
  retention: Retention | Readonly<Record<string, Retention>>;
};

/** See `BackgroundSettings`. */
export const DEFAULT_BACKGROUND: BackgroundSettings = {
  queuedShare: 0.01,
  runShare: 0.01,
  capacity: Number.POSITIVE_INFINITY,
  missedWindow: 'standard',
  cancelledInProgress: 'billed',
  cancelledQueued: 'null',
  retention: 'standard',
};

/** Statuses of a background response. */
export type ResponseStatus = 'queued' | 'in_progress' | 'completed' | 'failed' | 'cancelled' | 'incomplete';

/** Everything the emulator knows of a background response; kept in the journal. Times are milliseconds. */
export type ResponseRecord = {
  id: string;
  /** 1 for the first background response ever created. */
  ordinal: number;
  project: string;
  /** The `X-Client-Request-Id` of its create. */
  customId: string | null;
  /** The request as sent; dropped when the response has ended. */
  body: Body | null;
  model: string;
  metadata: Readonly<Record<string, string>> | null;
  window: Window;
  status: ResponseStatus;
  createdAtMs: number;
  inProgressAtMs: number | null;
  endedAtMs: number | null;
  /** After its end. */
  retentionMs: number;
  /** What its end shows; dropped when it is deleted. */
  answer: Body | null;
  /** What was executed of it: one at most. It outlives the response, so that the ledger is whole. */
  execution: Execution | null;
  isDeleted: boolean;
  /** What goes wrong with this response, decided when it was created. */
  faults: EffectOf<'response'>[];
};

/** Whether nothing more will happen to a response without `response.cancel_race`. */
export const hasEnded = ({ status }: Pick<ResponseRecord, 'status'>): boolean =>
  status !== 'queued' && status !== 'in_progress';

/** The first fault of a kind that was decided for this response. */
export function responseFault<K extends EffectOf<'response'>['kind']>(
  record: ResponseRecord,
  kind: K,
): Extract<EffectOf<'response'>, { kind: K }> | undefined {
  return record.faults.find((fault) => fault.kind === kind) as
    | Extract<EffectOf<'response'>, { kind: K }>
    | undefined;
}

/** How long a stuck response is held in a state, in ms: 0 unless a fault says so, Infinity for ever. */
function heldMs(record: ResponseRecord, state: 'queued' | 'in_progress'): number {
  const stuck = responseFault(record, 'response.stuck');
  return stuck?.state === state ? (stuck.seconds ?? Number.POSITIVE_INFINITY) * 1000 : 0;
}

/** When a queued response may start, if there is capacity. */
export function readyAtMs(record: ResponseRecord, settings: BackgroundSettings): number {
  const seconds = responseFault(record, 'response.duration')?.queued_seconds;
  const queuedMs = seconds === undefined ? WINDOW_MS[record.window] * settings.queuedShare : seconds * 1000;
  return Math.floor(record.createdAtMs + queuedMs) + heldMs(record, 'queued');
}

/** When a response that is in_progress ends. */
export function endsAtMs(record: ResponseRecord, settings: BackgroundSettings): number {
  const missed = responseFault(record, 'response.miss_window');
  if (missed !== undefined) {
    return record.createdAtMs + WINDOW_MS[record.window] + missed.seconds * 1000;
  }
  const seconds = responseFault(record, 'response.duration')?.in_progress_seconds;
  const runMs = seconds === undefined ? WINDOW_MS[record.window] * settings.runShare : seconds * 1000;
  return Math.floor(record.inProgressAtMs! + runMs) + heldMs(record, 'in_progress');
}

/** When a response that was shown as cancelled turns out to be completed; undefined when it does not. */
export function revivesAtMs(record: ResponseRecord): number | undefined {
  const race = responseFault(record, 'response.cancel_race');
  if (record.status !== 'cancelled' || race?.seconds === undefined || record.body === null) return undefined;
  return record.endedAtMs! + race.seconds * 1000;
}

/** The tier under which the ledger has a response. */
export const tierOfWindow = (window: Window): string =>
  window === 'soonest' ? 'default' : `background-${window}`;

/** The share of the standard rate at which an execution that ended then is billed. */
export function rateOf(record: ResponseRecord, endedAtMs: number, settings: BackgroundSettings): number {
  const isMissed = endedAtMs > record.createdAtMs + WINDOW_MS[record.window];
  return isMissed && settings.missedWindow === 'standard' ? 1 : WINDOW_RATE[record.window];
}

/** Ten minutes, as the guide says "roughly"; thirty days by default (both read 2026-11-29). */
const RETENTION_MS = { short: 600_000, long: 2_592_000_000 };

/**
 * How long a response is kept after its end: zero data retention forces `store: false`; modified abuse monitoring
 * keeps it only with an explicit `store: true`.
 */
export function retentionMs(body: Body, project: string, { retention }: BackgroundSettings): number {
  const ofProject = typeof retention === 'string' ? retention : (retention[project] ?? 'standard');
  const isLong = ofProject === 'standard' ? body.store !== false : ofProject === 'mam' && body.store === true;
  return isLong ? RETENTION_MS.long : RETENTION_MS.short;
}

/** Whether a GET finds it at a moment. */
export function isFound(record: ResponseRecord, nowMs: number): boolean {
  const late = responseFault(record, 'response.late');
  if (record.isDeleted || nowMs < record.createdAtMs + (late?.seconds ?? 0) * 1000) return false;
  const vanish = responseFault(record, 'response.vanish');
  if (vanish?.since === 'create' && nowMs >= record.createdAtMs + vanish.after_seconds * 1000) return false;
  if (record.endedAtMs === null) return true;
  const keptMs = vanish?.since === 'end' ? vanish.after_seconds * 1000 : record.retentionMs;
  return nowMs < record.endedAtMs + keptMs;
}

/** What the emulator itself would answer to a request: the shape of every state, and the usage. */
export function ownAnswer(record: ResponseRecord): Body {
  return answer('/v1/responses', record.body!, {
    requestHash: '',
    executionKey: record.id,
    nowMs: record.createdAtMs,
    isStrict: () => false,
  }).body;
}

/** The Response object as the API shows it. */
export function responseShown(record: ResponseRecord): Body {
  const shown = record.answer ?? unfinished(record, record.status);
  return record.faults
    .filter((fault) => fault.kind === 'response.patch')
    .filter((fault) => fault.while?.includes(record.status) ?? true)
    .reduce((object, fault) => patched(object, fault.operations) as Body, shown);
}

/** A Response object without output. */
export function unfinished(record: ResponseRecord, status: ResponseStatus, changes: Body = {}): Body {
  return {
    ...ownAnswer(record),
    ...identity(record),
    status,
    completed_at: null,
    incomplete_details: null,
    output: [],
    service_tier: record.body?.service_tier ?? 'auto',
    usage: null,
    ...changes,
  };
}

/** What is the same in every state. */
export const identity = (record: ResponseRecord): Body => ({
  id: record.id,
  created_at: unixSeconds(record.createdAtMs),
  background: true,
  metadata: record.metadata ?? {},
});

/** The usage of an execution in the form of the API. */
export const usageShown = ({ usage }: Execution): Body => usageObject(usage);
