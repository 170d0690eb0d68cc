import type { Tokenizer } from '../../core/pricing/tokens/estimate.ts';
import { type Encoding, encodingOf } from './models.ts';

/** Longest word, in characters, that is cut into tokens at once: the library takes time with the square of it. */
const MAX_WORD_CHARS = 512;
const LONG_WORD = new RegExp(`\\S{${MAX_WORD_CHARS + 1}}`);
const WORD_PIECES = new RegExp(`[\\s\\S]{1,${MAX_WORD_CHARS}}`, 'gu');

const loaded = new Map<Encoding, Promise<Tokenizer>>();

/**
 * The tokenizer of a model. Loading one takes some 0.2 s and 80 MB, so it is loaded when it is first asked for, once.
 */
export function loadTokenizer(model: string): Promise<Tokenizer> {
  const encoding = encodingOf(model);
  let tokenizer = loaded.get(encoding);
  if (tokenizer === undefined) {
    tokenizer = load(encoding);
    loaded.set(encoding, tokenizer);
  }
  return tokenizer;
}

async function load(encoding: Encoding): Promise<Tokenizer> {
  const { countTokens, setMergeCacheSize } =
    encoding === 'o200k_base'
      ? await import('gpt-tokenizer/encoding/o200k_base')
      : await import('gpt-tokenizer/encoding/cl100k_base');
  setMergeCacheSize(50_000);
  // What looks like a special token is text here: it comes from a user.
  const count = (text: string): number => countTokens(text, { disallowedSpecial: new Set() });
  return (text) => {
    if (!LONG_WORD.test(text)) return count(text);
    return (text.match(WORD_PIECES) ?? []).reduce((sum, piece) => sum + count(piece), 0);
  };
}
