/**
 * What stands in the table, checked as it is read. Attributes that a later deployment added are ignored here and kept
 * in the item; a version that this deployment does not know is an error.
 */

import * as z from 'zod';
import { appliedOptionSchema } from '../../contract/options.ts';
import { problemsOf } from '../../contract/problems.ts';
import { receiptSchema } from '../../contract/receipt.ts';
import { routeSchema, TIERS } from '../../contract/route.ts';
import { BatchdropError } from '../../core/base/errors.ts';
import {
  BATCH_STATUSES,
  type BatchRecord,
  type Calls,
  type FetchedFile,
  type Fetching,
  type Ladder,
  type NextBatch,
  type RunRef,
} from '../../core/model/batch.ts';
import type { InputListing, ListingPass } from '../../core/model/input-listing.ts';
import type { Failing, IngestProgress, Job, MergeProgress, Unreadable } from '../../core/model/job.ts';
import type { LearnedPace, Ledger, Reservation, UnjudgedBatch } from '../../core/model/ledger.ts';
import type { ListCursor } from '../../core/model/objects.ts';
import type { BatchOutcome, Bill, TierBill } from '../../core/model/outcome.ts';
import type { Park } from '../../core/model/park.ts';
import type { TokenUsage } from '../../core/model/usage.ts';
import type { LatestState } from './job-rules.ts';

const version = z.literal(1);
const count = z.int().min(0);

/** A schema for each attribute of a record, none left out: what a schema does not name is lost when it is read. */
type ShapeOf<Stored> = {
  [Attribute in keyof Required<Stored>]: z.ZodType<Required<Stored>[Attribute] | undefined>;
};

const sourceSchema = z.object({
  bucket: z.string(),
  key: z.string(),
  versionId: z.exactOptional(z.string()),
});

const runSchema = z.object({
  dataKey: z.string(),
  indexKey: z.string(),
  lines: count,
  bytes: count,
  firstLine: count,
  lastLine: count,
} satisfies ShapeOf<RunRef>);

const usageSchema = z.object({
  inputTokens: count,
  cachedTokens: count,
  cacheWriteTokens: count,
  outputTokens: count,
  reasoningTokens: count,
} satisfies ShapeOf<TokenUsage>);

const tierBillSchema = z.object({
  results: count,
  usage: usageSchema,
  usd: z.string(),
} satisfies ShapeOf<TierBill>);

const billSchema = z.object({
  tiers: z.object({
    batch: z.exactOptional(tierBillSchema),
    flex: z.exactOptional(tierBillSchema),
    standard: z.exactOptional(tierBillSchema),
    priority: z.exactOptional(tierBillSchema),
  } satisfies ShapeOf<Bill['tiers']>),
  unpriced: count,
  withoutUsage: count,
  toolUsd: z.string(),
  standardUsd: z.string(),
  possibleUsd: z.string(),
  differs: z.exactOptional(z.boolean()),
} satisfies ShapeOf<Bill>);
const tierSchema = z.enum(TIERS);

const nextSchema = z.object({
  tier: z.exactOptional(tierSchema),
  manifestKey: z.string(),
  requests: count,
  bytes: count,
  tokens: z.exactOptional(count),
  outputTokens: z.exactOptional(count),
  longestBytes: z.exactOptional(count),
  repairs: z.exactOptional(count),
  notBefore: z.exactOptional(z.number()),
} satisfies ShapeOf<NextBatch>);

const fetchedSchema = z.object({
  fileId: z.string(),
  key: z.string(),
  bytes: count,
  crc32: count,
  fetchedAt: z.number(),
  isPartial: z.exactOptional(z.boolean()),
} satisfies ShapeOf<FetchedFile>);

const fetchingSchema = z.object({
  fileId: z.string(),
  bytes: count,
  checkpointKey: z.string(),
} satisfies ShapeOf<Fetching>);

const latestJobSchema = z.object({ jobId: z.string(), lastModified: z.number() });

const latestSchema = z.object({
  v: version,
  lastModified: z.number(),
  job: z.exactOptional(latestJobSchema),
  before: z.exactOptional(latestJobSchema),
});

const jobSchema = z.object({
  v: version,
  jobId: z.string(),
  input: sourceSchema.extend({ etag: z.string(), lastModified: z.number(), size: count }),
  source: sourceSchema,
  // Not the strict schema of the settings: a route that was frozen by another deployment may have more or fewer keys.
  route: z.object({
    ...routeSchema.shape,
    // They were checked when they were deployed, and a record is read often.
    match: z.array(z.string()),
    ignore: z.array(z.string()),
    // Routes that were frozen before there were tiers and budgets.
    tiers: routeSchema.shape.tiers.default(['batch']),
    budget: routeSchema.shape.budget.default('unlimited'),
  }),
  budgetUsd: z.exactOptional(z.string()),
  options: z.exactOptional(z.array(appliedOptionSchema)),
  predecessor: z.exactOptional(
    z.object({ jobId: z.string(), versionId: z.exactOptional(z.string()), lastModified: z.number() }),
  ),
  rank: z.exactOptional(count),
  state: z.enum(['ingesting', 'running', 'completed', 'rejected', 'duplicate']),
  createdAt: z.number(),
  updatedAt: z.number(),
  claim: z.exactOptional(z.string()),
  claimedUntil: z.exactOptional(z.number()),
  ingest: z.exactOptional(
    z.object({
      starts: count,
      restarts: z.exactOptional(count),
      unreadable: z.exactOptional(
        z.object({
          since: z.number(),
          tries: count,
          code: z.string(),
          reason: z.string(),
          nextAt: z.number(),
        } satisfies ShapeOf<Unreadable>),
      ),
      checkpoint: z.exactOptional(z.object({ generation: count, key: z.string(), offset: count })),
    } satisfies ShapeOf<IngestProgress>),
  ),
  failing: z.exactOptional(
    z.object({
      since: z.number(),
      tries: count,
      reason: z.string(),
      nextAt: z.number(),
    } satisfies ShapeOf<Failing>),
  ),
  planKey: z.exactOptional(z.string()),
  rejection: z.exactOptional(
    z.object({
      code: z.enum([
        'empty_file',
        'not_json_lines',
        'object_gone',
        'no_valid_lines',
        'invalid_lines',
        'gzip_corrupt',
        'gzip_too_large',
        'too_many_models',
        'ingest_failed',
        'invalid_options',
        'key_too_long',
        'input_unreadable',
      ]),
      message: z.string(),
    }),
  ),
  duplicateOf: z.exactOptional(z.string()),
  duplicatesRun: z.exactOptional(z.boolean()),
  result: z.exactOptional(receiptSchema.shape.result),
  cancelledAt: z.exactOptional(z.number()),
  waitsFor: z.exactOptional(z.string()),
  merge: z.exactOptional(
    z.object({ generation: count, checkpointKey: z.string() } satisfies ShapeOf<MergeProgress>),
  ),
  receiptKey: z.exactOptional(z.string()),
  cost: z.exactOptional(z.object({ usd: z.string(), possibleUsd: z.string() })),
  workRemovedAt: z.exactOptional(z.number()),
} satisfies ShapeOf<Job>);

const batchSchema = z.object({
  v: version,
  jobId: z.string(),
  batchId: z.string(),
  round: count,
  state: z.enum(['planned', 'admitted', 'uploaded', 'submitting', 'submitted', 'ended', 'collected']),
  endpoint: z.string(),
  model: z.string(),
  tier: z.exactOptional(tierSchema),
  ladder: z.exactOptional(
    z.object({
      tiers: z.array(tierSchema).min(1),
      deadlineAt: z.exactOptional(z.number()),
    } satisfies ShapeOf<Ladder>),
  ),
  goTo: z.exactOptional(tierSchema),
  calls: z.exactOptional(
    z.object({
      started: count,
      segments: count,
      done: count,
      again: z.exactOptional(z.array(count)),
      refusals: z.exactOptional(count),
    } satisfies ShapeOf<Calls>),
  ),
  manifestKey: z.string(),
  requests: count,
  bytes: count,
  tokens: z.exactOptional(count),
  jobBytes: z.exactOptional(count),
  outputTokens: z.exactOptional(count),
  longestBytes: z.exactOptional(count),
  route: z.exactOptional(z.string()),
  apiKey: z.exactOptional(z.string()),
  budgetUsd: z.exactOptional(z.string()),
  jobCreatedAt: z.exactOptional(z.number()),
  createdAt: z.number(),
  updatedAt: z.number(),
  reservation: z.exactOptional(z.string()),
  sentAlone: z.exactOptional(z.literal(true)),
  recutTokens: z.exactOptional(count),
  recutMicrodollars: z.exactOptional(count),
  claim: z.exactOptional(z.string()),
  claimedUntil: z.exactOptional(z.number()),
  notBefore: z.exactOptional(z.number()),
  refusals: z.exactOptional(count),
  tokenRefusals: z.exactOptional(count),
  fileTries: z.exactOptional(count),
  resends: z.exactOptional(count),
  nonce: z.exactOptional(z.string()),
  inputFileId: z.exactOptional(z.string()),
  keyVersion: z.exactOptional(z.string()),
  attempts: z.exactOptional(count),
  adoptedAt: z.exactOptional(z.number()),
  intentAt: z.exactOptional(z.number()),
  fencedAt: z.exactOptional(z.number()),
  lookUp: z.exactOptional(z.object({ after: z.string(), pages: count, mark: z.string() })),
  openaiBatchId: z.exactOptional(z.string()),
  submittedAt: z.exactOptional(z.number()),
  status: z.exactOptional(z.enum(BATCH_STATUSES)),
  statusAt: z.exactOptional(z.number()),
  startedAt: z.exactOptional(z.number()),
  expiresAt: z.exactOptional(z.number()),
  unreachableSince: z.exactOptional(z.number()),
  inputUnreadableSince: z.exactOptional(z.number()),
  progress: z.exactOptional(z.object({ total: z.number(), completed: z.number(), failed: z.number() })),
  outputFileId: z.exactOptional(z.string()),
  errorFileId: z.exactOptional(z.string()),
  errors: z.exactOptional(
    z.array(
      z.object({
        code: z.string(),
        message: z.string(),
        param: z.exactOptional(z.string()),
        line: z.exactOptional(z.number()),
      }),
    ),
  ),
  endedAt: z.exactOptional(z.number()),
  cancelRequestedAt: z.exactOptional(z.number()),
  fetched: z.exactOptional(z.array(fetchedSchema)),
  fetching: z.exactOptional(fetchingSchema),
  lateResults: z.exactOptional(count),
  outcome: z.exactOptional(
    z.object({
      succeeded: count,
      failed: count,
      retried: count,
      failedByCode: z.record(z.string(), count),
      possiblyBilledTwice: z.record(z.string(), count),
      incomplete: count,
      filtered: count,
      cutOtherwise: count,
      repairedLines: count,
      strayLines: count,
      usage: usageSchema,
      bill: z.exactOptional(billSchema),
    } satisfies ShapeOf<BatchOutcome>),
  ),
  reportedUsage: z.exactOptional(usageSchema),
  outputRun: z.exactOptional(runSchema),
  errorRun: z.exactOptional(runSchema),
  next: z.exactOptional(z.array(nextSchema)),
  repairs: z.exactOptional(count),
  failures: z.exactOptional(count),
  lastError: z.exactOptional(z.string()),
  heldAt: z.exactOptional(z.number()),
  heldReason: z.exactOptional(z.string()),
  lostAt: z.exactOptional(z.number()),
} satisfies ShapeOf<BatchRecord>);

const ledgerSchema = z.object({
  v: version,
  name: z.string(),
  reserved: count,
  used: count,
  limit: z.exactOptional(count),
  limitLearnedAt: z.exactOptional(z.number()),
  ceiling: z.exactOptional(count),
  refusals: z.exactOptional(count),
  lastRefusal: z.exactOptional(z.string()),
  pausedUntil: z.exactOptional(z.number()),
  unjudged: z.exactOptional(
    z.record(
      z.string(),
      z.object({ jobId: z.string(), tokens: count, bytes: count } satisfies ShapeOf<UnjudgedBatch>),
    ),
  ),
  probes: z.exactOptional(count),
  refusedAt: z.exactOptional(count),
  sharedAt: z.exactOptional(z.number()),
  pace: z.exactOptional(
    z.object({
      requestsPerMinute: z.exactOptional(z.number()),
      tokensPerMinute: z.exactOptional(z.number()),
      callMs: z.exactOptional(z.number()),
      latencies: z.exactOptional(z.object({ recentMs: z.array(z.number()), at: z.number() })),
    } satisfies ShapeOf<LearnedPace>),
  ),
  updatedAt: z.number(),
} satisfies ShapeOf<Ledger>);

const reservationSchema = z.object({
  v: version,
  reservationId: z.string(),
  jobId: z.string(),
  batchId: z.string(),
  state: z.enum(['held', 'settled']),
  amounts: z.array(z.object({ ledger: z.string(), amount: count })),
  createdAt: z.number(),
  updatedAt: z.number(),
} satisfies ShapeOf<Reservation>);

const parkSchema = z.object({
  v: version,
  scope: z.string(),
  isParked: z.boolean(),
  reason: z.string(),
  provenBy: z.enum(['created', 'collected']),
  parkedAt: z.number(),
  probes: count,
  probeAt: z.number(),
  updatedAt: z.number(),
} satisfies ShapeOf<Park>);

const cursorSchema = z.object({
  key: z.string(),
  versionId: z.exactOptional(z.string()),
} satisfies ShapeOf<ListCursor>);

const listingSchema = z.object({
  v: version,
  generation: count,
  since: z.number(),
  watermark: z.number(),
  nextAt: z.number(),
  pass: z.exactOptional(
    z.object({
      startedAt: z.number(),
      found: count,
      oldestFound: z.exactOptional(z.number()),
      prefix: z.exactOptional(z.string()),
      after: z.exactOptional(cursorSchema),
    } satisfies ShapeOf<ListingPass>),
  ),
} satisfies ShapeOf<InputListing>);

/**
 * Reads a job item.
 * @param where names the item in the error, such as `table/pk/sk`.
 * @throws {BatchdropError} if the item is not one that this deployment can read.
 */
export function readJob(item: Record<string, unknown>, where: string): Job {
  return readRecord(jobSchema, item, where);
}

/** Reads a batch item; as {@link readJob}. */
export function readBatch(item: Record<string, unknown>, where: string): BatchRecord {
  return readRecord(batchSchema, item, where);
}

/** Reads a ledger item; as {@link readJob}. */
export function readLedger(item: Record<string, unknown>, where: string): Ledger {
  return readRecord(ledgerSchema, item, where);
}

/** Reads a reservation item; as {@link readJob}. */
export function readReservation(item: Record<string, unknown>, where: string): Reservation {
  return readRecord(reservationSchema, item, where);
}

/** Reads the item of a key without versions; as {@link readJob}. */
export function readLatest(item: Record<string, unknown>, where: string): LatestState {
  return readRecord(latestSchema, item, where);
}

/** Reads a park item; as {@link readJob}. */
export function readPark(item: Record<string, unknown>, where: string): Park {
  return readRecord(parkSchema, item, where);
}

/** Reads the item of the listing; as {@link readJob}. */
export function readListing(item: Record<string, unknown>, where: string): InputListing {
  return readRecord(listingSchema, item, where);
}

function readRecord<Record>(
  schema: z.ZodType<Record>,
  item: { [attribute: string]: unknown },
  where: string,
): Record {
  if (item.v !== 1) {
    throw new BatchdropError(
      `${where} has version ${String(item.v)}, this deployment reads version 1; deploy the release that wrote it`,
    );
  }
  const result = schema.safeParse(item);
  if (result.success) return result.data;
  throw new BatchdropError(
    `${where} is not a record that this deployment can read: ${problemsOf(result.error, 'the item').join('; ')}`,
  );
}
