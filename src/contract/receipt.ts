/**
 * The receipt: the account of a finished job, `receipts/<key>.json`. Written last, so its presence says that everything
 * else is in place.
 */
import * as z from 'zod';
import { appliedOptionSchema } from './options.ts';
import { PRICED_TIERS } from './rates.ts';
import { routeSchema } from './route.ts';

const count = z.int().min(0);

const tokenUsageSchema = z.object({
  inputTokens: count,
  /** Part of the input tokens that OpenAI read from its prompt cache. */
  cachedTokens: count,
  /** Part of the input tokens that OpenAI wrote to its prompt cache. */
  cacheWriteTokens: count,
  /** Of those, written for 12 hours, which costs more; what is not said to be for 30 minutes counts as such. */
  cacheWrite12hTokens: count,
  /** Part of the input tokens that were images, where OpenAI says so. */
  imageInputTokens: count,
  outputTokens: count,
  /** Part of the output tokens that were images. */
  imageOutputTokens: count,
  /** Part of the output tokens that were spent on reasoning. */
  reasoningTokens: count,
});

/** USD, exact: `0.000425`. Text, because a number would be rounded. */
const usd = z.string().regex(/^-?\d+(\.\d{1,12})?$/);

/** `priority` only if an answer says that it was served so. */
const billedTier = z.enum(PRICED_TIERS);

const resultSchema = z.enum(['succeeded', 'partial', 'failed', 'rejected', 'duplicate']);

/** By code, the first three invalid lines: what the errors file says of them, messages cut at 500 characters. */
export const firstInvalidSchema = z.record(
  z.string(),
  z.array(z.object({ line: count, byte: z.exactOptional(count), message: z.string() })),
);
export type FirstInvalid = z.infer<typeof firstInvalidSchema>;

export const receiptSchema = z.object({
  /** Version of this shape. */
  v: z.literal(1),
  jobId: z.string(),
  stackId: z.string(),
  route: z.string(),
  /**
   * `succeeded`: every request did; `partial`: some did not; `failed`: none did; `rejected`: nothing was run;
   * `duplicate`: nothing was run, because another job has run the same content.
   */
  result: resultSchema,
  /**
   * The job of the same content that it waited for; `files` are that job's, and all counts and costs are in its
   * receipt.
   */
  duplicateOf: z
    .object({
      jobId: z.string(),
      versionId: z.string().optional(),
      result: resultSchema.optional(),
      /** Key of its receipt, as it was when it was written. */
      receipt: z.string().optional(),
    })
    .optional(),
  /** It was dropped by `batchdrop retry`: what had not succeeded of that job, for the `number`th time. Read from its key. */
  retryOf: z.object({ jobId: z.string(), number: count }).optional(),
  input: z.object({
    bucket: z.string(),
    key: z.string(),
    versionId: z.string().optional(),
    etag: z.string(),
    bytes: count,
  }),
  /** Keys in the same bucket; a file that would be empty is not written. */
  files: z.object({
    /** Answers, OpenAI's own lines, in input order. */
    output: z.string().optional(),
    /** One line for each request that failed or was invalid, in input order. */
    errors: z.string().optional(),
    /** The original lines of those, to fix and drop again. */
    retry: z.string().optional(),
    /** This receipt. */
    receipt: z.string(),
  }),
  /** Why nothing was run. */
  rejection: z.object({ code: z.string(), message: z.string() }).optional(),
  /** What was in force: the route as it was when the file was recorded, with what the file said otherwise. */
  terms: z.object({
    tiers: routeSchema.shape.tiers,
    /** From the drop on, such as `2h`. Absent: there was none. */
    deadline: z.string().optional(),
    deadlineAt: z.iso.datetime().optional(),
    budget: routeSchema.shape.budget,
    overBudget: routeSchema.shape.overBudget.unwrap(),
    maxTries: count,
    onInvalid: routeSchema.shape.onInvalid.unwrap(),
    /** What the file itself said, in its metadata or in the object beside it. */
    options: z.array(appliedOptionSchema),
    /** Options that lie beside the file and are not its own. */
    optionsNotApplied: z.array(z.object({ key: z.string(), reason: z.string() })),
  }),
  /** `requests` = `succeeded` + `failed` + `invalid`: every line of the input that has something on it. */
  counts: z.object({ requests: count, succeeded: count, failed: count, invalid: count }),
  /**
   * Requests that failed or were invalid, by error code; of a batch with more than 100 of them, the rest is `other`.
   */
  errorsByCode: z.record(z.string(), count),
  /** The first three invalid lines of each code. */
  firstInvalid: firstInvalidSchema.default({}),
  /**
   * Requests that were run again though OpenAI may have charged the run that it lost, by cause, such as `status_0`,
   * `missing_from_results`, `no_answer`, `request_timeout` or `lost_batch`. All other requests were paid for once.
   */
  possiblyBilledTwice: z.record(z.string(), count),
  /** Succeeded, but cut at the token limit. */
  incomplete: count,
  /** Succeeded, but cut by OpenAI's content filter. */
  filtered: count,
  /** Succeeded, but cut for a reason that is neither. */
  cutOtherwise: count,
  /** Lines in `output` and `errors` that came as no UTF-8: what was none is replaced by U+FFFD. */
  repairedLines: count,
  /** Result lines of OpenAI that were not used: unknown or repeated custom_ids. */
  strayLines: count,
  /**
   * Answers by the model that was asked for, and by the model that they name: of an alias, the snapshot that
   * answered.
   */
  answeredBy: z.record(z.string(), z.record(z.string(), count)).default({}),
  /** What is to be known of a job whatever became of it: see docs/errors.md. */
  warnings: z.array(z.object({ code: z.string(), message: z.string() })).default([]),
  /** Summed over the answers, and over errors that OpenAI reports tokens for. */
  usage: tokenUsageSchema,
  /** What became of the requests of each tier's batches; what was never sent is in none. */
  tiers: z.partialRecord(billedTier, z.object({ succeeded: count, failed: count, retried: count })),
  /** From the tokens of each result, at the price of its model, tier and day. */
  cost: z.object({
    /** What the results cost. */
    usd,
    /**
     * The most that OpenAI may have charged beyond that, for requests of which it lost the result (those of
     * `possiblyBilledTwice`, and those that failed for it), and for answers `withoutUsage`.
     */
    possibleUsd: usd,
    /** What the same would have cost in the standard tier, and how much less it was. */
    standardUsd: usd,
    savedUsd: usd,
    /** `results` had tokens and a price. */
    byTier: z.partialRecord(billedTier, z.object({ results: count, usage: tokenUsageSchema, usd })),
    /** What tools that OpenAI runs were charged by the call: web search and file search. Part of `usd`. */
    toolUsd: usd,
    /**
     * Answers that came without a usable `usage`: each is booked with its share of what was reserved, in
     * `possibleUsd`.
     */
    withoutUsage: count,
    /**
     * Results of which something has no price that is known. Tokens or a tool: that is in no amount. The tier that
     * served it, such as `ultrafast`: they are reckoned at the tier that was asked for.
     */
    unpriced: count,
    /** Batches of which OpenAI reports other tokens than their lines have. */
    usageDiffers: count,
  }),
  /** The built-in prices that it was reckoned with, where the settings had none of their own. */
  prices: z.object({
    /** Day as of which the table is. */
    date: z.iso.date(),
    /** The table was older than 60 days: what that means, and what to do. */
    warning: z.string().optional(),
  }),
  batches: z.array(
    z.object({
      batchId: z.string(),
      /** Absent if OpenAI never got the batch. */
      openaiBatchId: z.string().optional(),
      round: count,
      model: z.string(),
      endpoint: z.string(),
      status: z.string(),
      requests: count,
      succeeded: count,
      failed: count,
      retried: count,
      tier: billedTier,
      usd,
      submittedAt: z.iso.datetime().optional(),
      endedAt: z.iso.datetime(),
    }),
  ),
  timings: z.object({
    /** When the object was dropped, as S3 says (whole seconds). */
    droppedAt: z.iso.datetime(),
    claimedAt: z.iso.datetime(),
    /** When the job was cancelled. */
    cancelledAt: z.iso.datetime().optional(),
    completedAt: z.iso.datetime(),
    /**
     * Milliseconds from the creation of the job to the first submission, and from there to the last end. Absent if
     * nothing was sent.
     */
    queuedMs: count.optional(),
    ranMs: count.optional(),
    /** Milliseconds from the drop on. */
    totalMs: count,
  }),
});
/** The receipt of a job, `receipts/….json`, see docs/formats.md. Amounts of money are texts in US dollars. */
export type Receipt = z.infer<typeof receiptSchema>;
