/**
 * What is limited (enqueued tokens, money): how much of it is taken, and by which batch. Times are epoch
 * milliseconds.
 */
import * as z from 'zod';

const count = z.int().min(0);
const time = z.number();

/** A batch that is sent to see whether there is room for it. */
const unjudgedSchema = z.object({ jobId: z.string(), tokens: count, bytes: count });

const latenciesSchema = z.object({
  /** Oldest first. */
  recentMs: z.array(z.number()).readonly(),
  /** When the last of them was measured. */
  at: time,
});
/** How long recent calls took. One that got no answer counts as long as it was waited for. */
export type Latencies = z.infer<typeof latenciesSchema>;

const paceSchema = z.object({
  /** The account's limits, as OpenAI's answers report them (`x-ratelimit-limit-requests`, `-tokens`). */
  requestsPerMinute: z.exactOptional(z.number()),
  tokensPerMinute: z.exactOptional(z.number()),
  /** How long a call takes on average. */
  callMs: z.exactOptional(z.number()),
  latencies: z.exactOptional(latenciesSchema),
});
/** What calls have shown. */
export type LearnedPace = z.infer<typeof paceSchema>;

/** See {@link Ledger}. */
export const ledgerSchema = z.object({
  v: z.literal(1),
  name: z.string(),
  /** Held by reservations that are not settled. */
  reserved: count,
  /** Spent for good; stays 0 for what is only occupied for a time. */
  used: count,
  /** The limit, as OpenAI's own message reported it last, and when. */
  limit: z.exactOptional(count),
  limitLearnedAt: z.exactOptional(time),
  /** How much we dare to reserve at present; follows refusals and acceptances. Absent: where the limit starts. */
  ceiling: z.exactOptional(count),
  /** Refusals in a row, and the last one's batch at OpenAI (a refusal that is reported twice counts once). */
  refusals: z.exactOptional(count),
  lastRefusal: z.exactOptional(z.string()),
  /** Nothing is admitted before this time. */
  pausedUntil: z.exactOptional(time),
  /** Batches beyond what is proven that OpenAI has neither taken nor refused yet, by the id of their reservation. */
  unjudged: z.exactOptional(z.record(z.string(), unjudgedSchema)),
  /** How many of those there may be at a time. Absent: where that starts. */
  probes: z.exactOptional(count),
  /** What was enqueued, with the batch, when OpenAI last refused one although its limit had room for it. */
  refusedAt: z.exactOptional(count),
  /** When that last was so: another client shares the limit, or OpenAI counts otherwise than we do. */
  sharedAt: z.exactOptional(time),
  /** Of a model in a tier in which requests are called one by one. */
  pace: z.exactOptional(paceSchema),
  /** When the provider last refused the model in the tier, as one that it does not serve there. */
  notOfferedAt: z.exactOptional(time),
  updatedAt: time,
});
/**
 * What has been taken of something that is limited: enqueued tokens of a model, money of a budget. Names say of what,
 * see scheduling/scopes.ts. Amounts are whole numbers: tokens, or millionths of a USD.
 */
export type Ledger = z.infer<typeof ledgerSchema>;

/** See {@link Reservation}. */
export const reservationSchema = z.object({
  v: z.literal(1),
  reservationId: z.string(),
  jobId: z.string(),
  batchId: z.string(),
  state: z.enum(['held', 'settled']),
  /** What is still held; of a settled one, what was held last. */
  amounts: z.array(z.object({ ledger: z.string(), amount: count })),
  createdAt: time,
  updatedAt: time,
});
/**
 * What one batch occupies from its admission on: enqueued tokens until OpenAI has ended it, money until it is
 * collected. Each is given back once.
 */
export type Reservation = z.infer<typeof reservationSchema>;
