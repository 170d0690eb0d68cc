/**
 * How many input tokens requests will be billed for, estimated from a small part of them.
 *
 * The scanner counts the bytes of every request's texts; a {@link PromptSample} keeps some requests, the same ones
 * whenever the file is read. Of those the tokens are counted, and the others are taken to have as many for each byte of
 * text. How many are counted depends on how much they differ: until the sum's standard error is below 1 %, so that 19
 * of 20 estimates of text are within 2 %, and hardly any is off by 5 %.
 *
 * Without a tokenizer, text is taken to have a token every 4 bytes: about right for English prose, off by up to half
 * for code, tables, Thai or Hindi.
 *
 * What is not text is counted by the rules of its provider (images of known size), or flagged and bounded: see
 * {@link TokenEstimate}.
 */
import { defined } from '../../base/defined.ts';
import { type Prompt, UNESTIMATED_KINDS, type UnestimatedKind } from '../../model/prompt.ts';
import type { ModelRules } from '../../ports/provider-rules.ts';
import type { PromptSample, SampledRequest, Stratum } from './sample.ts';

/** Counts the tokens of a text. */
export type Tokenizer = (text: string) => number;

/** Input tokens of some requests. */
export interface TokenEstimate {
  /** Best estimate: text, tokens given as numbers, and images, at their most where their size is not known. */
  inputTokens: number;
  /**
   * What to expect at most: text plus three standard errors, images at their most, audio as if packed as small as can
   * be, and for files, stored prompts and hosted tools the whole context of the model. Never below `inputTokens`.
   */
  inputTokensAtMost: number;
  /** Requests that hold something of which the tokens cannot be estimated, by kind, scaled up from the sample. */
  unestimated: Partial<Record<UnestimatedKind, number>>;
  /**
   * Standard error of the text's tokens over `inputTokens`; 0 if every request was counted; absent without a
   * tokenizer.
   */
  relativeError?: number;
}

/** Ours, for every provider whose tokenizer is not at hand. Source: OpenAI's help centre, "What are tokens": a token is about 4 characters of English. */
const TEXT_BYTES_PER_TOKEN = 4;
const byBytes: Tokenizer = (text) => Buffer.byteLength(text) / TEXT_BYTES_PER_TOKEN;

/** Relative standard error of a stratum's tokens at which no more of it is counted. */
export const ENOUGH_ERROR = 0.01;
/** So many are counted before the error is believed. */
export const MIN_COUNTED = 24;
const LOOK_EVERY = 8;
const MAX_ERRORS = 3;

/** Estimates the input tokens of all requests that the sample was given, which are of one endpoint and model. */
export function estimateTokens(sample: PromptSample, tokenizer?: Tokenizer): TokenEstimate {
  const model: Model = { name: sample.model, rules: sample.models };
  const sum = { tokens: 0, atMost: 0, variance: 0 };
  const unestimated: Partial<Record<UnestimatedKind, number>> = {};
  for (const stratum of sample.strata) {
    const found = measure(stratum, model, tokenizer ?? byBytes);
    sum.tokens += found.tokens;
    sum.atMost += found.atMost;
    sum.variance += found.variance;
    for (const kind of UNESTIMATED_KINDS) {
      const requests = found.unestimated[kind];
      if (requests !== undefined) unestimated[kind] = (unestimated[kind] ?? 0) + requests;
    }
  }
  const inputTokens = Math.round(sum.tokens);
  const error = Math.sqrt(sum.variance);
  return defined({
    inputTokens,
    inputTokensAtMost: Math.max(inputTokens, Math.ceil(sum.atMost + MAX_ERRORS * error)),
    unestimated,
    relativeError: tokenizer === undefined ? undefined : inputTokens === 0 ? 0 : error / inputTokens,
  });
}

/** A model, and the rules of its provider. */
export interface Model {
  name: string;
  rules: ModelRules;
}

/** What one request takes. */
export interface Counted {
  /** From which the tokens of others are estimated: see {@link scaleText}. */
  textBytes: number;
  plainBytes: number;
  /** Tokens of its texts. */
  text: number;
  /** Tokens of everything else, estimated. */
  other: number;
  /** Tokens of everything else, at most. */
  otherAtMost: number;
  kinds: UnestimatedKind[];
}

interface Measured {
  tokens: number;
  atMost: number;
  variance: number;
  unestimated: Partial<Record<UnestimatedKind, number>>;
}

function measure(stratum: Stratum, model: Model, tokenizer: Tokenizer): Measured {
  const counted: Counted[] = [];
  let text = { tokens: 0, variance: 0 };
  for (const request of stratum.sampled()) {
    counted.push(count(request, model, tokenizer));
    if (counted.length < MIN_COUNTED || counted.length % LOOK_EVERY !== 0) continue;
    text = scaleText(stratum, counted);
    if (Math.sqrt(text.variance) <= ENOUGH_ERROR * text.tokens) break;
  }
  text = scaleText(stratum, counted);
  const scale = stratum.requests / counted.length;
  const other = scale * counted.reduce((sum, request) => sum + request.other, 0);
  const otherAtMost = scale * counted.reduce((sum, request) => sum + request.otherAtMost, 0);
  const unestimated: Partial<Record<UnestimatedKind, number>> = {};
  for (const kind of UNESTIMATED_KINDS) {
    const requests = counted.filter(({ kinds }) => kinds.includes(kind)).length;
    if (requests > 0) unestimated[kind] = Math.round(scale * requests);
  }
  return {
    tokens: text.tokens + other,
    atMost: text.tokens + otherAtMost,
    variance: text.variance,
    unestimated,
  };
}

/**
 * Scales the tokens of a sample up: by the bytes of text, or by all bytes that are no data: URL, whichever predicts
 * the sample's own tokens better. The bytes of text do for prompts; tables of numbers and arrays of tokens have none.
 */
function scaleText(stratum: Stratum, counted: readonly Counted[]): { tokens: number; variance: number } {
  const byText = ratio(counted, ({ textBytes }) => textBytes, stratum.textBytes, stratum.requests);
  const byBytes = ratio(counted, ({ plainBytes }) => plainBytes, stratum.plainBytes, stratum.requests);
  return byText !== undefined && (byBytes === undefined || byText.variance <= byBytes.variance)
    ? byText
    : (byBytes ?? { tokens: 0, variance: 0 });
}

/** The ratio estimator of survey sampling. Source: W. G. Cochran, "Sampling Techniques", 3rd edition, chapter 6. */
function ratio(
  counted: readonly Counted[],
  measureOf: (request: Counted) => number,
  total: number,
  requests: number,
): { tokens: number; variance: number } | undefined {
  const n = counted.length;
  const known = counted.reduce((sum, request) => sum + measureOf(request), 0);
  if (known === 0) return undefined;
  const rate = counted.reduce((sum, { text }) => sum + text, 0) / known;
  const squares = counted.reduce((sum, request) => sum + (request.text - rate * measureOf(request)) ** 2, 0);
  const isWhole = n >= requests;
  const variance = isWhole || n < 2 ? 0 : (requests * (requests - n) * squares) / (n * (n - 1));
  return { tokens: rate * total, variance };
}

/** Counts a request. */
export function count(request: SampledRequest, model: Model, tokenizer: Tokenizer): Counted {
  const { excerpt, textBytes, plainBytes } = request;
  const { messages, tokens } = excerpt.prompt;
  const around = model.rules.tokensAround;
  let text = tokens + (messages === 0 ? 0 : messages * around.message + around.reply);
  if (excerpt.textBytes > 0) {
    const inExcerpt = excerpt.texts.reduce((sum, each) => sum + tokenizer(each), 0);
    text += (inExcerpt * excerpt.textBytes) / excerpt.excerptBytes;
  }
  return { textBytes, plainBytes, text, ...othersOf(excerpt.prompt, model) };
}

function othersOf(
  prompt: Omit<Prompt, 'texts'>,
  { name, rules }: Model,
): Pick<Counted, 'other' | 'otherAtMost' | 'kinds'> {
  let [other, otherAtMost] = [0, 0];
  const kinds: UnestimatedKind[] = [];
  const context = rules.contextTokensOf(name);
  for (const image of prompt.images) {
    const { tokens, atMost, isExact } = rules.imageTokens(name, image);
    other += tokens;
    otherAtMost += atMost;
    if (!isExact && !kinds.includes('image')) kinds.push('image');
  }
  if (prompt.audioBytes > 0) {
    kinds.push('audio');
    otherAtMost += Math.ceil(prompt.audioBytes / rules.audioBytesPerToken);
  }
  if (prompt.files > 0) kinds.push('file');
  if (prompt.isStored) kinds.push('stored');
  if (prompt.hasHostedTools) kinds.push('hosted_tool');
  const isUnbounded = prompt.files > 0 || prompt.isStored || prompt.hasHostedTools;
  otherAtMost = Math.max(other, Math.min(context, isUnbounded ? context : otherAtMost));
  return { other, otherAtMost, kinds };
}
