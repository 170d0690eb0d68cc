/** What is known of models by their names. */
import { SNAPSHOT } from './prices/names.ts';

/** How a model's texts are cut into tokens. */
export type Encoding = 'o200k_base' | 'cl100k_base';

/** `ft:gpt-4o-mini-2024-07-18:org::id` and `gpt-4o-mini-2024-07-18` are `gpt-4o-mini`. */
export function baseModelOf(model: string): string {
  const name = model.startsWith('ft:') ? model.split(':')[1]! : model;
  return name.replace(SNAPSHOT, '');
}

/**
 * Models before gpt-4o, and embeddings, use cl100k_base; all later ones are taken to use o200k_base, as those do of
 * which it is known. Source: tiktoken, `tiktoken/model.py`.
 */
export function encodingOf(model: string): Encoding {
  return /^(gpt-4(-(?!o)|$)|gpt-4-turbo|gpt-3\.5|text-embedding-|davinci-002|babbage-002)/.test(
    baseModelOf(model),
  )
    ? 'cl100k_base'
    : 'o200k_base';
}

/**
 * Input tokens of one request that the newest models take; of models that are not known as well. Source: model pages.
 */
const MAX_CONTEXT_TOKENS = 1_050_000;
/** First match holds. Source: OpenAI's model pages, "context window". */
const CONTEXT_TOKENS: readonly [model: RegExp, tokens: number][] = [
  [/^gpt-5\.4-(mini|nano)$/, 400_000],
  [/^gpt-(5\.[4-9]|[6-9])/, MAX_CONTEXT_TOKENS],
  [/^gpt-5/, 400_000],
  [/^gpt-4\.1/, 1_047_576],
  [/^(gpt-4o|gpt-4-turbo|gpt-4\.5)/, 128_000],
  [/^(o1|o3|o4)/, 200_000],
  [/^gpt-4/, 8_192],
  [/^(gpt-3\.5|davinci-002|babbage-002)/, 16_385],
];

/** No request that a model answers has more input tokens than this. */
export function contextTokensOf(model: string): number {
  const name = baseModelOf(model);
  return CONTEXT_TOKENS.find(([models]) => models.test(name))?.[1] ?? MAX_CONTEXT_TOKENS;
}

/**
 * Whether a model may have a flex tier: gpt-6.2-astra, gpt-6.2-sol and all later models have none. Source: guide "Flex
 * processing" (2026-11).
 */
export function hasFlex(model: string): boolean {
  return !/^gpt-(6\.([2-9]|\d\d)|[7-9]|\d\d)/.test(baseModelOf(model));
}

/** Whether OpenAI says that background windows serve a model: public beta on GPT-6.2. Source: guide "Background mode" (2026-11). */
export function isSurelyInWindows(model: string): boolean {
  return /^gpt-6\.2(-|$)/.test(baseModelOf(model));
}
