/**
 * The records that batchdrop keeps: jobs and batches, as the domain sees them and as the table stores them.
 *
 * Times are epoch milliseconds. Every record carries the version of its shape (`v`), because a batch lives for up to
 * 24 hours and the next deployment must be able to finish it.
 */

import { DEFAULT_API_KEY } from '../../contract/api-key.ts';
import type { OptionName } from '../../contract/options.ts';
import type { PricedTier } from '../../contract/rates.ts';
import type { Receipt } from '../../contract/receipt.ts';
import type { Route, Tier } from '../../contract/settings.ts';

/** One immutable version of one object: what a job reads and what manifests point into. */
export interface SourceObject {
  bucket: string;
  key: string;
  /** Absent only for objects below `work/`, which batchdrop writes once and never changes. */
  versionId?: string;
}

/** What HeadObject says of an input. */
export interface ObjectHead {
  bucket: string;
  key: string;
  /** Absent in a bucket without versioning. */
  versionId?: string;
  etag: string;
  /** Epoch milliseconds; S3 keeps whole seconds. */
  lastModified: number;
  size: number;
  /** User metadata, `x-amz-meta-` left out, names in small letters. Absent if there is none, in listings, and in records. */
  metadata?: Record<string, string>;
}

/** What S3 keeps at a key, as a listing of its versions tells. */
export interface KeyVersion extends ObjectHead {
  /** Whether it is what the key gives when no version is asked for. */
  isLatest: boolean;
  /** A delete marker: there was no object from then on. Its `size` is 0 and its `etag` is empty. */
  isDeleteMarker: boolean;
}

/**
 * How far a job is. `completed` and `rejected` are final; a `duplicate` is once it has a receipt, until then it waits for its
 * owner and may be `ingesting` again.
 */
export type JobState = 'ingesting' | 'running' | 'completed' | 'rejected' | 'duplicate';

/** Why nothing of a job was run. `code` is stable; `message` is for a person. */
export interface Rejection {
  code:
    | 'empty_file'
    | 'not_json_lines'
    | 'object_gone'
    | 'no_valid_lines'
    | 'invalid_lines'
    | 'gzip_corrupt'
    | 'gzip_too_large'
    | 'too_many_models'
    | 'ingest_failed'
    | 'invalid_options'
    | 'key_too_long'
    | 'input_unreadable';
  message: string;
}

/** A file that S3 does not give, as it was tried last. Times are epoch milliseconds. */
export interface Unreadable {
  /** Of the first try. */
  since: number;
  tries: number;
  /** S3's error code. */
  code: string;
  /** For a person: what S3 said, and what to do. */
  reason: string;
  /** When it is tried again. */
  nextAt: number;
}

/** Failures in a row of a step of a job, ingest or finalize. Deliveries that are throttled and workers that die are none. */
export interface Failing {
  /** Of the first failure. */
  since: number;
  tries: number;
  /** What failed last: our own message, or the name of another error. */
  reason: string;
  /** When it is tried again. */
  nextAt: number;
}

/** How ingest of a file is going. */
export interface IngestProgress {
  /** Runs that have begun since the last checkpoint and not come back. */
  starts: number;
  /** How often everything had to be read anew, because a checkpoint could not be gone on from. */
  restarts?: number;
  /** Absent while the file can be read, as far as anybody knows. */
  unreadable?: Unreadable;
  /** Where the next run goes on; absent while there was one run at most. */
  checkpoint?: {
    /** Counts the checkpoints of the job, from 1. */
    generation: number;
    key: string;
    /** How far the source, unpacked, was read. */
    offset: number;
  };
}

/** One option that a dropped object said and that is followed. */
export interface AppliedOption {
  name: OptionName;
  value: string | number | string[];
  /** What it was called there, and where. */
  from: string;
}

/** One version of one input object. */
export interface Job {
  v: 1;
  jobId: string;
  /** The dropped object. */
  input: ObjectHead;
  /** What is read in its place: the same version, or a pinned copy below `work/`. */
  source: SourceObject;
  /** Frozen when the job was claimed, with what the dropped object said otherwise. */
  route: Route;
  /** What the dropped object says that it may cost at the most, in USD as decimal text. */
  budgetUsd?: string;
  /**
   * The job of the version that S3 had stored right before this one, whether there is such a job or not; it may own this one
   * if its content is the same. Absent if there was none.
   */
  predecessor?: { jobId: string; versionId?: string; lastModified: number };
  /** How many versions of its key with the same second are older. Absent: none. */
  rank?: number;
  /** What of the route the dropped object said otherwise. Absent if it said nothing. */
  options?: AppliedOption[];
  state: JobState;
  createdAt: number;
  updatedAt: number;
  /** Fencing: only the holder may write until `claimedUntil`. Absent while no worker has the job. */
  claim?: string;
  claimedUntil?: number;
  ingest?: IngestProgress;
  /** Absent while the job's own steps do not fail. */
  failing?: Failing;
  /** Key of the plan that ingest wrote; present from `running` on, and for a rejected file that could be read. */
  planKey?: string;
  rejection?: Rejection;
  /**
   * Of a duplicate: its owner, the job of the same content that it waits for and whose results answer it. May be a duplicate
   * itself.
   */
  duplicateOf?: string;
  /** Of a cancelled job: its duplicates run, in place of being cancelled with it. */
  duplicatesRun?: boolean;
  /** What the receipt says; present once it is written. */
  result?: Receipt['result'];
  /** When somebody cancelled it: what is not finished ends as it stands, and nothing is sent any more. */
  cancelledAt?: number;
  /** A batch that was not collected when somebody looked: while it is not, the job is surely not finished. */
  waitsFor?: string;
  /** How far the merging of results is, where it takes more than one invocation. */
  merge?: MergeProgress;
  /** Key of the receipt; present once `completed` or `rejected` is final. */
  receiptKey?: string;
  /** What it cost, as its receipt says: USD as an exact decimal, and the most that it may have cost beyond that. */
  cost?: { usd: string; possibleUsd: string };
  /** When its files below `work/` were removed. */
  workRemovedAt?: number;
}

/** Whether nothing will be done for a job any more. */
export function hasEnded({ state, receiptKey }: Pick<Job, 'state' | 'receiptKey'>): boolean {
  return receiptKey !== undefined && state !== 'ingesting' && state !== 'running';
}

/** A merge that goes on in another invocation. */
export interface MergeProgress {
  /** Counts the checkpoints of the job's merge, from 1. */
  generation: number;
  /** See checkpoint.ts. */
  checkpointKey: string;
}

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

/** OpenAI's batch statuses, verbatim. Source: openai 7.55.0 `resources/batches.ts`. */
export const OPENAI_BATCH_STATUSES = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const;
export type OpenAIBatchStatus = (typeof OPENAI_BATCH_STATUSES)[number];

/** Tokens as OpenAI reports them, summed. */
export interface TokenUsage {
  inputTokens: number;
  /** Part of the input that OpenAI read from its prompt cache. */
  cachedTokens: number;
  /** Part of the input that OpenAI wrote to its prompt cache, which some models charge for. */
  cacheWriteTokens: number;
  outputTokens: number;
  reasoningTokens: number;
}

/** What collecting a batch found, by request. */
export interface BatchOutcome {
  succeeded: number;
  failed: number;
  /** Moved to the next round. */
  retried: number;
  /** Of those, run again though OpenAI may have charged the try that it lost, by what became of that try. */
  possiblyBilledTwice: Record<string, number>;
  /** Final errors by code. */
  failedByCode: Record<string, number>;
  /** Succeeded, but cut at the token limit (`finish_reason: "length"`, `incomplete_details.reason: "max_output_tokens"`). */
  incomplete: number;
  /** Succeeded, but cut by OpenAI's content filter (`content_filter` in the same places). */
  filtered: number;
  /** Succeeded, but cut for another reason of `incomplete_details`. */
  cutOtherwise: number;
  /** Result lines that were no UTF-8: what was none is replaced by U+FFFD. The bytes as they came stay in `work/`. */
  repairedLines: number;
  /** Lines of OpenAI's files that were not used: named nobody of this batch, or somebody for the second time. */
  strayLines: number;
  usage: TokenUsage;
  /** Absent where there were no budgets yet. */
  bill?: Bill;
}

/** What a batch cost. Amounts are USD as exact decimals, such as `0.000425`. */
export interface Bill {
  /** By the tier that OpenAI billed, for results that have a price. */
  tiers: { [Tier in PricedTier]?: TierBill };
  /** Results of which something has no price that is known, tokens or a tool: that is in no amount. */
  unpriced: number;
  /** Answers that do not say what they used: their shares of the batch's most are in {@link possibleUsd}. */
  withoutUsage: number;
  /** What tools that OpenAI runs were charged by the call: part of the tiers' amounts. */
  toolUsd: string;
  /** What the priced results would have cost in standard; those without a standard price as much as they did. */
  standardUsd: string;
  /** The most that OpenAI may have charged for results that it lost, or did not give the usage of. */
  possibleUsd: string;
  /** Whether OpenAI reported other tokens for the batch than its lines have. */
  differs?: boolean;
}

/** What was billed in one tier. */
export interface TierBill {
  /** Results that had tokens. */
  results: number;
  usage: TokenUsage;
  usd: string;
}

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
  status?: OpenAIBatchStatus;
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
const TERMINAL_STATUSES: ReadonlySet<OpenAIBatchStatus> = new Set([
  'failed',
  'completed',
  'expired',
  'cancelled',
]);

/** Whether OpenAI is done with a batch. */
export function isTerminal(status: OpenAIBatchStatus): boolean {
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

/**
 * What has been taken of something that is limited: enqueued tokens of a model, money of a budget. Names say of what,
 * see admission/scopes.ts. Amounts are whole numbers: tokens, or millionths of a USD.
 */
export interface Ledger {
  v: 1;
  name: string;
  /** Held by reservations that are not settled. */
  reserved: number;
  /** Spent for good; stays 0 for what is only occupied for a time. */
  used: number;
  /** The limit, as OpenAI's own message told it last, and when. */
  limit?: number;
  limitLearnedAt?: number;
  /** How much we dare to reserve at present; follows refusals and acceptances. Absent: where the limit starts. */
  ceiling?: number;
  /** Refusals in a row, and the last one's batch at OpenAI (a refusal that is told twice counts once). */
  refusals?: number;
  lastRefusal?: string;
  /** Nothing is admitted before this time. */
  pausedUntil?: number;
  /** Batches beyond what is proven that OpenAI has neither taken nor refused yet, by the id of their reservation. */
  unjudged?: Record<string, UnjudgedBatch>;
  /** How many of those there may be at a time. Absent: where that starts. */
  probes?: number;
  /** What was enqueued, with the batch, when OpenAI last refused one although its limit had room for it. */
  refusedAt?: number;
  /** When that last was so: somebody else shares the limit, or counts otherwise than we do. */
  sharedAt?: number;
  /** Of a model in a tier in which requests are called one by one. */
  pace?: LearnedPace;
  updatedAt: number;
}

/** A batch that is sent to see whether there is room for it. */
export interface UnjudgedBatch {
  jobId: string;
  tokens: number;
  bytes: number;
}

/** What calls have shown. */
export interface LearnedPace {
  /** The account's limits, as OpenAI's answers tell them (`x-ratelimit-limit-requests`, `-tokens`). */
  requestsPerMinute?: number;
  tokensPerMinute?: number;
  /** How long a call takes on average. */
  callMs?: number;
  latencies?: Latencies;
}

/** How long recent calls took. One that got no answer counts as long as it was waited for. */
export interface Latencies {
  /** Oldest first. */
  recentMs: readonly number[];
  /** When the last of them was measured. */
  at: number;
}

/**
 * What one batch occupies from its admission on: enqueued tokens until OpenAI has ended it, money until it is collected.
 * Each is given back once.
 */
export interface Reservation {
  v: 1;
  reservationId: string;
  jobId: string;
  batchId: string;
  state: 'held' | 'settled';
  /** What is still held; of a settled one, what was held last. */
  amounts: { ledger: string; amount: number }[];
  createdAt: number;
  updatedAt: number;
}

/** How it shows that what was wrong is over: OpenAI took a batch, or answered requests of one. */
export type ParkProof = 'created' | 'collected';

/** Something that only a person can mend (key, billing, access to a model): batches of the scope wait, unharmed. */
export interface Park {
  v: 1;
  /** A key scope, or a key scope and a model: see `admission/scopes.ts`. */
  scope: string;
  isParked: boolean;
  /** OpenAI's code, or ours. */
  reason: string;
  provenBy: ParkProof;
  parkedAt: number;
  /** Batches sent to see whether it is over, and when the next one may go. */
  probes: number;
  probeAt: number;
  updatedAt: number;
}

/** Where a listing of versions is: after this one. Plain data, to be kept as it is. */
export interface ListCursor {
  key: string;
  /** Absent: after every version of the key. */
  versionId?: string;
}

/** How far the listing that finds inputs without a job is. */
export interface InputListing {
  v: 1;
  /** Counts the writes, from 1. */
  generation: number;
  /** When this deployment first ran: what was put before is left alone. */
  since: number;
  /** What was put before has a job, or was waited for long enough. */
  watermark: number;
  /** When the next pass may begin. */
  nextAt: number;
  /** One that goes on in another run. */
  pass?: ListingPass;
}

/** One listing of all inputs, over one run or several. */
export interface ListingPass {
  startedAt: number;
  /** Versions without a job so far, and when the oldest of them was put. */
  found: number;
  oldestFound?: number | undefined;
  /** Which prefix is being listed, and how far it is. */
  prefix?: string;
  after?: ListCursor | undefined;
}
