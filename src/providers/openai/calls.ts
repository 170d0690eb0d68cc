/** How OpenAI's tiers are asked for in a call, and what its refusals of one mean. */
import type { Tier } from '../../contract/route.ts';
import type { CallAnswer } from '../../core/ports/provider.ts';
import type { CallRules } from '../../core/ports/provider-rules.ts';
import { ENDPOINTS } from './endpoints/all.ts';

/**
 * What asks for a tier. Source: openai 7.59.0 `resources/responses/responses.ts`; `default` is standard, which
 * background windows require.
 */
const TIER_MEMBERS = {
  flex: [['service_tier', '"flex"']],
  'background-8h': windowMembers('8h'),
  'background-2h': windowMembers('2h'),
  standard: [['service_tier', '"default"']],
} as const satisfies Record<Exclude<Tier, 'batch'>, readonly (readonly [name: string, json: string])[]>;

function windowMembers(window: '8h' | '2h'): [name: string, json: string][] {
  return [
    ['service_tier', '"default"'],
    ['background', 'true'],
    ['background_options', JSON.stringify({ completion_window: window })],
  ];
}

/** Endpoints without flex have no such parameters, and OpenAI refuses what it does not know. */
function tierMembersOf(tier: Exclude<Tier, 'batch'>, endpoint: string): [name: string, json: string][] {
  return ENDPOINTS.get(endpoint)?.hasFlex ? TIER_MEMBERS[tier].map(([name, json]) => [name, json]) : [];
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
 * What a refusal of a tier names. Of flex: 400 with `param` `service_tier`, or with no `param` and a message that
 * names it, as in "Flex is not available for this model." and "Invalid service_tier argument" (both seen with models
 * that have none). Of a window, which is in public beta for some models: 400 that names `background` or
 * `background_options` in the same way; OpenAI's words are not established.
 */
const REFUSED_BY = {
  flex: { param: /^service_tier$/, message: /service_tier|\bflex\b/i },
  window: {
    // Only what we set ourselves: a `continuation_id` is the line's own.
    param: /^background(_options(\.completion_window)?)?$/,
    message: /background_options|completion[_ ]window|\bbackground\b/i,
  },
} as const;

/** What is said of another parameter is about the request, even where it quotes the word. */
function refusesTier(tier: Exclude<Tier, 'batch'>, { status, body }: CallAnswer): boolean {
  if (status !== 400 || tier === 'standard') return false;
  const words = REFUSED_BY[tier === 'flex' ? 'flex' : 'window'];
  try {
    const { param, message } = (JSON.parse(body) as { error: { param?: unknown; message?: unknown } }).error;
    if (typeof param === 'string' && param !== '') return words.param.test(param);
    return typeof message === 'string' && words.message.test(message);
  } catch {
    return false;
  }
}

/** How OpenAI is called. */
export const CALL_RULES: CallRules = { tierMembersOf, isWithoutRoom, refusesTier };
