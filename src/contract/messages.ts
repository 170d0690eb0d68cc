/**
 * What travels through the queues and the event bus. Every shape carries a version: batches live for 24 hours, so
 * messages of the previous deployment arrive at the next one.
 */
import * as z from 'zod';
import { receiptSchema } from './receipt.ts';
import { WEBHOOK_EVENTS } from './webhooks.ts';

/** S3's "Object Created" event as EventBridge delivers it; only what is read. The key is not URL-encoded here. */
const objectCreatedEventSchema = z.object({
  'detail-type': z.literal('Object Created'),
  source: z.literal('aws.s3'),
  detail: z.object({
    bucket: z.object({ name: z.string().min(1) }),
    object: z.object({ key: z.string().min(1), 'version-id': z.string().min(1).optional() }),
  }),
});

/** Where to look for an input. */
export interface ObjectLocation {
  bucket: string;
  key: string;
  versionId?: string | undefined;
}

/** Submit, call and collect queues: one batch of one job. */
export const batchMessageSchema = z.object({
  v: z.literal(1),
  jobId: z.string().min(1),
  batchId: z.string().min(1),
});
export type BatchMessage = z.infer<typeof batchMessageSchema>;

/** Finalize queue, and ingest queue where a job is to be resumed: one job. */
export const jobMessageSchema = z.object({ v: z.literal(1), jobId: z.string().min(1) });
export type JobMessage = z.infer<typeof jobMessageSchema>;

/** Ingest queue: an object to look at of which no event came. */
export const objectMessageSchema = z.object({
  v: z.literal(1),
  bucket: z.string().min(1),
  key: z.string().min(1),
  versionId: z.string().min(1).optional(),
});
export type ObjectMessage = z.infer<typeof objectMessageSchema>;

/** Ingest queue: an object that S3 or a listing reported, or a job that the sweep found overdue. */
export const ingestMessageSchema = z.union([
  jobMessageSchema,
  objectMessageSchema,
  objectCreatedEventSchema.transform(
    ({ detail: { bucket, object } }): ObjectLocation => ({
      bucket: bucket.name,
      key: object.key,
      versionId: object['version-id'],
    }),
  ),
]);
export type IngestMessage = z.infer<typeof ingestMessageSchema>;

/** Observe queue: OpenAI says that something has ended. Only a hint: what it names is read before anything is done. */
export const observeMessageSchema = z.object({
  v: z.literal(1),
  /** OpenAI's id of the event: the same each time that it is sent. */
  webhookId: z.string().min(1),
  /** One of `WEBHOOK_EVENTS`. */
  type: z.enum(WEBHOOK_EVENTS),
  /** Id of the batch or the response. */
  objectId: z.string().min(1),
  /** Name of the API key whose project sent it. */
  apiKey: z.string().min(1),
  /** When it came, epoch milliseconds. */
  receivedAt: z.number(),
  /** How often it was put off, because what it is about was not there yet. */
  tries: z.exactOptional(z.int().min(1)),
});
export type ObserveMessage = z.infer<typeof observeMessageSchema>;

/** The `source` of the events that batchdrop puts on the event bus. */
export const EVENT_SOURCE = 'batchdrop';

/** `rejection.code` of a file that is not run because another stack owns its prefix: the only one without a receipt. */
export const PREFIX_OWNED = 'prefix_owned';

/** `detail-type` of the event that reports the end of a job. */
export const JOB_COMPLETED = 'JobCompleted';

/** Detail of a `JobCompleted` event. Delivered at least once: `stackId` and `jobId` are the key to dedupe by. */
export const jobCompletedSchema = z
  .object({
    v: z.literal(1),
    stackId: z.string(),
    /** Name of the job's route. Absent in events of earlier deployments. */
    route: z.string().optional(),
    jobId: z.string(),
    bucket: z.string(),
    key: z.string(),
    versionId: z.string().optional(),
    result: receiptSchema.shape.result,
    duplicateOf: receiptSchema.shape.duplicateOf,
    /** Why nothing was run. {@link PREFIX_OWNED}: another stack runs the file, under the same `jobId`. */
    rejection: receiptSchema.shape.rejection,
    counts: receiptSchema.shape.counts,
    /** Empty if another stack runs the file. */
    files: receiptSchema.shape.files.partial(),
  })
  .refine(({ files, rejection }) => files.receipt !== undefined || rejection?.code === PREFIX_OWNED, {
    path: ['files', 'receipt'],
    error: 'a receipt is written for every file that this stack runs or rejects',
  });
/** Detail of a `JobCompleted` event, see docs/formats.md. Delivered at least once: `stackId` and `jobId` are the key to dedupe by. */
export type JobCompleted = z.infer<typeof jobCompletedSchema>;

/** `detail-type` of the event of a drop that is not run and that no receipt answers. */
export const DROP_IGNORED = 'DropIgnored';

/**
 * Why a drop is not run and has no receipt: no route has such a prefix (`no_route`); the route's globs do not take its
 * name (`not_matched`, `ignored`); it holds options of a file that was put before it (`late_options`); it was gone
 * before it was recorded (`removed`); another stack runs it ({@link PREFIX_OWNED}).
 */
export const UNANSWERED = [
  'no_route',
  'not_matched',
  'ignored',
  'late_options',
  'removed',
  PREFIX_OWNED,
] as const;
/** See {@link UNANSWERED}. */
export type Unanswered = (typeof UNANSWERED)[number];

/** Detail of a `DropIgnored` event. Delivered at least once for each drop. */
export const dropIgnoredSchema = z.object({
  v: z.literal(1),
  stackId: z.string(),
  bucket: z.string(),
  key: z.string(),
  versionId: z.exactOptional(z.string()),
  why: z.enum(UNANSWERED).exclude([PREFIX_OWNED]),
  /** Name of the route that the key lies below; absent: of none. */
  route: z.exactOptional(z.string()),
  /** The same for a person. */
  message: z.string(),
});
export type DropIgnored = z.infer<typeof dropIgnoredSchema>;
