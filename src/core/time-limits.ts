/** Spans of time that several steps must agree on. */

/** A worker that has not ended by then is dead: a Lambda lives for 15 minutes at most. Claims and turns last as long. */
export const WORKER_LIFETIME_MS = 16 * 60_000;

/** How far OpenAI's clock and ours may differ when pages of a list are cut off by time. */
export const CLOCK_SKEW_MS = 10 * 60_000;
