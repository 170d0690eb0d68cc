/** What a route adds to lines that leave it out: its `defaults`, and a `prompt_cache_key`. Pure. */
import type { Defaults, Route } from '../../contract/settings.ts';
import { isKeptNumber, keepNumbers } from '../keep-numbers.ts';
import { MAX_LINE_BYTES } from '../limits.ts';
import type { Prices } from '../prices/prices.ts';
import { checkLine, type InvalidLine, lineTooLong, type ValidLine } from './check-line.ts';
import { promptCacheKeyOf } from './prompt-cache-key.ts';

/** What lines are filled in with. */
export interface Additions {
  defaults?: Defaults;
  /** Models whose prompts are given a key: see {@link promptCacheKeyOf}. Default: none. */
  hasCachedRate?: (model: string) => boolean;
}

/**
 * What a route adds to lines; `undefined`: nothing, so that they can be sent from where they stand.
 * @param at time whose prices hold, in epoch milliseconds.
 */
export function additionsOf(
  { defaults, promptCacheKey, tiers }: Pick<Route, 'defaults' | 'promptCacheKey' | 'tiers'>,
  prices: Prices,
  at: number,
): Additions | undefined {
  if (defaults === undefined && promptCacheKey === undefined) return undefined;
  return {
    ...(defaults === undefined ? {} : { defaults }),
    ...(promptCacheKey === undefined
      ? {}
      : { hasCachedRate: (model) => tiers.some((tier) => prices.hasCachedRate(model, tier, at)) }),
  };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Fills in what the line leaves out; numbers keep their spelling. What is no JSON object, and a body that is none, stays
 * as it is; so does, byte for byte, a line that nothing is added to. A key that would make the line too long is left out.
 * @throws {RangeError} if the line is nested more deeply than that can be done for.
 */
export function fillIn(bytes: Uint8Array, { defaults, hasCachedRate }: Additions): Uint8Array {
  let line: unknown;
  try {
    line = JSON.parse(utf8.decode(bytes), keepNumbers);
  } catch (error) {
    if (error instanceof RangeError) throw error;
    return bytes;
  }
  if (!isObject(line)) return bytes;
  const filled = defaults === undefined ? line : withDefaults(line, defaults);
  const { url, body } = filled;
  if (hasCachedRate !== undefined && isObject(body)) {
    const key = promptCacheKeyOf(url, body, hasCachedRate);
    if (key !== undefined) {
      const keyed = encode({ ...filled, body: { ...body, prompt_cache_key: key } });
      if (keyed.length <= MAX_LINE_BYTES) return keyed;
    }
  }
  return defaults === undefined ? bytes : encode(filled);
}

function withDefaults(
  line: Record<string, unknown>,
  { body: parameters, ...members }: Defaults,
): Record<string, unknown> {
  const filled: Record<string, unknown> = { ...members, ...line };
  if (line.body === undefined && parameters !== undefined) filled.body = parameters;
  else if (isObject(line.body)) filled.body = { ...parameters, ...line.body };
  return filled;
}

/**
 * Checks a line as it is with everything filled in.
 * @returns the verdict, and the line to be sent.
 */
export function checkFilledIn(
  bytes: Uint8Array,
  additions: Additions,
): { verdict: ValidLine | InvalidLine; bytes: Uint8Array } {
  try {
    const filled = fillIn(bytes, additions);
    const isTooLong = filled.length > MAX_LINE_BYTES;
    return { verdict: isTooLong ? lineTooLong(filled.length) : checkLine(filled), bytes: filled };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // Without a key it is as good.
    if (additions.defaults === undefined) return { verdict: checkLine(bytes), bytes };
    const message = 'This line is nested too deeply for the defaults of its route to be filled in.';
    return { verdict: { valid: false, code: 'invalid_json_line', message, param: null }, bytes };
  }
}

function encode(line: Record<string, unknown>): Uint8Array {
  return Buffer.from(JSON.stringify(line));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isKeptNumber(value);
}
