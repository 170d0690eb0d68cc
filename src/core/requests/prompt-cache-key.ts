/**
 * The `prompt_cache_key` of a request that names none: the same for all prompts that begin alike, in other files and on
 * other days too, so that OpenAI sends them to where their beginning may be cached. Pure.
 */
import { createHash } from 'node:crypto';
import type { ProviderRules } from '../ports/provider-rules.ts';

/**
 * UTF-8 bytes of a prompt's beginning that make its key; a shorter prompt has none. Prompts are cached from 1,024
 * tokens on, and a token has about four bytes in most languages (docs/cost.md, "Tokens"): more bytes would give
 * prompts keys of their own that have no more in common than is just cached.
 */
export const KEYED_BYTES = 4_096;
/** Hex digits, as many as a job's id has; a key has 42 characters with them. OpenAI takes 64. */
const HASH_CHARS = 32;

/**
 * The key for a request; `undefined` for one that says `prompt_cache_key` itself, whatever it says, and where nothing
 * would be cached: endpoints without a prompt cache, models whose cached tokens cost no less, and prompts that do not
 * begin with {@link KEYED_BYTES} of text, whether they are short or begin with what is no text. Only a hash of the text
 * goes into it.
 * @param endpoints of the provider.
 * @param hasCachedRate whether cached tokens of the model cost less than others.
 */
export function promptCacheKeyOf(
  endpoints: ProviderRules['endpoints'],
  url: unknown,
  body: Record<string, unknown>,
  hasCachedRate: (model: string) => boolean,
): string | undefined {
  const endpoint = typeof url === 'string' ? endpoints.get(url) : undefined;
  if (!endpoint?.hasPromptCache || Object.hasOwn(body, 'prompt_cache_key')) return undefined;
  const { model } = body;
  if (typeof model !== 'string' || !hasCachedRate(model)) return undefined;
  const { texts, opaqueAt } = endpoint.readPrompt(body);
  const beginning = beginningOf(texts.slice(0, opaqueAt));
  if (beginning === undefined) return undefined;
  const hash = createHash('sha256').update(`${url}\0${model}\0`).update(beginning).digest('hex');
  return `batchdrop-${hash.slice(0, HASH_CHARS)}`;
}

/** {@link KEYED_BYTES} of the texts, each ended by a zero byte; `undefined` if they have less. */
function beginningOf(texts: readonly string[]): Uint8Array | undefined {
  const pieces: Uint8Array[] = [];
  let left = KEYED_BYTES;
  for (const text of texts) {
    // A character has a byte or more. One more than there is room for, so that no pair of surrogates is cut in it.
    const piece = Buffer.from(`${text.slice(0, left + 1)}\0`);
    pieces.push(piece.subarray(0, left));
    left -= Math.min(left, piece.length);
    if (left === 0) return Buffer.concat(pieces);
  }
  return undefined;
}
