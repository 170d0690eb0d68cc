/**
 * What differs between providers, as rules that the core asks: which endpoints there are, how much a batch may hold,
 * what a line of results means. Pure: nothing here sends anything, asks for the time, or keeps state.
 */
import type { PricedTier } from '../../contract/rates.ts';
import type { Tier } from '../../contract/route.ts';
import type { JsonObject } from '../base/json-value.ts';
import type { Picodollars } from '../base/money.ts';
import type { BatchLevelError } from '../model/batch.ts';
import type { BatchLimits } from '../model/limits.ts';
import type { PredictedOutput } from '../model/predicted-output.ts';
import type { PriceTable } from '../model/price-table.ts';
import type { ImagePart, ImageTokens, Prompt } from '../model/prompt.ts';
import type { Shutdown } from '../model/shutdown.ts';
import type { ToolUse } from '../model/tool-use.ts';
import type { TokenUsage } from '../model/usage.ts';
import type { Asked, OperatorScope, Verdict } from '../model/verdict.ts';
import type { CallAnswer } from './provider.ts';

/** All that the core knows of a provider beside its calls. */
export interface ProviderRules {
  /** As messages name it, such as `OpenAI`. */
  name: string;
  /**
   * What proves whose a batch is: metadata that the provider keeps with it, so that a create whose answer was lost is
   * found by its nonce before anything else is created; or nothing, so that it cannot be found.
   */
  ownership: 'metadata' | 'none';
  /** How much one batch may hold. */
  limits: BatchLimits;
  /** What it charges. */
  prices: PriceTable;
  /** By URL, as lines of an input name it. The order is that of messages. */
  endpoints: ReadonlyMap<string, EndpointRules>;
  models: ModelRules;
  shutdowns: ShutdownRules;
  quota: QuotaRules;
  createSettles: CreateSettles;
  /** How long a batch takes at most from the request to cancel it until it has ended, as the provider says (ms). */
  cancelMs: number;
  preflight: PreflightRules;
  answers: AnswerRules;
  errors: ErrorRules;
  calls: CallRules;
}

/** One endpoint that a batch may address. */
export interface EndpointRules {
  /** Such as `/v1/embeddings`. */
  url: string;
  /** Whether it has a flex tier. */
  hasFlex: boolean;
  /** Whether it has the completion windows of background mode. */
  hasBackground: boolean;
  /** How beginnings of its prompts are cached. Absent: they are not. */
  promptCache?: PromptCache;
  /**
   * Whether the rules below read `body.input` for the number of its items. The line scanner reports that number only
   * then.
   */
  readsInputs: boolean;
  /** The inputs that count against `limits.embeddingInputs`. Absent: there are none. */
  countInputs?: (body: JsonObject) => number;
  /**
   * The most output tokens that a request may be answered with, as it says itself; `undefined` if it does not say.
   * Endpoints that give no text have 0.
   */
  outputLimitOf(body: JsonObject): number | undefined;
  /** @param inputs what `countInputs` gave; 0 without one. */
  predictOutput(body: JsonObject, inputs: number): PredictedOutput;
  /**
   * Reads a body that may yet be refused: whatever is not as expected counts as text or not at all, and nothing
   * throws.
   */
  readPrompt(body: JsonObject): Prompt;
}

/** A cache of what prompts begin with. */
export interface PromptCache {
  /** Tokens that prompts must have in common for that to be cached. */
  minTokens: number;
  /** Member of the body that names prompts which begin alike, so that they are sent to where that may be cached. */
  keyMember: string;
}

/** What is known of models by their names. */
export interface ModelRules {
  /** No request that the model answers has more input tokens than this. */
  contextTokensOf(model: string): number;
  /** Whether it may have a flex tier; `false` only where the provider says that it has none. */
  hasFlex(model: string): boolean;
  /** Whether the provider says that its background windows serve it; of others that is not known before they are tried. */
  isSurelyInWindows(model: string): boolean;
  imageTokens(model: string, image: ImagePart): ImageTokens;
  /** Tokens that are put around each message of a prompt, and before its answer. */
  tokensAround: { message: number; reply: number };
  /** Bytes of audio that are a token at the most. */
  audioBytesPerToken: number;
}

/** When models end, and how the provider says that one has. */
export interface ShutdownRules {
  /** What the provider has announced for a model, snapshot or fine-tune; `undefined` if that is not known. */
  shutdownOf(model: string): Shutdown | undefined;
  /** Whether an error of this code says that a model is not there, or not for the key. */
  isModelGone(code: string): boolean;
}

/** What an account may have under way, before anything is learned of it, and how the provider reports that. */
export interface QuotaRules {
  /**
   * Enqueued tokens of a model with which a new account begins. Too low is harmless, since what is taken proves more; too
   * high means refusals.
   */
  firstEnqueuedTokensOf(model: string): number;
  /** The limit of enqueued tokens that the message of a refusal reports; `undefined` if it reports none. */
  reportedEnqueuedTokens(message: string): number | undefined;
  /** Calls of a new account, for a model of which no answer has reported its limits. */
  firstRates: CallRates;
}

/** After how long it is sure that a create without an answer did not come about, if the batch is in no list (ms). */
export interface CreateSettles {
  /** From the intent until the create is not on its way any more. */
  createMs: number;
  /** How long a list may lag behind a create. */
  listMs: number;
}

/** How fast a model may be called. */
export interface CallRates {
  requestsPerMinute: number;
  tokensPerMinute: number;
}

/** Members that a body has, whatever their values. */
export interface PreflightMembers {
  /** `tools` or `functions`. */
  tools: boolean;
  /** `reasoning` or `reasoning_effort`. */
  reasoning: boolean;
  prompt: boolean;
  /** `max_tokens`, as a number. */
  maxTokens: boolean;
}

/** Requests that the provider is sure to refuse, by what is known of its endpoints and models. */
export interface PreflightRules {
  /**
   * Whether a request with these members may be one, to be asked of every line.
   * @returns `undefined`: no. Else texts one of which a line must hold to be one; none: it is to be looked at.
   */
  suspectsOf(endpoint: string, model: string, members: PreflightMembers): readonly string[] | undefined;
  /** The first of the kinds of refusals that the request is sure to meet; `undefined`: none that is known. */
  refusalOf(endpoint: string, model: string, body: JsonObject): SureRefusal | undefined;
}

/** One kind of requests that are refused. */
export interface SureRefusal {
  /** A code. */
  kind: string;
  /** What is refused, a sentence. */
  problem: string;
  /** What to write instead, a sentence. */
  instead: string;
}

/** How results are read. */
export interface AnswerRules {
  /**
   * The one judge of answers, of result files and of calls alike.
   * @param line a parsed line of a result file.
   */
  verdictOf(line: JsonObject, asked: Asked): Verdict;
  /** The tokens that the body of an answer says it used. */
  usageOf(body: JsonObject): TokenUsage;
  /** Whether it says so. A body that does not is booked with its share of what the batch may cost at most. */
  isUsageReported(body: JsonObject, endpoint: string): boolean;
  /** The tier that the provider bills an answer in. @param asked the tier of its batch. */
  billedTierOf(body: JsonObject, asked: Tier): PricedTier;
  /** Whether the answer names no tier whose price is not known. One that does is billed as it was asked for. */
  isTierKnown(body: JsonObject, asked: Tier): boolean;
  /** Calls of tools that the provider ran for the answer. */
  toolUseOf(body: JsonObject): ToolUse;
  /** What the calls of tools cost whose price is known. @param model that made them. */
  toolFeeOf(use: ToolUse, model: string): Picodollars;
}

/** What an error of a batch as a whole is about. */
export type BatchErrorKind =
  /** There is no room for the batch now. */
  | 'no_room'
  /** The batch has too many requests. */
  | 'too_large'
  /** One line of the batch is at fault. */
  | 'line'
  /** The input file was not found or could not be read. */
  | 'file';

/** What the provider's errors mean. */
export interface ErrorRules {
  /** What an error of this code stops, if it is not the request that is at fault. */
  operatorScopeOf(code: string): OperatorScope | undefined;
  /** Of an error that stops a key: whether its account has no quota left, or a bill is open. Otherwise: the key itself. */
  accountProblemOf(code: string): 'quota' | 'billing' | undefined;
  /** The code of a key that is refused, where an error does not say one. */
  keyRefused: string;
  /** The code of a call whose answer never came: `verdictOf` finds it in the line that is written for the call. */
  noAnswer: string;
  /** Whether a request that failed with this code of the provider's, or of its rules, may have been charged. */
  mayHaveBeenCharged(code: string): boolean;
  /** The codes of requests whose batch ended before they were executed. */
  unexecuted: Readonly<Record<'expired' | 'cancelled', string>>;
  /** `undefined`: not known. */
  batchErrorKindOf(error: Pick<BatchLevelError, 'code' | 'param'>): BatchErrorKind | undefined;
}

/** How requests are called one by one. */
export interface CallRules {
  /** Members of the body that say the tier, as names and JSON texts; an object is merged into one of the same name. */
  tierMembersOf(tier: Exclude<Tier, 'batch'>, endpoint: string): [name: string, json: string][];
  /** Whether the answer says that there is no room now, which is not charged: the same call may be made again later. */
  isWithoutRoom(answer: CallAnswer): boolean;
  /** Whether the answer says that the model is not served in the tier. */
  refusesTier(tier: Exclude<Tier, 'batch'>, answer: CallAnswer): boolean;
}

/** What every function asks. The step that asks more gets more of the rules, and its bundle holds them. */
export type CommonRules = Pick<
  ProviderRules,
  'name' | 'ownership' | 'limits' | 'errors' | 'shutdowns' | 'quota' | 'createSettles' | 'cancelMs'
>;

/** What checking a line takes. */
export type LineRules = Pick<ProviderRules, 'endpoints' | 'limits' | 'preflight'>;
