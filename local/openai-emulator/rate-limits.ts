import { type ErrorObject, rateLimited } from './api-error.ts';
import { ORGANIZATION } from './batch-errors.ts';
import type { Clock } from './clock.ts';

/** Bounds on synchronous calls, per model. */
export type RateLimits = {
  /** Default 30,000: inferred, a high tier's. */
  requestsPerMinute: number;
  /** Input tokens; default 150,000,000: inferred, a high tier's. */
  tokensPerMinute: number;
};

/** What a call may do: the headers of its answer, and the error when it is refused. */
export type Turn = { headers: Record<string, string>; refused: ErrorObject | undefined };

const MINUTE_MS = 60_000;

/**
 * Buckets per model that fill by use and drain over a minute of the clock.
 * @param limits read at each call
 * @returns takes one request of so many tokens; a refused one uses up nothing
 */
export function createRateLimits(limits: RateLimits, clock: Clock): (model: string, tokens: number) => Turn {
  const used = new Map<string, { requests: number; tokens: number; atMs: number }>();
  return (model, tokens) => {
    const now = clock.now();
    const before = used.get(model) ?? { requests: 0, tokens: 0, atMs: now };
    const drained = (now - before.atMs) / MINUTE_MS;
    const level = {
      requests: Math.max(0, before.requests - drained * limits.requestsPerMinute),
      tokens: Math.max(0, before.tokens - drained * limits.tokensPerMinute),
    };
    const kinds = [
      { name: 'requests', short: 'RPM', limit: limits.requestsPerMinute, level: level.requests, asked: 1 },
      { name: 'tokens', short: 'TPM', limit: limits.tokensPerMinute, level: level.tokens, asked: tokens },
    ];
    const over = kinds.find((kind) => kind.level + kind.asked > kind.limit);
    const headers: Record<string, string> = {};
    for (const { name, limit, level: was, asked } of kinds) {
      const is = over === undefined ? was + asked : was;
      headers[`x-ratelimit-limit-${name}`] = String(limit);
      headers[`x-ratelimit-remaining-${name}`] = String(Math.max(0, Math.floor(limit - is)));
      headers[`x-ratelimit-reset-${name}`] = durationOf((is / limit) * MINUTE_MS);
    }
    if (over === undefined) {
      used.set(model, { requests: level.requests + 1, tokens: level.tokens + tokens, atMs: now });
      return { headers, refused: undefined };
    }
    const waitMs = Math.ceil(((over.level + over.asked - over.limit) / over.limit) * MINUTE_MS);
    headers['retry-after-ms'] = String(waitMs);
    headers['retry-after'] = String(Math.ceil(waitMs / 1000));
    const message = `Rate limit reached for ${model} in organization ${ORGANIZATION} on ${over.name} per min (${over.short}): Limit ${over.limit}, Used ${Math.ceil(over.level)}, Requested ${over.asked}. Please try again in ${durationOf(waitMs)}.`;
    return { headers, refused: rateLimited(message, over.name).body.error };
  };
}

/** In the form of the real headers: `12ms`, `1.5s`, `6m0s`. */
function durationOf(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 100) / 10;
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${Math.round(seconds % 60)}s`;
}
