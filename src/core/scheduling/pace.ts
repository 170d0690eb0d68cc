/** How fast a model can be called, request by request: what its ledger has learned from answers. */

import type { QuotaSettings } from '../../contract/quota.ts';
import { MINUTE_MS } from '../../contract/time.ts';
import type { LearnedPace, Ledger } from '../model/ledger.ts';
import type { CallRates } from '../ports/provider-rules.ts';
import type { Pace } from './ladder.ts';

/** Of an account's limits, which other applications share. */
const OUR_SHARE = 0.8;
/** How much the last call says of how long calls take. */
const WEIGHT = 0.1;

/** How many calls a worker has under way at a time. */
export const CALLS_OF_A_SLICE = 32;

/** How many calls of a model and tier are under way at a time, at most. */
export function callsAtATime(quota: Pick<QuotaSettings, 'concurrentSlices'>): number {
  return quota.concurrentSlices * CALLS_OF_A_SLICE;
}

/**
 * @param most how many calls are under way at a time, at most.
 * @param first limits of the account until answers report them.
 */
export function paceOf(ledger: Ledger | undefined, most: number, first: CallRates): Pace {
  const { callMs, ...limits } = ledger?.pace ?? {};
  const { requestsPerMinute, tokensPerMinute } = { ...first, ...limits };
  const byTheirTime = callMs === undefined ? Number.POSITIVE_INFINITY : (most * MINUTE_MS) / callMs;
  return {
    requestsPerMinute: Math.max(1, Math.min(requestsPerMinute * OUR_SHARE, byTheirTime)),
    tokensPerMinute: Math.max(1, tokensPerMinute * OUR_SHARE),
  };
}

/** What is known after one more call. */
export function learn(
  known: LearnedPace | undefined,
  call: { ms: number; requestsPerMinute?: number | undefined; tokensPerMinute?: number | undefined },
): LearnedPace {
  const { ms, requestsPerMinute, tokensPerMinute } = call;
  const callMs = known?.callMs === undefined ? ms : known.callMs + WEIGHT * (ms - known.callMs);
  return {
    ...known,
    callMs: Math.max(1, Math.round(callMs)),
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
    ...(tokensPerMinute === undefined ? {} : { tokensPerMinute }),
  };
}
