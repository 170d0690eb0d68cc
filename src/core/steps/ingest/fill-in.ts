/** What a route adds to lines that leave it out: its `defaults`, and a key of the prompt cache. Pure. */
import type { Defaults } from '../../../contract/line-defaults.ts';
import type { Route } from '../../../contract/route.ts';
import { defined } from '../../base/defined.ts';
import { memberText, withMembers } from '../../base/json-members.ts';
import { MAX_LINE_BYTES } from '../../model/limits.ts';
import type { LineRules } from '../../ports/provider-rules.ts';
import type { Prices } from '../../pricing/prices.ts';
import { checkLine, type InvalidLine, lineTooLong, type ValidLine } from '../../requests/check-line.ts';
import { type PromptCacheKey, promptCacheKeyOf } from '../../requests/prompt-cache-key.ts';

/** What lines are filled in with. */
export interface Additions {
  defaults?: Defaults;
  /** Models whose prompts are given a key: see {@link promptCacheKeyOf}. Default: none. */
  hasCachedRate?: (model: string) => boolean;
}

/**
 * What a route adds to lines; `undefined`: nothing, so that they can be sent from where they are.
 * @param at time whose prices hold, in epoch milliseconds.
 */
export function additionsOf(
  { defaults, promptCacheKey, tiers }: Pick<Route, 'defaults' | 'promptCacheKey' | 'tiers'>,
  prices: Prices,
  at: number,
): Additions | undefined {
  if (defaults === undefined && promptCacheKey === undefined) return undefined;
  return defined({
    defaults,
    hasCachedRate:
      promptCacheKey === undefined
        ? undefined
        : (model) => tiers.some((tier) => prices.hasCachedRate(model, tier, at)),
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Fills in what the line leaves out: what it says stays as it is, byte for byte. So does what is no JSON object, and
 * a body that is none. A key that would make the line too long is left out.
 */
export function fillIn(
  bytes: Uint8Array,
  { defaults, hasCachedRate }: Additions,
  rules: LineRules,
): Uint8Array {
  let text: string;
  let line: unknown;
  try {
    text = utf8.decode(bytes);
    line = JSON.parse(text);
  } catch {
    return bytes;
  }
  if (!isObject(line)) return bytes;
  const filled = defaults === undefined ? text : withDefaults(text, line, defaults);
  if (hasCachedRate !== undefined) {
    const keyed = withKey(filled, filled === text ? line : JSON.parse(filled), hasCachedRate, rules);
    if (keyed !== undefined) return keyed;
  }
  return filled === text ? bytes : Buffer.from(filled);
}

function withDefaults(
  text: string,
  line: Record<string, unknown>,
  { body: parameters, ...members }: Defaults,
): string {
  const filled = withMembers(text, { defaults: jsonOf(members) });
  if (parameters === undefined) return filled;
  if (line.body === undefined) return withMembers(filled, { set: [['body', JSON.stringify(parameters)]] });
  if (!isObject(line.body)) return filled;
  const own = memberText(filled, 'body')!;
  const body = withMembers(own, { defaults: jsonOf(parameters) });
  return body === own ? filled : withMembers(filled, { set: [['body', body]] });
}

/** @param line what `text` says. @returns `undefined` if it is given no key. */
function withKey(
  text: string,
  { url, body }: Record<string, unknown>,
  hasCachedRate: (model: string) => boolean,
  { endpoints }: LineRules,
): Uint8Array | undefined {
  if (!isObject(body)) return undefined;
  let found: PromptCacheKey | undefined;
  try {
    found = promptCacheKeyOf(endpoints, url, body, hasCachedRate);
  } catch (error) {
    // Its tools are nested too deeply to be read; without a key it is as good.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  if (found === undefined) return undefined;
  const keyedBody = withMembers(memberText(text, 'body')!, {
    set: [[found.member, JSON.stringify(found.key)]],
  });
  const keyed = Buffer.from(withMembers(text, { set: [['body', keyedBody]] }));
  return keyed.length <= MAX_LINE_BYTES ? keyed : undefined;
}

/** Members as JSON texts; those that are `undefined` are none. */
function jsonOf(members: Record<string, unknown>): [string, string][] {
  return Object.entries(members).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, JSON.stringify(value)] as [string, string]],
  );
}

/**
 * Checks a line as it is with everything filled in.
 * @returns the verdict, and the line to be sent.
 */
export function checkFilledIn(
  bytes: Uint8Array,
  additions: Additions,
  rules: LineRules,
): { verdict: ValidLine | InvalidLine; bytes: Uint8Array } {
  const filled = fillIn(bytes, additions, rules);
  const isTooLong = filled.length > MAX_LINE_BYTES;
  return { verdict: isTooLong ? lineTooLong(filled.length) : checkLine(filled, rules), bytes: filled };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
