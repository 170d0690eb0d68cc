/** What is limited (enqueued tokens, money): how much of it is taken, and by which batch. */

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
