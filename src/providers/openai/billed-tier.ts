/** Which tier OpenAI bills an answer in. */
import type { PricedTier } from '../../contract/rates.ts';
import { isWindowTier, type Tier, windowMs } from '../../contract/route.ts';
import { HOUR_MS, SECOND_MS } from '../../contract/time.ts';
import { asObject, type JsonObject } from '../../core/base/json-value.ts';

/** What `service_tier` of an answer may say. Source: openai 7.59.0 `resources/responses/responses.ts`. */
const BILLED_AS: ReadonlyMap<unknown, PricedTier> = new Map<unknown, PricedTier>([
  ['default', 'standard'],
  ['flex', 'flex'],
  ['priority', 'priority'],
  ['fast', 'priority'],
]);

/**
 * A batch is billed as one, whatever its answers say; else the answer names the tier that served it. A completion window
 * is billed as it was asked for if the answer shows that it ran in the background, in standard, and within the window;
 * else as standard: what is billed when a window is missed is not established.
 * @param asked the tier of its batch.
 */
export function billedTierOf(body: JsonObject, asked: Tier): PricedTier {
  if (asked === 'batch') return asked;
  const reported = BILLED_AS.get(body.service_tier);
  if (!isWindowTier(asked)) return reported ?? asked;
  if (reported !== undefined && reported !== 'standard') return reported;
  const name = `${windowMs(asked) / HOUR_MS}h`;
  const stated = asObject(body.background_options)?.completion_window ?? name;
  const isInWindow = body.background === true && stated === name && !isLate(body, windowMs(asked));
  return isInWindow ? asked : 'standard';
}

/**
 * Whether the price of the tier that an answer says it was served in is known. Not of `ultrafast` and `scale`, nor of
 * words that are new: those are billed as they were asked for, which may be too little.
 */
export function isTierKnown({ service_tier: word }: JsonObject, asked: Tier): boolean {
  return asked === 'batch' || typeof word !== 'string' || word === 'auto' || BILLED_AS.has(word);
}

/** Times are in seconds since the epoch; an answer without them is not known to be late. */
function isLate({ created_at: created, completed_at: completed }: JsonObject, windowMs: number): boolean {
  return (
    typeof created === 'number' &&
    typeof completed === 'number' &&
    (completed - created) * SECOND_MS > windowMs
  );
}
