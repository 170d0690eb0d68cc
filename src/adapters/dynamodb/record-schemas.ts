/**
 * The records of the table, checked as they are read. Attributes that a later deployment added are ignored here and
 * kept in the item; a version that this deployment does not know is an error.
 */
import * as z from 'zod';
import { problemsOf } from '../../contract/problems.ts';
import { BatchdropError } from '../../core/base/errors.ts';
import { type BatchRecord, batchSchema } from '../../core/model/batch.ts';
import { type InputListing, listingSchema } from '../../core/model/input-listing.ts';
import { type Job, jobSchema } from '../../core/model/job.ts';
import { type Ledger, ledgerSchema, type Reservation, reservationSchema } from '../../core/model/ledger.ts';
import { type KeptShutdowns, keptShutdownsSchema } from '../../core/model/shutdown.ts';
import { type Suspension, suspensionSchema } from '../../core/model/suspension.ts';
import { type WebhookHealth, webhookHealthSchema } from '../../core/model/webhook-health.ts';
import type { LatestState } from './job-rules.ts';

const latestJobSchema = z.object({ jobId: z.string(), lastModified: z.number() });

const latestSchema = z.object({
  v: z.literal(1),
  lastModified: z.number(),
  job: z.exactOptional(latestJobSchema),
  before: z.exactOptional(latestJobSchema),
});

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

/** Reads the item of the listing; as {@link readJob}. */
export function readListing(item: Record<string, unknown>, where: string): InputListing {
  return readRecord(listingSchema, item, where);
}

/** Reads the item of the shutdown dates of one API key; as {@link readJob}. */
export function readShutdowns(item: Record<string, unknown>, where: string): KeptShutdowns {
  return readRecord(keptShutdownsSchema, item, where);
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
