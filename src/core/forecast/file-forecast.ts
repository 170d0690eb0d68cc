/** What a forecast says of a file. */
import type { FirstInvalid } from '../../contract/receipt.ts';
import type { PreflightFinding } from '../model/preflight.ts';
import type { UnestimatedKind } from '../model/prompt.ts';
import type { PrefixReport } from './prefixes.ts';

/** Answers of requests that set no limit: a few paragraphs, as `EndpointRules.predictOutput` has it. */
export const ASSUMED_OUTPUT_TOKENS = 450;

/** What a batch was full of; `groups`: many fill up side by side, and it was the largest; `end`: the file ended. */
export type Bound = 'requests' | 'bytes' | 'embedding_inputs' | 'output' | 'tokens' | 'groups' | 'end';

export interface BatchForecast {
  endpoint: string;
  model: string;
  requests: number;
  bytes: number;
  inputTokens: number;
  inputTokensAtMost: number;
  /** The most that the requests allow, or that is reserved for those that set no limit. */
  outputTokensAtMost: number;
  longestBytes: number;
  bound: Bound;
}

/** Requests of one model and endpoint. */
export interface GroupForecast {
  endpoint: string;
  model: string;
  requests: number;
  batches: number;
  inputTokens: number;
  inputTokensAtMost: number;
  /** Standard error of the estimate over `inputTokens`. */
  relativeError: number;
  unestimated: Partial<Record<UnestimatedKind, number>>;
  /** The most that the requests allow, or {@link ASSUMED_OUTPUT_TOKENS} for each that sets no limit. */
  outputTokens: number;
  /** Requests that set no limit to their answer. */
  unlimited: number;
  /** Requests of more than 272,000 input tokens, which cost more. */
  long: { requests: number; inputTokens: number; outputTokens: number; firstLines: number[] };
}

export interface Forecast {
  /** Lines with something on them. */
  lines: number;
  blank: number;
  invalid: number;
  invalidByCode: Record<string, number>;
  /** The first three invalid lines of each code. */
  firstInvalid: FirstInvalid;
  batches: BatchForecast[];
  groups: GroupForecast[];
  prefixes: PrefixReport;
  /** Requests that the provider is sure to refuse, as far as is known. */
  preflight: PreflightFinding[];
  /** Requests whose prompts may be cached, and that name no key for that. */
  withoutCacheKey: number;
  /** The file as a whole would not be run. */
  rejection?: { code: string; message: string } | undefined;
}
