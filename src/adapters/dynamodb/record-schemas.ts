/**
 * The records of the table, checked as they are read. Attributes that a later deployment added are ignored here and
 * kept in the item; a version that this deployment does not know is an error.
 */
import * as z from 'zod';
import { problemsOf } from '../../contract/problems.ts';
import { BatchdropError } from '../../core/base/errors.ts';
import { type BatchRecord, batchSchema } from '../../core/model/batch.ts';
import { type DropTally, dropTallySchema } from '../../core/model/drop-turn.ts';
import { type IgnoredDrop, ignoredDropSchema } from '../../core/model/ignored-drop.ts';
import { type InputListing, listingSchema } from '../../core/model/input-listing.ts';
import { type Job, jobSchema } from '../../core/model/job.ts';
import { type Amounts, type EndedJob, endedJobSchema } from '../../core/model/job-end.ts';
import { type Ledger, ledgerSchema, type Reservation, reservationSchema } from '../../core/model/ledger.ts';
import { type Pause, pauseSchema } from '../../core/model/pause.ts';
import { type KeptShutdowns, keptShutdownsSchema } from '../../core/model/shutdown.ts';
import { type Suspension, suspensionSchema } from '../../core/model/suspension.ts';
import { type Tombstone, tombstoneSchema } from '../../core/model/tombstone.ts';
import { type WebhookHealth, webhookHealthSchema } from '../../core/model/webhook-health.ts';
import type { LatestState } from './job-rules.ts';

/** A record has a version that this deployment does not know. */
export class RecordVersionError extends BatchdropError {}

const latestJobSchema = z.object({ jobId: z.string(), lastModified: z.number() });

export const latestSchema = z.object({
  v: z.literal(1),
  lastModified: z.number(),
  job: z.exactOptional(latestJobSchema),
  before: z.exactOptional(latestJobSchema),
});

/** Numbers beyond what is exact are given as bigints. */
const picodollars = z.union([z.int(), z.bigint()]).transform(BigInt);

export const monthSchema = z.object({
  v: z.literal(1),
  jobs: z.int(),
  succeeded: z.int(),
  failed: z.int(),
  invalid: z.int(),
  inputTokens: z.int(),
  cachedTokens: z.int(),
  outputTokens: z.int(),
  cost: picodollars,
  possibleCost: picodollars,
  standardCost: picodollars,
} satisfies Record<keyof Amounts | 'v', z.ZodType>);

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

/** Reads a suspension item; as {@link readJob}. */
export function readSuspension(item: Record<string, unknown>, where: string): Suspension {
  return readRecord(suspensionSchema, item, where);
}

/** Reads the tally of a route's drops; as {@link readJob}. */
export function readDropTally(item: Record<string, unknown>, where: string): DropTally {
  return readRecord(dropTallySchema, item, where);
}

/** Reads the item of a pause; as {@link readJob}. */
export function readPause(item: Record<string, unknown>, where: string): Pause {
  return readRecord(pauseSchema, item, where);
}

/** Reads the line of a drop that was not run; as {@link readJob}. */
export function readIgnoredDrop(item: Record<string, unknown>, where: string): IgnoredDrop {
  return readRecord(ignoredDropSchema, item, where);
}

/** Reads the item of a job that was forgotten; as {@link readJob}. */
export function readTombstone(item: Record<string, unknown>, where: string): Tombstone {
  return readRecord(tombstoneSchema, item, where);
}

/** Reads the item of the listing; as {@link readJob}. */
export function readListing(item: Record<string, unknown>, where: string): InputListing {
  return readRecord(listingSchema, item, where);
}

/** Reads the item of the shutdown dates of one API key; as {@link readJob}. */
export function readShutdowns(item: Record<string, unknown>, where: string): KeptShutdowns {
  return readRecord(keptShutdownsSchema, item, where);
}

/** Reads a line of the index of ended jobs; as {@link readJob}. */
export function readEndedJob(item: Record<string, unknown>, where: string): EndedJob {
  return readRecord(endedJobSchema, item, where);
}

/** Reads what a month adds up to; as {@link readJob}. */
export function readMonthItem(item: Record<string, unknown>, where: string): Amounts {
  const { v: _, ...amounts } = readRecord(monthSchema, item, where);
  return amounts;
}

/** Reads the item about the webhooks of an API key; as {@link readJob}. */
export function readWebhookHealth(item: Record<string, unknown>, where: string): WebhookHealth {
  return readRecord(webhookHealthSchema, item, where);
}

function readRecord<Record>(
  schema: z.ZodType<Record>,
  item: { [attribute: string]: unknown },
  where: string,
): Record {
  if (item.v !== 1) {
    throw new RecordVersionError(
      `${where} has version ${String(item.v)}, this deployment reads version 1; deploy the release that wrote it`,
    );
  }
  const result = schema.safeParse(item);
  if (result.success) return result.data;
  throw new BatchdropError(
    `${where} is not a record that this deployment can read: ${problemsOf(result.error, 'the item').join('; ')}`,
  );
}
