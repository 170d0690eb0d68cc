import type { ObserveMessage } from '../../../src/contract/messages.ts';
import type { BatchLevelError, BatchStatus } from '../../../src/core/model/batch.ts';
import type { ResponseStatus } from '../../../src/core/model/response-status.ts';

/** What the service needs of the simulation. */
export interface ServiceWorld {
  now(): number;
  /** Whether anything may still go wrong. */
  isStormy(): boolean;
  /** Counts something that was seen to happen. */
  note(what: string): void;
  /** Reports a broken promise. */
  violation(text: string): void;
  /** Runs something later. */
  after(delayMs: number, what: string, run: () => void): void;
  /** A batch is gone for good. */
  lost(batch: ServiceBatch): void;
  /** Whether two jobs were dropped with the same content. */
  areSameContent(jobId: string, other: string): boolean;
  /** The API key that a job is to be sent with; `undefined` if nobody knows the job. */
  apiKeyOfJob(jobId: string): string | undefined;
  /** The same of the line with this marker. */
  apiKeyOfLine(marker: string): string | undefined;
  /** Whether the line with this marker was dropped more than once. */
  isDroppedAgain(marker: string): boolean;
  /** What the line with this marker, its route and its job say; `undefined` if nobody dropped it. */
  termsOfLine(marker: string): LineTerms | undefined;
  /** Whether OpenAI tells the stacks of what ends in a key's project. */
  hasWebhooks(apiKey: string): boolean;
  /** Tells them that something has ended. */
  webhook(type: ObserveMessage['type'], objectId: string, apiKey: string): void;
}

/** What a request asks for, and until when. */
export interface LineTerms {
  /** What its line says of keeping its response. */
  store: boolean | undefined;
  /** Its line's own. */
  metadata: Readonly<Record<string, string>>;
  /** Its project keeps responses for 10 minutes. */
  isShortLived: boolean;
  /** Epoch ms. */
  deadlineAt: number | undefined;
  /** The tier that its route ends in. */
  lastTier: string;
  /** Somebody has tried to cancel its job. */
  isCancelled: boolean;
}

/** What became of one request in one batch. */
export type Execution = {
  marker: string;
  customId: string;
  stackId: string;
  /** Of a call, itself alone. */
  batch: { id: string; executions: Execution[] };
  /** When it was executed, or given up. */
  at: number;
  /** Whether OpenAI charges for it. */
  isBilled: boolean;
  /**
   * - `answered`: its line is in the output file.
   * - `final`: an error that stays the same.
   * - `transient`: an error that another try may not meet.
   * - `unexecuted`: not run, because the batch expired or was cancelled.
   * - `operator`: an error that is not the request's: a quota, a key, a model.
   * - `lost`: executed and charged, but its answer is nowhere.
   */
  result: 'answered' | 'final' | 'transient' | 'unexecuted' | 'operator' | 'lost';
  /** Of the error that its line states; absent for answers and lines that are nowhere. */
  code?: string;
  /** How long a call was waited for that got no answer in time. */
  waitedMs?: number;
  /** Its line: the first answer where there are several. */
  line?: string;
  /** What it shows of tokens that were used although there is no answer: a body, as JSON. */
  usedBody?: string;
};

/** A response that is made in the background. */
export interface ServiceResponse {
  id: string;
  /** That of every answer that shows it. */
  requestId: string;
  marker: string;
  model: string;
  window: '8h' | '2h';
  /** Whose it is: a stack, or `foreign`. */
  stackId: string;
  apiKey: string;
  keyVersion: string;
  /** See {@link projectOf}. */
  project: string;
  metadata: Readonly<Record<string, string>>;
  /** Which batch its mark names. */
  batchId: string | undefined;
  /** As it was asked for. */
  store: boolean | undefined;
  /** Kept for 10 minutes only. */
  isShortLived: boolean;
  /** Of its request. */
  tokens: number;
  createdAt: number;
  endedAt?: number;
  /** 404 until then, and from then on. */
  seenFrom: number;
  expiresAt?: number;
  status: ResponseStatus;
  steps: { at: number; to: ResponseStatus }[];
  hasBegun: boolean;
  /** Should it be cancelled, it says nothing of what it used. */
  isSilent: boolean;
  /** Its status is shown as a word that nobody knows, as long as it has not ended. */
  isStrange: boolean;
  failure?: string;
  /** What it says of its window: one that was missed may be named otherwise, or not at all. */
  shownWindow: '8h' | '2h' | 'soonest' | 'none';
  /** JSON, as it is shown. */
  body: string;
  /** Whether its create was answered. */
  isReported: boolean;
  /** It is there, and the answer until then is that it is not; once at the most. */
  hiddenUntil?: number;
  /** Somebody asked for it and the answer was that it is not there. */
  wasMissed?: boolean;
  /** The same, because it was kept no longer. */
  wasGone?: boolean;
  isRemoved?: boolean;
  execution: Execution;
}

/** What the files of a slice say of one of its responses. */
export interface RecordedResponse {
  /** How far it was right before it was to be cancelled. */
  leaving?: 'queued' | 'in_progress' | undefined;
  /** Of the key that created it; absent where a webhook told of it. */
  keyVersion?: string | undefined;
}

/** One request of an uploaded file, as the service reads it. */
export interface ServiceRequest {
  customId: string;
  model: string;
  marker: string;
  kind: string;
  tokens: number;
}

export interface ServiceFile {
  id: string;
  /** See {@link projectOf}. */
  project: string;
  /** Whose it is: a stack, or `foreign`. */
  owner: string;
  /** Of result files, whose results. */
  batch?: ServiceBatch;
  content: Uint8Array;
  /** Of input files. */
  filename?: string;
  /** By our clock. */
  createdAt: number;
  /** 404 or empty until then. */
  lateUntil?: number;
  lateLooks?: 'missing' | 'empty';
  /** 5xx until then. */
  unreadableUntil?: number;
  /** Downloads end after so many bytes until then: see the kind `line-boundary`. */
  partUntil?: number;
  part?: number;
  isPartLengthTold?: boolean;
  isDeleted: boolean;
}

/** How a batch goes, drawn when it is created. */
export type Fate =
  | 'normal'
  | 'all_failed'
  | 'stuck'
  | 'slow_validation'
  | 'slow_finalizing'
  | 'expired'
  | 'cancelled'
  | 'refused_blindly'
  | 'no_room';

/**
 * What a batch shows that ends as failed after it ran: files with some of its results, counts alone, or nothing, so
 * that only a reader that has seen it running knows that it ran.
 */
export type LateFailure = 'files' | 'counts' | 'silent';

export interface Progress {
  total: number;
  completed: number;
  failed: number;
}

export interface ServiceBatch {
  id: string;
  /** See {@link projectOf}. */
  project: string;
  owner: string;
  jobId: string;
  batchId: string;
  nonce: string;
  inputFileId: string;
  endpoint: string;
  metadata: Record<string, string>;
  /** By our clock. */
  createdAt: number;
  endedAt?: number;
  status: BatchStatus;
  /** None if its file had been deleted before it was created. */
  requests: ServiceRequest[];
  /** Those of its file as it was uploaded. */
  uploaded: ServiceRequest[];
  fate: Fate;
  /** Whether it was made while things could go wrong. */
  isStormy: boolean;
  /** Whether it arrived after its client had given up. */
  isLate: boolean;
  isCancelledUnbegun?: boolean;
  steps: { at: number; to: BatchStatus }[];
  errors?: BatchLevelError[];
  output?: ServiceFile;
  errorFile?: ServiceFile;
  /** File ids are absent until then. */
  namedAt: number;
  listedAt: number;
  /** 404 in this time. */
  vanished?: { from: number; until: number };
  /** 404 from now on, for ever. */
  isGone?: boolean;
  progress: Progress;
  /** What is reported of its progress once it is completed. Default: what it is. */
  toldCounts?: 'absent' | 'zero' | 'low';
  /** How it fails although it ran. */
  lateFailure?: LateFailure;
  /** Tokens still count as enqueued until then, though the batch has ended. */
  leakedUntil?: number;
  executions: Execution[];
}

/** A request that goes out by itself, in no batch. */
export function calledAlone({
  id,
  ...execution
}: Pick<Execution, 'marker' | 'stackId' | 'at' | 'result'> & { id: string }): Execution {
  const alone: Execution = { ...execution, customId: '', batch: { id, executions: [] }, isBilled: false };
  alone.batch.executions.push(alone);
  return alone;
}
