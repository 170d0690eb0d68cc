import type { EndpointRules, ProviderRules } from '../../ports/provider-rules.ts';
import { type Excerpt, excerptOf } from '../../requests/excerpt.ts';

/** What the sample needs to know of a request. */
export interface SampleRequest {
  /** Hash of the custom_id: chooses, so that the same file has the same sample however it is read. */
  hash0: number;
  hash1: number;
  /** Bytes of the line. */
  length: number;
  /** See `ScannedRequest`. */
  textBytes: number;
  dataUrlBytes: number;
  /** The line; valid during the call only. */
  bytes: () => Uint8Array;
}

/** A request of the sample. */
export interface SampledRequest {
  textBytes: number;
  /** Bytes of the line without data: URLs. */
  plainBytes: number;
  excerpt: Excerpt;
}

/** Requests of about the same size. */
export interface Stratum {
  requests: number;
  textBytes: number;
  plainBytes: number;
  /** In random order, so that any first few of them are a sample as well. */
  sampled(): Iterable<SampledRequest>;
}

/** Bytes of lines that the samples of one file keep together. */
export class SampleBudget {
  left: number;

  /** @param bytes default: 16 MB. Samples keep a few lines each even beyond it. */
  constructor(bytes = 16_000_000) {
    this.left = bytes;
  }
}

/** Most and least that are kept of a stratum. */
const MAX_KEPT = 512;
const MIN_KEPT = 24;
/** Longer lines are cut down to an excerpt at once. */
const KEPT_LINE_BYTES = 8_192;
/** What an excerpt is counted for against the budget. */
const EXCERPT_BYTES = 8_192;

interface Kept {
  hash0: number;
  hash1: number;
  textBytes: number;
  plainBytes: number;
  /** The line itself while it is short. */
  line?: Uint8Array;
  excerpt?: Excerpt;
  cost: number;
}

/**
 * A sample of requests of one endpoint and model, in strata by length, so that a few very long ones neither hide the
 * others nor are missed. Of each stratum those with the smallest hashes are kept, which is a random sample without
 * replacement that depends on nothing but the requests. Memory does not grow with their number.
 */
export class PromptSample {
  readonly model: string;
  readonly models: ProviderRules['models'];
  readonly #endpoint: EndpointRules;
  readonly #budget: SampleBudget;
  readonly #strata = new Map<number, SampledStratum>();

  /** @param endpoint URL of one of the provider's endpoints. */
  constructor(
    { endpoints, models }: Pick<ProviderRules, 'endpoints' | 'models'>,
    endpoint: string,
    model: string,
    budget = new SampleBudget(),
  ) {
    this.#endpoint = endpoints.get(endpoint)!;
    this.model = model;
    this.models = models;
    this.#budget = budget;
  }

  add(request: SampleRequest): void {
    // Powers of 4; lines with data: URLs by themselves.
    const size = (31 - Math.clz32(request.length | 1)) >> 1;
    const key = request.dataUrlBytes > 0 ? size + 16 : size;
    let stratum = this.#strata.get(key);
    if (stratum === undefined) {
      stratum = new SampledStratum(this.#endpoint, this.#budget);
      this.#strata.set(key, stratum);
    }
    stratum.add(request);
  }

  get strata(): Iterable<Stratum> {
    return this.#strata.values();
  }

  /** Gives back what it kept. */
  release(): void {
    for (const stratum of this.#strata.values()) stratum.release();
    this.#strata.clear();
  }
}

class SampledStratum implements Stratum {
  requests = 0;
  textBytes = 0;
  plainBytes = 0;
  readonly #endpoint: EndpointRules;
  readonly #budget: SampleBudget;
  #kept: Kept[] = [];
  #most = MAX_KEPT;
  /** Hashes from this one on are not taken. */
  #limit = Number.POSITIVE_INFINITY;

  constructor(endpoint: EndpointRules, budget: SampleBudget) {
    this.#endpoint = endpoint;
    this.#budget = budget;
  }

  add(request: SampleRequest): void {
    const plainBytes = request.length - request.dataUrlBytes;
    this.requests++;
    this.textBytes += request.textBytes;
    this.plainBytes += plainBytes;
    const { hash0, hash1, textBytes } = request;
    if (hash0 >= this.#limit) return;
    const isShort = request.length <= KEPT_LINE_BYTES;
    const cost = isShort ? request.length : EXCERPT_BYTES;
    const base = { hash0, hash1, textBytes, plainBytes, cost };
    this.#kept.push(
      isShort
        ? { ...base, line: new Uint8Array(request.bytes()) }
        : { ...base, excerpt: excerptOf(this.#endpoint, request.bytes(), hash1 / 2 ** 32) },
    );
    this.#budget.left -= cost;
    if (this.#budget.left < 0) this.#most = Math.max(MIN_KEPT, Math.floor(this.#kept.length / 2));
    // Twice as many as are kept are let in before the rest is thrown out: sorting then costs next to nothing.
    if (this.#kept.length >= 2 * this.#most) this.#shrink();
  }

  *sampled(): Generator<SampledRequest> {
    this.#shrink();
    for (const kept of this.#kept) {
      const { textBytes, plainBytes, hash1 } = kept;
      const excerpt = kept.excerpt ?? excerptOf(this.#endpoint, kept.line!, hash1 / 2 ** 32);
      yield { textBytes, plainBytes, excerpt };
    }
  }

  release(): void {
    for (const { cost } of this.#kept) this.#budget.left += cost;
    this.#kept = [];
  }

  #shrink(): void {
    this.#kept.sort((a, b) => a.hash0 - b.hash0 || a.hash1 - b.hash1);
    if (this.#kept.length <= this.#most) return;
    for (const { cost } of this.#kept.splice(this.#most)) this.#budget.left += cost;
    this.#limit = this.#kept.at(-1)!.hash0;
  }
}
