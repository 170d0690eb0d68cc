/**
 * What the results of a batch cost: each line's tokens at the price of its model, tier and day, exactly. Pure: the same
 * lines give the same bill.
 */

import type { PricedTier } from '../../contract/rates.ts';
import { type Picodollars, toUsd } from '../base/money.ts';
import type { ManifestEntries } from '../files/manifest.ts';
import type { BatchRecord } from '../model/batch.ts';
import type { Bill } from '../model/outcome.ts';
import { addUsage, noUsage, type TokenUsage } from '../model/usage.ts';
import type { AnswerRules } from '../ports/provider-rules.ts';
import { boundOf, sharesOf } from './bound.ts';
import type { Prices } from './prices.ts';

/** What is billed in a tier so far. */
interface Sum {
  results: number;
  usage: TokenUsage;
  cost: Picodollars;
}

type Billed = Pick<
  BatchRecord,
  | 'endpoint'
  | 'model'
  | 'tier'
  | 'apiKey'
  | 'requests'
  | 'bytes'
  | 'tokens'
  | 'outputTokens'
  | 'longestBytes'
  | 'remote'
  | 'createdAt'
>;

/** Adds up a batch, line by line. */
export class Tally {
  readonly #batch: Billed;
  readonly #entries: ManifestEntries;
  readonly #prices: Prices;
  readonly #rules: AnswerRules;
  readonly #at: number;
  readonly #tiers = new Map<PricedTier, Sum>();
  readonly #usage = noUsage();
  /** What the tokens of each request cost, in picodollars. */
  readonly #costs: BigInt64Array;
  /** Requests whose answers do not say what they used. */
  readonly #withoutUsage = new Set<number>();
  #unpriced = 0;
  #tools: Picodollars = 0n;
  #standard: Picodollars = 0n;

  /**
   * @param entries the batch's manifest.
   * @param rules by which its provider's answers are read.
   */
  constructor(batch: Billed, entries: ManifestEntries, prices: Prices, rules: AnswerRules) {
    this.#batch = batch;
    this.#entries = entries;
    this.#prices = prices;
    this.#rules = rules;
    this.#costs = new BigInt64Array(entries.count);
    // OpenAI does not say when it ran a line; of what was sent on the last day of a price, some may have run on the
    // next.
    this.#at = batch.remote?.submittedAt ?? batch.createdAt;
  }

  /**
   * Takes in the body of a result. An error without tokens costs nothing; an answer without them is booked with its
   * share of what the batch may cost at the most, unless its model is free.
   * @param index of its request in the manifest.
   */
  add(index: number, body: Record<string, unknown>, isAnswer: boolean): void {
    const usage = this.#rules.usageOf(body);
    const tier = this.#rules.billedTierOf(body, this.#batch.tier ?? 'batch');
    const answered = typeof body.model === 'string' ? body.model : this.#batch.model;
    const hasTokens = usage.inputTokens + usage.outputTokens > 0;
    const isMissing =
      isAnswer &&
      !this.#rules.isUsageReported(body, this.#batch.endpoint) &&
      this.#costOf(ONE_OF_EACH, answered, tier) !== 0n;
    const cost = this.#costOf(usage, answered, tier);
    const tools = this.#rules.toolUseOf(body);
    const fee = this.#rules.toolFeeOf(tools, answered);
    const isTierUnknown = hasTokens && !this.#rules.isTierKnown(body, this.#batch.tier ?? 'batch');
    if (((hasTokens || isMissing) && cost === undefined) || tools.isUnpriced || isTierUnknown)
      this.#unpriced++;
    if (isMissing && cost !== undefined) this.#withoutUsage.add(index);
    if (hasTokens) addUsage(this.#usage, usage);
    const isBilled = hasTokens && cost !== undefined;
    if (!isBilled && fee === 0n) return;
    const sum = this.#tiers.get(tier) ?? { results: 0, usage: noUsage(), cost: 0n };
    this.#tiers.set(tier, sum);
    sum.cost += fee;
    this.#tools += fee;
    this.#standard += fee;
    if (!isBilled) return;
    sum.results++;
    sum.cost += cost;
    addUsage(sum.usage, usage);
    this.#costs[index]! += cost;
    this.#standard += this.#costOf(usage, answered, 'standard') ?? cost;
  }

  /** Tokens of all results, those without a price as well. */
  usage(): TokenUsage {
    return { ...this.#usage };
  }

  /**
   * @param lost requests that OpenAI may have charged without giving their results. Like answers that do not say what
   * they used, they are taken to cost their share of what the batch costs at the most, less what is billed of them
   * already, but not more than was reserved in all.
   */
  bill(lost: readonly number[]): Bill {
    return {
      tiers: Object.fromEntries(
        [...this.#tiers].map(([tier, sum]) => [
          tier,
          { results: sum.results, usage: sum.usage, usd: toUsd(sum.cost) },
        ]),
      ),
      unpriced: this.#unpriced,
      withoutUsage: this.#withoutUsage.size,
      toolUsd: toUsd(this.#tools),
      standardUsd: toUsd(this.#standard),
      possibleUsd: toUsd(this.#possible(new Set([...lost, ...this.#withoutUsage]))),
    };
  }

  #possible(indexes: ReadonlySet<number>): Picodollars {
    const shares =
      indexes.size === 0 ? undefined : sharesOf(this.#batch, this.#entries, this.#prices, this.#at);
    if (shares === undefined) return 0n;
    const bound = boundOf(this.#batch, this.#prices, this.#at)!;
    const cost = this.#costs.reduce((sum, own) => sum + own, 0n);
    const most = [...indexes].reduce((sum, index) => {
      const left = shares[index]! - this.#costs[index]!;
      return left > 0n ? sum + left : sum;
    }, 0n);
    const left = bound > cost ? bound - cost : 0n;
    return most < left ? most : left;
  }

  /**
   * The model that answered may be a snapshot, or an alias's model, that has no price of its own. Flex without a
   * price is reckoned as what was reserved for it, standard: never too little.
   */
  #costOf(usage: TokenUsage, answered: string, tier: PricedTier): Picodollars | undefined {
    const question = { tier, at: this.#at, apiKey: this.#batch.apiKey };
    const cost =
      this.#prices.costOf(usage, { ...question, model: answered }) ??
      this.#prices.costOf(usage, { ...question, model: this.#batch.model });
    return cost === undefined && tier === 'flex' ? this.#costOf(usage, answered, 'standard') : cost;
  }
}

/** Costs something wherever anything does. */
const ONE_OF_EACH: TokenUsage = { ...noUsage(), inputTokens: 1, outputTokens: 1 };
