/**
 * The record of a batch. Times are epoch milliseconds. It carries the version of its shape (`v`), because a batch
 * lives for up to 24 hours and the next deployment must be able to finish it.
 *
 * What a batch is made of is at the top and is written once; what becomes of it is grouped by phase, so that a phase
 * is forgotten as a whole (see {@link GROUP_LIFETIMES}). The transitions in lifecycle/batch-transitions.ts are what
 * changes it.
 */
import * as z from 'zod';
import { DEFAULT_API_KEY } from '../../contract/api-key.ts';
import { TIERS, type Tier } from '../../contract/route.ts';
import { outcomeSchema } from './outcome.ts';
import { usageSchema } from './usage.ts';

const count = z.int().min(0);
const tierSchema = z.enum(TIERS);
/** Epoch milliseconds. */
const time = z.number();

/** The way down that a request may take, and when its result must be there. */
const ladderSchema = z.object({
  /** Of those that the route allows, the ones that serve its endpoint; never empty. */
  tiers: z.array(tierSchema).min(1),
  /** Absent: there is no hurry. */
  deadlineAt: z.exactOptional(time),
});
/** See {@link BatchRecord.ladder}. */
export type Ladder = z.infer<typeof ladderSchema>;

const callsSchema = z.object({
  /** Requests before this one may have been called; recorded before they are. */
  started: count,
  /** Files of answers below `work/`, numbered from 0. */
  segments: count,
  /** Requests that they answer. */
  done: count,
  /** Of those, the ones that surely were not, left by a worker that ended in good order. */
  again: z.exactOptional(z.array(count)),
  /** How often in a row the slice was put off, because OpenAI had no room for it. */
  refusals: z.exactOptional(count),
  /** In the background: until then nothing is created, because OpenAI had no room. A visit before only looks. */
  restUntil: z.exactOptional(time),
  /** In the background: files of ids of created responses below `work/`, numbered from 0. */
  created: z.exactOptional(count),
  /** In the background: the looks at responses that were due by then are made. */
  lookedAt: z.exactOptional(time),
  /** In the background: no further response is created; what is open is waited for. */
  closed: z.exactOptional(
    z.object({
      /** Since when what is still queued is cancelled, because of the deadline. Absent: that has another reason. */
      lateAt: z.exactOptional(time),
      /** Where the others continue. Absent: in the same tier, when a person has acted, or not at all. */
      nextTier: z.exactOptional(tierSchema),
    }),
  ),
});
/** How far the calls of a slice, or its creates in the background, are: requests in manifest order, one by one. */
export type Calls = z.infer<typeof callsSchema>;

/**
 * How far a batch is. Each arrow is one conditional write:
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
 * A batch of tier `flex` or `standard` is a slice of at most 500 requests that are called one by one; OpenAI never
 * sees it as a batch: `planned -> admitted -> ended -> collected`. All arrows: `BATCH_TRANSITIONS`.
 */
export const BATCH_STATES = [
  'planned',
  'admitted',
  'uploaded',
  'submitting',
  'submitted',
  'ended',
  'collected',
] as const;
export type BatchState = (typeof BATCH_STATES)[number];

/**
 * How far a batch is at its provider, in the words that every adapter translates its provider's into. They are
 * OpenAI's (openai 7.55.0 `resources/batches.ts`), the finest that any provider reports.
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
const statusSchema = z.enum(BATCH_STATUSES);

const pagePositionSchema = z.object({
  /** Id of the last item of the last page: what follows it is next. */
  after: z.string(),
  /** Pages read, from 1. */
  pages: count,
  /** An earlier `after`: the list leads in a circle if it comes again. */
  mark: z.string(),
});
/** How far a list of OpenAI's was read. */
export type PagePosition = z.infer<typeof pagePositionSchema>;

const fetchedFileSchema = z.object({
  fileId: z.string(),
  key: z.string(),
  bytes: count,
  crc32: count,
  /** When it was begun: what OpenAI added to the file later may be missing. */
  fetchedAt: time,
  /** OpenAI gave no more of it, however often it was asked. */
  isPartial: z.exactOptional(z.boolean()),
});
/** A result file of OpenAI, copied byte for byte. */
export type FetchedFile = z.infer<typeof fetchedFileSchema>;

const nextBatchSchema = z.object({
  /** See {@link BatchRecord.tier}. */
  tier: z.exactOptional(tierSchema),
  manifestKey: z.string(),
  requests: count,
  /** Exact size of the rendered file. */
  bytes: count,
  /** See {@link BatchRecord.tokens}. */
  tokens: z.exactOptional(count),
  outputTokens: z.exactOptional(count),
  longestBytes: z.exactOptional(count),
  /** See {@link BatchRecord.repairs}. */
  repairs: z.exactOptional(count),
  /** Not to be sent before this time. */
  notBefore: z.exactOptional(time),
});
/** What a batch of the next round is made of. */
export type NextBatch = z.infer<typeof nextBatchSchema>;

const runRefSchema = z.object({
  dataKey: z.string(),
  indexKey: z.string(),
  lines: count,
  bytes: count,
  firstLine: count,
  lastLine: count,
});
/** Where a run is (see run-file.ts), and what finalize must find in it. */
export type RunRef = z.infer<typeof runRefSchema>;

const batchLevelErrorSchema = z.object({
  code: z.string(),
  message: z.string(),
  param: z.exactOptional(z.string()),
  /** 1-based line of the uploaded file; absent for the file as a whole. */
  line: z.exactOptional(z.number()),
});
/** One entry of a failed batch's `errors.data`. */
export type BatchLevelError = z.infer<typeof batchLevelErrorSchema>;

/** Fencing: only the holder may write until its time is up. */
export const leaseSchema = z.object({ holder: z.string(), until: time });

/** What a batch is made of: written when it is created. Only `tier` changes, while nothing of it was sent. */
const planMembers = {
  endpoint: z.string(),
  model: z.string(),
  /** OpenAI's service tier that its requests are sent in. Absent: `batch`. */
  tier: z.exactOptional(tierSchema),
  /** In which tiers it may continue. Absent: in its own. */
  ladder: z.exactOptional(ladderSchema),
  manifestKey: z.string(),
  requests: count,
  /** Exact size of the rendered file. */
  bytes: count,
  /** Estimated input tokens, as OpenAI counts them while the batch is enqueued. */
  tokens: z.exactOptional(count),
  /** Bytes of all batches of its job together. */
  jobBytes: z.exactOptional(count),
  /** The most output tokens that its requests may be answered with: see pricing/bound.ts. */
  outputTokens: z.exactOptional(count),
  /** Length of its longest request. */
  longestBytes: z.exactOptional(count),
  /** Name of the route of its job, by which its budget is found. */
  route: z.exactOptional(z.string()),
  /** Name of the API key that it is sent with, frozen with its job. Absent: the stack's own. See {@link apiKeyOf}. */
  apiKey: z.exactOptional(z.string()),
  /** How long the provider may take for it, see the route's setting. Absent: `24h`. */
  completionWindow: z.exactOptional(z.string()),
  /** See {@link Job.budgetUsd}. */
  budgetUsd: z.exactOptional(z.string()),
  /** When its job was created: batches are admitted oldest job first. Absent: `createdAt` counts. */
  jobCreatedAt: z.exactOptional(time),
  /** How often what this batch is made of was repaired, by taking out lines that OpenAI refused or by halving. */
  repairs: z.exactOptional(count),
};

/** What becomes of a batch, by phase. Each group is absent until it is begun, and stored as one attribute. */
const GROUPS = {
  /** The worker that has it. */
  lease: leaseSchema,
  /** What was reserved for it. */
  admission: z.object({
    /** Id of the reservation that it was admitted with. */
    reservation: z.string(),
    /** When it was admitted, nothing else was reserved on the ledger of its tokens. */
    sentAlone: z.exactOptional(z.literal(true)),
  }),
  /** One attempt to create it at OpenAI: its input file, and what is known of the create. */
  attempt: z.object({
    /** Marks the attempt: in the batch's metadata and in the file's name. */
    nonce: z.string(),
    /** Absent where the provider takes no file. */
    inputFileId: z.exactOptional(z.string()),
    /** Version of the secret of its key that uploaded the file; one may belong to another project than the next one. */
    keyVersion: z.exactOptional(z.string()),
    /** How many times in a row its create was refused because OpenAI did not have the file ready. */
    fileTries: z.exactOptional(count),
    /** When the intent to create was recorded. */
    intentAt: z.exactOptional(time),
    /** When the input file of an unanswered create was deleted. */
    fencedAt: z.exactOptional(time),
    /** A look-up of an unanswered create that the next worker continues. */
    lookUp: z.exactOptional(pagePositionSchema),
  }),
  /** The batch at OpenAI, as it was seen last. */
  remote: z.object({
    openaiBatchId: z.string(),
    submittedAt: time,
    status: statusSchema,
    /** When the status was first seen. */
    statusAt: time,
    /** When OpenAI began to execute it, as it says, or when that was first seen. Absent: nothing shows that it has. */
    startedAt: z.exactOptional(time),
    /** When OpenAI stops executing the batch, as it says. */
    expiresAt: z.exactOptional(time),
    /** Since when OpenAI has answered that it does not know the batch. */
    unreachableSince: z.exactOptional(time),
    /** When it answered so at a second look in a row: only then it is more than one answer that went wrong. */
    goneAt: z.exactOptional(time),
    /** OpenAI's progress counts; never used for accounting. */
    progress: z.exactOptional(z.object({ total: z.number(), completed: z.number(), failed: z.number() })),
    outputFileId: z.exactOptional(z.string()),
    errorFileId: z.exactOptional(z.string()),
    /** Tokens of the whole batch, where OpenAI says so: only compared with those of its lines. */
    reportedUsage: z.exactOptional(usageSchema),
  }),
  /** That it is to end before it is done. */
  stop: z.object({
    /** When it was decided to cancel the batch at OpenAI; the poll repeats that until it ends. */
    cancelRequestedAt: z.exactOptional(time),
    /** The tier that what it leaves continues in; set when the ladder ends the batch. */
    nextTier: z.exactOptional(tierSchema),
  }),
  /** How it ended: OpenAI's last word, or ours for a batch that OpenAI never ended or never had. */
  ending: z.object({
    status: statusSchema,
    endedAt: time,
    /** Why it failed as a whole. */
    errors: z.exactOptional(z.array(batchLevelErrorSchema)),
    /** When the batch was given up because OpenAI no longer knew it: it has no results. */
    lostAt: z.exactOptional(time),
  }),
  /** Its result files on their way to `work/`. */
  download: z.object({
    /** OpenAI's result files as they were copied to below `work/`, each once. */
    fetched: z.exactOptional(z.array(fetchedFileSchema)),
    /** A copy that another invocation continues. */
    fetching: z.exactOptional(
      z.object({
        fileId: z.string(),
        bytes: count,
        /** See checkpoint.ts. */
        checkpointKey: z.string(),
      }),
    ),
    /** Set while results are late: how many requests had one when it was looked at last. */
    lateResults: z.exactOptional(count),
  }),
  /** What became of its requests. */
  results: z.object({
    outcome: outcomeSchema,
    /** Answers and final errors of this batch, in input order; absent where there is none. */
    outputRun: z.exactOptional(runRefSchema),
    errorRun: z.exactOptional(runRefSchema),
    /** The batches that take up what this one leaves; never empty. Their records are derived from here. */
    next: z.exactOptional(z.array(nextBatchSchema)),
  }),
  /** Why its next step has not succeeded yet, and when it is tried again. */
  wait: z.object({
    /** How often in a row a step of this batch has failed. */
    failures: z.exactOptional(count),
    /** No step of it is tried before this time. */
    notBefore: z.exactOptional(time),
    /** The last reason why a step could not be done, for the operator. Never content. */
    lastError: z.exactOptional(z.string()),
  }),
  /** Why it waits for a person. */
  hold: z.object({
    /** A code. */
    reason: z.string(),
    /**
     * Since when it is held: it is not sent before a person releases it, see resume.ts. Absent: it is tried now and
     * then.
     */
    at: z.exactOptional(time),
  }),
  /** Of a slice: how far it is. */
  calls: callsSchema,
  /** It is too large, and nothing of it was executed: the batches that it is to be cut into. */
  recut: z.object({
    /** Each has so many tokens at most. */
    tokens: z.exactOptional(count),
    /** Each costs so many millionths of a USD at most. */
    microdollars: z.exactOptional(count),
  }),
  /** What is remembered from one attempt to the next. */
  history: z.object({
    /** How many creates were begun; the n-th one is written down below `work/`, too. */
    attempts: z.exactOptional(count),
    /** How many times in a row its create was refused. */
    refusals: z.exactOptional(count),
    /** How many times OpenAI has ended it for lack of enqueued tokens. */
    tokenRefusals: z.exactOptional(count),
    /** How many times it was sent again because OpenAI had failed it without having executed anything. */
    resends: z.exactOptional(count),
    /** When the record was behind what had been begun (the table was restored), and brought forward. */
    adoptedAt: z.exactOptional(time),
    /** Since when S3 has refused to give the input, so that the batch cannot be sent. */
    inputUnreadableSince: z.exactOptional(time),
  }),
};

/** The name of a group of a record's attributes. */
export type BatchGroup = keyof typeof GROUPS;

/**
 * Until when each group is kept. `step`: until a step succeeds; `attempt`: until the batch waits for its turn again,
 * and all that one attempt to have it run has left is forgotten; `batch`: as long as the record.
 */
export const GROUP_LIFETIMES = {
  lease: 'step',
  wait: 'step',
  hold: 'step',
  admission: 'attempt',
  attempt: 'attempt',
  remote: 'attempt',
  stop: 'attempt',
  ending: 'attempt',
  download: 'attempt',
  results: 'batch',
  calls: 'batch',
  recut: 'batch',
  history: 'batch',
} as const satisfies Record<BatchGroup, 'step' | 'attempt' | 'batch'>;

type Optional<Shape extends Record<string, z.ZodType>> = {
  [Member in keyof Shape]: z.ZodExactOptional<Shape[Member]>;
};

function optional<Shape extends Record<string, z.ZodType>>(shape: Shape): Optional<Shape> {
  const members = Object.entries(shape).map(([member, schema]) => [member, z.exactOptional(schema)]);
  return Object.fromEntries(members) as Optional<Shape>;
}

/** The record of a batch in the table. */
export const batchSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  /** `<round>-<place>`, unique in the job: see batch-id.ts. */
  batchId: z.string(),
  round: count,
  state: z.enum(BATCH_STATES),
  createdAt: time,
  updatedAt: time,
  ...planMembers,
  ...optional(GROUPS),
});

/** Some requests of a job that are sent together: as one OpenAI batch, or as a slice. */
export type BatchRecord = z.infer<typeof batchSchema>;

/** What names a batch. */
export type BatchKey = Pick<BatchRecord, 'jobId' | 'batchId'>;

/**
 * Statuses after which OpenAI changes nothing any more. Source: platform.openai.com/docs/guides/batch, "Batch object
 * status".
 */
const TERMINAL_STATUSES: ReadonlySet<BatchStatus> = new Set(['failed', 'completed', 'expired', 'cancelled']);

/** Whether OpenAI is done with a batch. */
export function isTerminal(status: BatchStatus): boolean {
  return TERMINAL_STATUSES.has(status);
}

/** The tier that a batch is in. */
export function tierOf({ tier }: Pick<BatchRecord, 'tier'>): Tier {
  return tier ?? 'batch';
}

/**
 * Name of the API key that everything of a batch, or of the jobs of a route, is sent and asked for with, and no
 * other.
 */
export function apiKeyOf({ apiKey }: { apiKey?: string | undefined }): string {
  return apiKey ?? DEFAULT_API_KEY;
}

/** Whether the requests of a batch are called one by one. */
export function isSlice(batch: Pick<BatchRecord, 'tier'>): boolean {
  return tierOf(batch) !== 'batch';
}

/** Estimated tokens of a batch: four bytes each where none were counted. */
export function tokensOf(batch: Pick<BatchRecord, 'tokens' | 'bytes'>): number {
  return batch.tokens ?? Math.ceil(batch.bytes / 4);
}
