import type { TokenUsage } from './batch-lifecycle.ts';

/** One time that one request was executed. */
export type Execution = {
  /** Of a batch line; of a synchronous call its `X-Client-Request-Id` header, or null. */
  custom_id: string | null;
  /** Null for a synchronous call and a background response. */
  batch_id: string | null;
  /** Of a background response. */
  response_id: string | null;
  /** The last status of a background response; null of other executions. */
  outcome: string | null;
  endpoint: string;
  model: string | null;
  /** `batch`; the tier of a synchronous call; `background-8h`, `background-2h` or (soonest) `default`. */
  tier: string;
  /** The share of the model's standard rate at which its tokens are billed; null where there is no one share. */
  rate: number | null;
  /** Equal for equal requests, whatever their tier. */
  request_hash: string;
  at_ms: number;
  status: number;
  usage: TokenUsage;
  /** Input and output tokens of a 200, and of what is billed without an answer; else 0. */
  billed_tokens: number;
};
