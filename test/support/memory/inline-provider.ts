/**
 * A provider that is not like OpenAI, in memory: it takes the requests of a batch with the create and no file, has
 * states and limits of its own, keeps no metadata with its batches, and has one endpoint that OpenAI does not have.
 */

import { BatchdropError, CreateRefusedError } from '../../../src/core/base/errors.ts';
import { asObject, type JsonObject } from '../../../src/core/base/json-value.ts';
import type { BatchStatus } from '../../../src/core/model/batch.ts';
import type { PriceRow } from '../../../src/core/model/price-table.ts';
import { newPrompt } from '../../../src/core/model/prompt.ts';
import { noUsage } from '../../../src/core/model/usage.ts';
import type { Ambient } from '../../../src/core/ports/ambient.ts';
import type { BatchService, BatchSource, ByKey, RemoteBatch } from '../../../src/core/ports/provider.ts';
import type { EndpointRules, ProviderRules } from '../../../src/core/ports/provider-rules.ts';

const GENERATE: EndpointRules = {
  url: '/v2/generate',
  hasFlex: false,
  hasBackground: false,
  promptCache: { minTokens: 50, keyMember: 'alike' },
  readsInputs: false,
  outputLimitOf: ({ limit }) => (typeof limit === 'number' ? limit : undefined),
  predictOutput: () => ({ bytes: 500, repeatsRequest: false }),
  readPrompt: ({ text }) => ({ ...newPrompt(), texts: typeof text === 'string' ? [text] : [] }),
};

/** A request of a long context costs twice as much. */
const INLINE_ROWS = (['short', 'long'] as const).map((context): PriceRow => {
  const rate = context === 'short' ? 1_000_000 : 2_000_000;
  const rates = { input: rate, output: rate };
  return { model: 'inline-1', tier: 'batch', context, rates, source: 'none', retrieved: '2026-11-29' };
});

/** What {@link InlineProvider} is like. */
export const INLINE_RULES: ProviderRules = {
  name: 'Inline',
  ownership: 'none',
  limits: { requests: 3, bytes: 2_000, embeddingInputs: 0, outputBytes: 10_000 },
  endpoints: new Map([[GENERATE.url, GENERATE]]),
  models: {
    contextTokensOf: () => 1_000,
    hasFlex: () => false,
    isSurelyInWindows: () => false,
    tokensAround: { message: 0, reply: 0 },
    audioBytesPerToken: 10,
    imageTokens: () => ({ tokens: 0, atMost: 0, isExact: true }),
  },
  prices: {
    date: '2026-11-29',
    rows: () => INLINE_ROWS,
    namesOf: (model) => [model],
    shortContextTokens: 500,
    unlimitedOutput: [{ models: /^/, tokens: 70, source: 'none' }],
    derived: {},
    fees: [],
    residency: { percent: 0, models: /^$/, source: 'none', retrieved: '2026-11-29' },
  },
  preflight: { suspectsOf: () => undefined, refusalOf: () => undefined },
  shutdowns: { shutdownOf: () => undefined, isModelGone: (code) => code === 'no_such_model' },
  quota: {
    firstEnqueuedTokensOf: () => 50,
    reportedEnqueuedTokens: (message) => {
      const room = /^room for (\d+) tokens$/.exec(message)?.[1];
      return room === undefined ? undefined : Number(room);
    },
    firstRates: { requestsPerMinute: 20, tokensPerMinute: 1_000 },
  },
  createSettles: { createMs: 1_000, listMs: 2_000 },
  cancelMs: 5_000,
  answers: {
    verdictOf(line) {
      const code = asObject(line.error)?.code;
      if (code === 'overloaded') return { kind: 'retry', code, cause: 'transient' };
      if (typeof code === 'string') return { kind: 'failed', code };
      return { kind: 'succeeded' };
    },
    usageOf: ({ read, written }) => ({
      ...noUsage(),
      inputTokens: Number(read ?? 0),
      outputTokens: Number(written ?? 0),
    }),
    billedTierOf: () => 'batch',
    isTierKnown: () => true,
    isUsageReported: ({ read }) => typeof read === 'number',
    toolUseOf: () => ({ webSearches: 0, isPreview: false, fileSearches: 0, isUnpriced: false }),
    toolFeeOf: () => 0n,
  },
  errors: {
    accountProblemOf: (code) => (code === 'no_credit' ? 'quota' : undefined),
    operatorScopeOf: (code) => (code === 'no_credit' ? 'key' : undefined),
    keyRefused: 'bad_key',
    noAnswer: 'silence',
    mayHaveBeenCharged: (code) => code === 'silence',
    unexecuted: { expired: 'too_late', cancelled: 'stopped' },
    batchErrorKindOf: ({ code }) => (code === 'queue_full' ? 'no_room' : undefined),
  },
  calls: { tierMembersOf: () => [], isWithoutRoom: () => false, refusesTier: () => false },
};

/** Its states, in the order in which a batch goes through them, and the core's words for them. */
const STATES = ['accepted', 'working', 'done'] as const;
const STATUS_OF: Record<(typeof STATES)[number] | 'stopped' | 'refused', BatchStatus> = {
  accepted: 'validating',
  working: 'in_progress',
  done: 'completed',
  stopped: 'cancelled',
  refused: 'failed',
};

interface InlineBatch {
  id: string;
  state: keyof typeof STATUS_OF;
  createdAt: number;
  requests: JsonObject[];
}

/** Each look at a batch takes it one state further. */
export class InlineProvider implements BatchService, ByKey<BatchService> {
  readonly #ambient: Pick<Ambient, 'now'>;
  /** Newest first. */
  readonly #batches: InlineBatch[] = [];
  /** Answers a request: a body, or the code of an error. */
  readonly #answer: (customId: string, times: number) => JsonObject | string;
  readonly #times = new Map<string, number>();
  /** Of each create: how many requests it brought. */
  readonly created: number[] = [];
  /** Whether the next create works and its answer is lost. */
  losesAnswer = false;
  /** Requests of a batch that it has room for; it says that it is a token for each. */
  room = Number.POSITIVE_INFINITY;

  constructor(
    ambient: Pick<Ambient, 'now'>,
    answer: (customId: string, times: number) => JsonObject | string,
  ) {
    this.#ambient = ambient;
    this.#answer = answer;
  }

  withKey(): this {
    return this;
  }

  async createBatch(source: BatchSource & { endpoint: string }): Promise<RemoteBatch> {
    if (!('input' in source)) throw new CreateRefusedError('this provider takes no files', 400, 'no_files');
    const chunks: Uint8Array[] = [];
    for await (const chunk of source.input.body) chunks.push(chunk.slice());
    const text = Buffer.concat(chunks).toString('utf8');
    if (Buffer.byteLength(text) !== source.input.bytes)
      throw new BatchdropError(`${Buffer.byteLength(text)} bytes came, ${source.input.bytes} were declared`);
    const requests = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as JsonObject);
    if (requests.length > INLINE_RULES.limits.requests)
      throw new CreateRefusedError('too many requests in one batch', 400, 'too_many');
    const batch: InlineBatch = {
      id: `inline-${this.created.push(requests.length)}`,
      state: requests.length > this.room ? 'refused' : 'accepted',
      createdAt: this.#ambient.now(),
      requests,
    };
    this.#batches.unshift(batch);
    if (this.losesAnswer) {
      this.losesAnswer = false;
      throw new BatchdropError('the connection broke');
    }
    return this.#remoteOf(batch);
  }

  async cancelBatch(id: string): Promise<void> {
    const batch = this.#find(id);
    if (batch !== undefined && batch.state !== 'done') batch.state = 'stopped';
  }

  async getBatch(id: string): Promise<RemoteBatch | undefined> {
    const batch = this.#find(id);
    return batch && this.#remoteOf(advance(batch));
  }

  async listBatches(): Promise<{ batches: RemoteBatch[] }> {
    return { batches: this.#batches.map((batch) => this.#remoteOf(advance(batch))) };
  }

  /** Results have no file of their own: they are the batch's. */
  async readFile(id: string, { from = 0 } = {}) {
    const lines = this.#find(id)!.requests.map((request) => `${JSON.stringify(this.#lineOf(request))}\n`);
    const bytes = Buffer.from(lines.join(''));
    return {
      body: (async function* () {
        if (bytes.length > from) yield bytes.subarray(from);
      })(),
      bytes: bytes.length,
    };
  }

  async fileSize(id: string): Promise<{ bytes?: number } | undefined> {
    return this.#find(id) && {};
  }

  async deleteFile(): Promise<void> {}

  /** A line of results, which the adapter of such a provider puts into the form of ours. */
  #lineOf({ custom_id: customId }: JsonObject): JsonObject {
    const id = String(customId);
    const times = (this.#times.get(id) ?? 0) + 1;
    this.#times.set(id, times);
    const answer = this.#answer(id, times);
    return typeof answer === 'string'
      ? { id, custom_id: id, response: null, error: { code: answer, message: 'no answer' } }
      : { id, custom_id: id, response: { status_code: 200, request_id: id, body: answer }, error: null };
  }

  #remoteOf({ id, state, createdAt }: InlineBatch): RemoteBatch {
    return {
      id,
      status: STATUS_OF[state],
      rawStatus: state,
      inputFileId: '',
      outputFileId: state === 'done' ? id : undefined,
      errors:
        state === 'refused' ? [{ code: 'queue_full', message: `room for ${this.room} tokens` }] : undefined,
      metadata: {},
      createdAt,
    };
  }

  #find(id: string): InlineBatch | undefined {
    return this.#batches.find((batch) => batch.id === id);
  }
}

function advance(batch: InlineBatch): InlineBatch {
  const at = (STATES as readonly string[]).indexOf(batch.state);
  if (at >= 0) batch.state = STATES[Math.min(at + 1, STATES.length - 1)]!;
  return batch;
}
