/** Calls that were made in the past, in one form for all providers' logs. */
import type { PricedTier } from '../../contract/rates.ts';
import type { ToolUse } from '../model/tool-use.ts';
import type { TokenUsage } from '../model/usage.ts';

/** One call, or many of the same kind. */
export interface Calls {
  count: number;
  /** Epoch milliseconds. */
  at: number;
  model: string;
  /** A path; not all have a batch endpoint. */
  endpoint: string;
  /** What was billed; `undefined`: a tier that has no price here. */
  tier: PricedTier | undefined;
  usage: TokenUsage;
  /** What was charged beside tokens. Absent: not known. */
  tools?: ToolUse;
  project?: string | undefined;
  tags: string[];
}

/** Calls, or that the call failed, which costs nothing, or why it cannot be read. */
export type ReadCalls = { calls: Calls[] } | { failed: number } | { problem: string };
