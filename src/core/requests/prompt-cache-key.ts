/**
 * The cache key of a request that names none: the same for all prompts that begin alike, in other files and on other
 * days too, so that the provider sends them to where their beginning may be cached. Pure.
 */
import { createHash } from 'node:crypto';
import type { ProviderRules } from '../ports/provider-rules.ts';

/**
 * As many bytes of a prompt's beginning make its key as the shortest beginning that is cached has; a shorter prompt has
 * none. A token has about four bytes in most languages (docs/cost.md, "Tokens"): more bytes would give prompts keys of
 * their own that have no more in common than is just cached.
 */
const BYTES_PER_TOKEN = 4;
/** Hex digits, as many as a job's id has; a key has 42 characters with them, and no provider is known that takes less. */
const HASH_CHARS = 32;

/** A request's cache key, and the member of its body that it belongs in. */
export interface PromptCacheKey {
  member: string;
  key: string;
}

/**
 * The key for a request; `undefined` for one that says its own, whatever it says, and where nothing
 * would be cached: endpoints without a prompt cache, models whose cached tokens cost no less, and prompts that do not
 * begin with enough text, whether they are short or begin with what is no text. Only a hash of the text
 * goes into it.
 * @param endpoints of the provider.
 * @param hasCachedRate whether cached tokens of the model cost less than others.
 */
export function promptCacheKeyOf(
  endpoints: ProviderRules['endpoints'],
  url: unknown,
  body: Record<string, unknown>,
  hasCachedRate: (model: string) => boolean,
): PromptCacheKey | undefined {
  const endpoint = typeof url === 'string' ? endpoints.get(url) : undefined;
  const cache = endpoint?.promptCache;
  if (endpoint === undefined || cache === undefined || Object.hasOwn(body, cache.keyMember)) return undefined;
  const { model } = body;
  if (typeof model !== 'string' || !hasCachedRate(model)) return undefined;
  const { texts, opaqueAt } = endpoint.readPrompt(body);
  const beginning = beginningOf(texts.slice(0, opaqueAt), cache.minTokens * BYTES_PER_TOKEN);
  if (beginning === undefined) return undefined;
  const hash = createHash('sha256').update(`${url}\0${model}\0`).update(beginning).digest('hex');
  return { member: cache.keyMember, key: `batchdrop-${hash.slice(0, HASH_CHARS)}` };
}

/** So many bytes of the texts, each ended by a zero byte; `undefined` if they have less. */
function beginningOf(texts: readonly string[], bytes: number): Uint8Array | undefined {
  const pieces: Uint8Array[] = [];
  let left = bytes;
  for (const text of texts) {
    // A character has a byte or more. One more than there is room for, so that no pair of surrogates is cut in it.
    const piece = Buffer.from(`${text.slice(0, left + 1)}\0`);
    pieces.push(piece.subarray(0, left));
    left -= Math.min(left, piece.length);
    if (left === 0) return Buffer.concat(pieces);
  }
  return undefined;
}
