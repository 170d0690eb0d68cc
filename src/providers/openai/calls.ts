/** How OpenAI's tiers are asked for in a call, and what its refusals of one mean. */
import type { Tier } from '../../contract/route.ts';
import type { CallAnswer } from '../../core/ports/provider.ts';
import type { CallRules } from '../../core/ports/provider-rules.ts';
import { ENDPOINTS } from './endpoints/all.ts';

/** `service_tier` of a call. Source: openai 7.55.0 `resources/responses/responses.ts`; `default` is standard. */
const SERVICE_TIERS = { flex: 'flex', standard: 'default' } as const;

/** Endpoints without flex have no such parameter, and OpenAI refuses what it does not know. */
function tierMembersOf(tier: Exclude<Tier, 'batch'>, endpoint: string): [name: string, json: string][] {
  return ENDPOINTS.get(endpoint)?.hasFlex ? [['service_tier', JSON.stringify(SERVICE_TIERS[tier])]] : [];
}

/** No room, not charged: 429 by OpenAI (guide "Flex processing"), 498 by Groq (docs, "Flex processing"). */
const REFUSING: ReadonlySet<number> = new Set([429, 498]);

/** Whether a call was refused for lack of room, and not for its own size. */
function isWithoutRoom(answer: CallAnswer): boolean {
  return REFUSING.has(answer.status) && !isTooLarge(answer);
}

/**
 * Whether a refusal is about the request alone, which has more tokens than the account may send in a minute: "Request
 * too large for gpt-4o … on tokens per min (TPM): Limit 30000, Requested 31538." (seen in many issues, such as
 * shell_gpt#653). Waiting makes no room for that.
 */
function isTooLarge({ body }: CallAnswer): boolean {
  try {
    const { message } = (JSON.parse(body) as { error: { message?: unknown } }).error;
    return typeof message === 'string' && /^request too large/i.test(message);
  } catch {
    return false;
  }
}

/**
 * Whether it says that the model has no flex: 400 with `param` `service_tier`, or with no `param` and a message that
 * names it, as in "Flex is not available for this model." and "Invalid service_tier argument" (both seen with models
 * that have none). What is said of another parameter is about the request, even where it quotes the word.
 */
function refusesFlex({ status, body }: CallAnswer): boolean {
  if (status !== 400) return false;
  try {
    const { param, message } = (JSON.parse(body) as { error: { param?: unknown; message?: unknown } }).error;
    if (typeof param === 'string' && param !== '') return param === 'service_tier';
    return typeof message === 'string' && /service_tier|\bflex\b/i.test(message);
  } catch {
    return false;
  }
}

/** How OpenAI is called. */
export const CALL_RULES: CallRules = { tierMembersOf, isWithoutRoom, refusesFlex };
