import { randomOf } from './ids.ts';

/** One token of an answer with its log probability, as chat completions and responses show it. */
export type TokenLogprob = {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: { token: string; logprob: number; bytes: number[] }[];
};

const TOKEN_BYTES = 4;

/** The tokens of a text by the emulator's rule, never a character cut in two. */
export function tokensIn(text: string): string[] {
  const tokens: string[] = [];
  let token = '';
  let bytes = 0;
  for (const character of text) {
    const size = Buffer.byteLength(character);
    if (bytes + size > TOKEN_BYTES && token !== '') {
      tokens.push(token);
      token = '';
      bytes = 0;
    }
    token += character;
    bytes += size;
  }
  return token === '' ? tokens : [...tokens, token];
}

/**
 * Log probabilities of a text: the same for the same text and key.
 * @param top how many of the likeliest tokens each position names; the token itself is the first of them
 */
export function logprobsOf(text: string, key: string, top: number): TokenLogprob[] {
  const random = randomOf('logprobs', key);
  return tokensIn(text).map((token) => {
    const likely: TokenLogprob['top_logprobs'] = [];
    let logprob = -random() / 10;
    const own = logprob;
    for (let rank = 0; rank < top; rank++) {
      const other = rank === 0 ? token : `${token.slice(0, -1)}${rank}`;
      likely.push({ token: other, logprob, bytes: bytesOf(other) });
      logprob -= 2 + random();
    }
    return { token, logprob: own, bytes: bytesOf(token), top_logprobs: likely };
  });
}

/** The same in the form of `/v1/completions`. */
export function completionLogprobs(text: string, key: string, top: number) {
  const tokens = logprobsOf(text, key, top);
  let offset = 0;
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map((each) =>
      Object.fromEntries(each.top_logprobs.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset: tokens.map(({ token }) => {
      offset += token.length;
      return offset - token.length;
    }),
  };
}

const bytesOf = (token: string): number[] => [...Buffer.from(token)];
