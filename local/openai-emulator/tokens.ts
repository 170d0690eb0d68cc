import { NO_TOKENS, type TokenUsage } from './batch-lifecycle.ts';
import type { Body } from './exchange.ts';
import { isObject, isTooDeep } from './json-lines.ts';

/** The emulator's token rule: a token is four bytes of UTF-8, begun ones count. */
export const tokensOfBytes = (bytes: number): number => Math.ceil(bytes / 4);

/** Each image counts as this many input tokens (the low-detail price of gpt-4o in OpenAI's vision guide). */
const IMAGE_TOKENS = 85;

/**
 * The input tokens of a request: its texts, tools and schema, a token per four bytes; images at a flat rate. None of a
 * request that is nested too deep, which is refused.
 */
export function inputTokens(body: Body): number {
  if (isTooDeep(body)) return 0;
  let bytes = 0;
  let tokens = 0;
  const add = (value: unknown): void => {
    if (typeof value === 'string') bytes += Buffer.byteLength(value);
    else if (typeof value === 'number') tokens += 1;
    else if (Array.isArray(value)) for (const item of value) add(item);
    else if (isObject(value)) {
      if (String(value.type).includes('image')) tokens += IMAGE_TOKENS;
      else
        for (const key of ['content', 'text', 'input_text', 'arguments', 'output'])
          if (key in value) add(value[key]);
    }
  };
  for (const key of ['messages', 'input', 'instructions', 'prompt']) add(body[key]);
  for (const key of ['tools', 'response_format']) if (body[key] !== undefined) add(JSON.stringify(body[key]));
  if (isObject(body.text)) add(JSON.stringify(body.text));
  return tokens + tokensOfBytes(bytes);
}

/** How many inputs an embeddings request holds: an array of texts or token lists counts each. */
export function embeddingInputs(body: Body): number {
  const input = body.input;
  return Array.isArray(input) && typeof input[0] !== 'number' ? input.length : 1;
}

/** The tokens that an answer's `usage` reports, in either of its two spellings; none when it has no usage. */
export function usageOf(body: Body): TokenUsage {
  const usage = body.usage;
  if (!isObject(usage)) return NO_TOKENS;
  const detail = (name: string, field: string) => {
    const details = usage[`${name}_tokens_details`];
    return isObject(details) ? numberOf(details[field]) : 0;
  };
  return {
    input: numberOf(usage.input_tokens ?? usage.prompt_tokens),
    cached: detail('input', 'cached_tokens') + detail('prompt', 'cached_tokens'),
    output: numberOf(usage.output_tokens ?? usage.completion_tokens),
    reasoning: detail('output', 'reasoning_tokens') + detail('completion', 'reasoning_tokens'),
  };
}

const numberOf = (value: unknown) => (typeof value === 'number' ? value : 0);
