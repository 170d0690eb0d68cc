/**
 * The record of a batch. Times are epoch milliseconds. It carries the version of its shape (`v`), because a batch
 * lives for up to 24 hours and the next deployment must be able to finish it.
 */
import { DEFAULT_API_KEY } from '../../contract/api-key.ts';
import type { Tier } from '../../contract/route.ts';
import type { BatchOutcome } from './outcome.ts';
import type { TokenUsage } from './usage.ts';

/** The way down that a request may take, and when its result must be there. */
export interface Ladder {
  /** Of those that the route allows, the ones that serve its endpoint; never empty. */
  tiers: Tier[];
  /** Absent: there is no hurry. */
  deadlineAt?: number;
}

/** How far the calls of a slice are: requests in manifest order, one by one. */
export interface Calls {
  /** Requests before this one may have been called; recorded before they are. */
  started: number;
  /** Files of answers that stand in `work/`, numbered from 0. */
  segments: number;
  /** Requests that they answer. */
  done: number;
  /** Of those, the ones that surely were not, left by a worker that ended in good order. */
  again?: number[];
  /** How often in a row the slice was put off, because OpenAI had no room for it. */
  refusals?: number;
}

/**
 * Journal of one batch. Each arrow is one conditional write:
 * `planned -> admitted -> uploaded -> submitting -> submitted -> ended -> collected`.
 *
 * - `planned`: the manifest exists; it waits for its turn, nothing is at OpenAI that matters.
 * - `admitted`: there is room for it: its enqueued tokens are reserved until OpenAI has ended it.
 * - `uploaded`: the input file is at OpenAI.
 * - `submitting`: intent; a batch may exist at OpenAI or not, to be looked up before anything else is done.
 * - `submitted`: OpenAI gave an id.
 * - `ended`: OpenAI reported a terminal status.
 * - `collected`: every request of it has an outcome, or its place in the next round.
 *
 * A batch of tier `flex` or `standard` is a slice of at most 500 requests that are called one by one; OpenAI never sees it
 * as a batch: `planned -> admitted -> ended -> collected`.
 */
export type BatchState =
  | 'planned'
  | 'admitted'
  | 'uploaded'
  | 'submitting'
  | 'submitted'
  | 'ended'
  | 'collected';

/**
 * How far a batch is at its provider, in the words that every adapter translates its provider's into. They are OpenAI's (openai
 * 7.55.0 `resources/batches.ts`), the finest that any provider tells.
 */
export const BATCH_STATUSES = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const;

export type BatchStatus = (typeof BATCH_STATUSES)[number];

/** A slice of a job that becomes one OpenAI batch. */
export interface BatchRecord {
  v: 1;
  jobId: string;
  /** `<round>-<place>`, unique in the job. See {@link batchIdOf}, {@link childBatchId} and {@link byRoundAndPlace}. */
  batchId: string;
  round: number;
  state: BatchState;
  endpoint: string;
  model: string;
  /** OpenAI's service tier that its requests are sent in. Absent: `batch`. */
  tier?: Tier;
  /** In which tiers it may go on. Absent: in its own. */
  ladder?: Ladder;
  /** The tier that what it leaves goes on in; set when the ladder ends the batch. */
  goTo?: Tier;
  /** Of a slice: how far it is. */
  calls?: Calls;
  manifestKey: string;
  requests: number;
  /** Exact size of the rendered file. */
  bytes: number;
  /** Estimated input tokens, as OpenAI counts them while the batch is enqueued. */
  tokens?: number;
  /** Bytes of all batches of its job together. */
  jobBytes?: number;
  /** The most output tokens that its requests may be answered with: see budget/bound.ts. */
  outputTokens?: number;
  /** Length of its longest request. */
  longestBytes?: number;
  /** Name of the route of its job, by which its budget is found. */
  route?: string;
  /** Name of the API key that it is sent with, frozen with its job. Absent: the stack's own. See {@link apiKeyOf}. */
  apiKey?: string;
  /** See {@link Job.budgetUsd}. */
  budgetUsd?: string;
  /** When its job was claimed: batches are admitted oldest job first. Absent: `createdAt` counts. */
  jobCreatedAt?: number;
  createdAt: number;
  updatedAt: number;
  /** Id of the reservation that it was admitted with. */
  reservation?: string;
  /** When it was admitted, nothing else was reserved on the ledger of its tokens. */
  sentAlone?: true;
  /** Too large for the enqueued-token limit, with nothing of it executed: to be cut into batches of so many tokens. */
  recutTokens?: number;
  /** The same for what its budget has left: to be cut into batches of so many millionths of a USD at most. */
  recutMicrodollars?: number;
  /** Fencing: only the holder may write until `claimedUntil`. */
  claim?: string;
  claimedUntil?: number;
  /** Not to be submitted before this time. */
  notBefore?: number;
  /** How many times in a row its create was refused. */
  refusals?: number;
  /** How many times OpenAI has ended it for lack of enqueued tokens. */
  tokenRefusals?: number;
  /** How many times in a row its create was refused because OpenAI did not have its input file ready. */
  fileTries?: number;
  /** How many times it was sent again because OpenAI had failed it without having executed anything. */
  resends?: number;
  /** Marks one attempt to create: in the batch's metadata and in the file's name. */
  nonce?: string;
  inputFileId?: string;
  /** Version of the secret of its key that uploaded the file; one may belong to another project than the next one. */
  keyVersion?: string;
  /** How many creates were begun; the n-th one is written down below `work/`, too. */
  attempts?: number;
  /** When the record was behind what had been begun (the table was restored), and brought forward. */
  adoptedAt?: number;
  /** When the intent to create was recorded. */
  intentAt?: number;
  /** When the input file of an unanswered create was deleted. */
  fencedAt?: number;
  /** A look-up of an unanswered create that the next worker continues. */
  lookUp?: PagePosition;
  openaiBatchId?: string;
  submittedAt?: number;
  status?: BatchStatus;
  /** When the status was first seen. */
  statusAt?: number;
  /** When OpenAI began to execute it, as it says, or when that was first seen. Absent: nothing shows that it has. */
  startedAt?: number;
  /** When OpenAI stops executing the batch, as it says. */
  expiresAt?: number;
  /** Since when OpenAI has answered that it does not know the batch. */
  unreachableSince?: number;
  /** Since when S3 has refused to give the input, so that the batch cannot be sent. */
  inputUnreadableSince?: number;
  /** OpenAI's progress counts; never used for accounting. */
  progress?: { total: number; completed: number; failed: number };
  outputFileId?: string;
  errorFileId?: string;
  /** OpenAI's errors of a batch that failed as a whole. */
  errors?: BatchLevelError[];
  endedAt?: number;
  /** When it was decided to cancel the batch at OpenAI; the poll repeats that until it ends. */
  cancelRequestedAt?: number;
  /** OpenAI's result files as they were copied to below `work/`, each once. */
  fetched?: FetchedFile[];
  /** A copy that goes on in another invocation. */
  fetching?: Fetching;
  /** Set while results are late: how many requests had one when it was looked at last. */
  lateResults?: number;
  outcome?: BatchOutcome;
  /** Tokens of the whole batch, where OpenAI says so: only compared with those of its lines. */
  reportedUsage?: TokenUsage;
  /** Answers and final errors of this batch, in input order; absent where there is none. */
  outputRun?: RunRef;
  errorRun?: RunRef;
  /** The batches that take up what this one leaves; never empty. Their records are derived from here. */
  next?: NextBatch[];
  /** How often what this batch is made of was mended, by taking out lines that OpenAI refused or by halving. */
  repairs?: number;
  /** How often in a row a step of this batch has failed. */
  failures?: number;
  /** The last reason why a step could not be done, for the operator. Never content. */
  lastError?: string;
  /** A code: why this batch waits for a person. Without `heldAt` it is tried again now and then all the same. */
  heldReason?: string;
  /** Since when it is held: it is not sent before a person releases it, see resume.ts. */
  heldAt?: number;
  /** When the batch was given up because OpenAI no longer knew it: it has no results. */
  lostAt?: number;
}

/** How far a list of OpenAI's was read. */
export interface PagePosition {
  /** Id of the last item of the last page: what follows it is next. */
  after: string;
  /** Pages read, from 1. */
  pages: number;
  /** An earlier `after`: the list leads in a circle if it comes again. */
  mark: string;
}

/** A result file of OpenAI, copied byte for byte. */
export interface FetchedFile {
  fileId: string;
  key: string;
  bytes: number;
  crc32: number;
  /** When it was begun: what OpenAI added to the file later may be missing. */
  fetchedAt: number;
  /** OpenAI gave no more of it, however often it was asked. */
  isPartial?: boolean;
}

/** How far the copy of a result file is. */
export interface Fetching {
  fileId: string;
  bytes: number;
  /** See checkpoint.ts. */
  checkpointKey: string;
}

/** What a batch of the next round is made of. */
export interface NextBatch {
  /** See {@link BatchRecord.tier}. */
  tier?: Tier;
  manifestKey: string;
  requests: number;
  /** Exact size of the rendered file. */
  bytes: number;
  /** See {@link BatchRecord.tokens}. */
  tokens?: number;
  outputTokens?: number;
  longestBytes?: number;
  /** See {@link BatchRecord.repairs}. */
  repairs?: number;
  /** See {@link BatchRecord.notBefore}. */
  notBefore?: number;
}

/** Where a run is (see run-file.ts), and what finalize must find in it. */
export interface RunRef {
  dataKey: string;
  indexKey: string;
  lines: number;
  bytes: number;
  firstLine: number;
  lastLine: number;
}

/** One entry of a failed batch's `errors.data`. */
export interface BatchLevelError {
  code: string;
  message: string;
  param?: string;
  /** 1-based line of the uploaded file; absent for the file as a whole. */
  line?: number;
}

/** Statuses after which OpenAI changes nothing any more. Source: openai-batch guide, "Batch object status". */
const TERMINAL_STATUSES: ReadonlySet<BatchStatus> = new Set(['failed', 'completed', 'expired', 'cancelled']);

/** Whether OpenAI is done with a batch. */
export function isTerminal(status: BatchStatus): boolean {
  return TERMINAL_STATUSES.has(status);
}

/** The tier that a batch is in. */
export function tierOf({ tier }: Pick<BatchRecord, 'tier'>): Tier {
  return tier ?? 'batch';
}

/** Name of the API key that everything of a batch, or of the jobs of a route, is sent and asked for with, and no other. */
export function apiKeyOf({ apiKey }: { apiKey?: string | undefined }): string {
  return apiKey ?? DEFAULT_API_KEY;
}

/** Whether the requests of a batch are called one by one. */
export function isSlice(batch: Pick<BatchRecord, 'tier'>): boolean {
  return tierOf(batch) !== 'batch';
}

/** `3` and `12` give `3-00012`. To sort, see {@link byRoundAndPlace}. */
export function batchIdOf(round: number, index: number): string {
  return `${round}-${String(index).padStart(5, '0')}`;
}

/** Orders batches of a job by round, then by place; ids as text would put round 10 before round 2. */
export function byRoundAndPlace(
  one: Pick<BatchRecord, 'batchId'>,
  other: Pick<BatchRecord, 'batchId'>,
): number {
  const [numbers, others] = [numbersOf(one), numbersOf(other)];
  for (const [index, number] of numbers.entries()) {
    // A batch stands before those below its place.
    const difference = number - (others[index] ?? -1);
    if (difference !== 0) return difference;
  }
  return numbers.length - others.length;
}

function numbersOf({ batchId }: Pick<BatchRecord, 'batchId'>): number[] {
  return batchId.split(/[-.]/).map(Number);
}

/**
 * The id of child `index` of the `count` batches that take up what a batch leaves. An only child keeps its parent's
 * place (`0-00003`: `1-00003`), one of several has a place below it (`1-00003.0`, `1-00003.1`); so no two batches of a
 * round ever have the same place.
 */
export function childBatchId(
  parent: Pick<BatchRecord, 'batchId' | 'round'>,
  index: number,
  count: number,
): string {
  const place = parent.batchId.slice(parent.batchId.indexOf('-') + 1);
  return `${parent.round + 1}-${place}${count === 1 ? '' : `.${index}`}`;
}

/** Estimated tokens of a batch: four bytes each where nobody has looked closer. */
export function tokensOf(batch: Pick<BatchRecord, 'tokens' | 'bytes'>): number {
  return batch.tokens ?? Math.ceil(batch.bytes / 4);
}
