/**
 * What the results of a batch cost: each line's tokens at the price of its model, tier and day, exactly. Pure: the same
 * lines give the same bill.
 */

import type { PricedTier } from '../../contract/rates.ts';
import { addUsage, noUsage, usageOf } from '../collect/classify.ts';
import type { BatchRecord, Bill, TokenUsage } from '../model.ts';
import { type Picodollars, toUsd } from '../prices/money.ts';
import type { Prices } from '../prices/prices.ts';
import { boundOf } from './bound.ts';

/** What is billed in a tier so far. */
interface Sum {
  results: number;
  usage: TokenUsage;
  cost: Picodollars;
}

type Billed = Pick<
  BatchRecord,
  | 'model'
  | 'tier'
  | 'requests'
  | 'bytes'
  | 'tokens'
  | 'outputTokens'
  | 'longestBytes'
  | 'submittedAt'
  | 'createdAt'
>;

/** Adds up a batch, line by line. */
export class Tally {
  readonly #batch: Billed;
  readonly #prices: Prices;
  readonly #at: number;
  readonly #tiers = new Map<PricedTier, Sum>();
  readonly #usage = noUsage();
  #unpriced = 0;
  #standard: Picodollars = 0n;

  constructor(batch: Billed, prices: Prices) {
    this.#batch = batch;
    this.#prices = prices;
    // OpenAI does not say when it ran a line; of what was sent on the last day of a price, some may have run on the next.
    this.#at = batch.submittedAt ?? batch.createdAt;
  }

  /**
   * Takes in the body of a result. An error without tokens costs nothing; what an answer without tokens cost is not known,
   * unless its model is free.
   */
  add(body: Record<string, unknown>, isAnswer: boolean): void {
    const usage = usageOf(body);
    const tier = this.#tierOf(body);
    const answered = typeof body.model === 'string' ? body.model : this.#batch.model;
    if (usage.inputTokens === 0 && usage.outputTokens === 0) {
      if (isAnswer && this.#costOf(ONE_OF_EACH, answered, tier) !== 0n) this.#unpriced++;
      return;
    }
    addUsage(this.#usage, usage);
    const cost = this.#costOf(usage, answered, tier);
    if (cost === undefined) {
      this.#unpriced++;
      return;
    }
    const sum = this.#tiers.get(tier) ?? { results: 0, usage: noUsage(), cost: 0n };
    sum.results++;
    sum.cost += cost;
    addUsage(sum.usage, usage);
    this.#tiers.set(tier, sum);
    this.#standard += this.#costOf(usage, answered, 'standard') ?? cost;
  }

  /** Tokens of all results, those without a price as well. */
  usage(): TokenUsage {
    return { ...this.#usage };
  }

  /**
   * @param lost how many requests OpenAI may have charged without giving their results. They are taken to cost what the
   * batch costs at the most, divided evenly, but not more than that in all.
   */
  bill(lost: number): Bill {
    const cost = [...this.#tiers.values()].reduce((sum, tier) => sum + tier.cost, 0n);
    return {
      tiers: Object.fromEntries(
        [...this.#tiers].map(([tier, sum]) => [
          tier,
          { results: sum.results, usage: sum.usage, usd: toUsd(sum.cost) },
        ]),
      ),
      unpriced: this.#unpriced,
      standardUsd: toUsd(this.#standard),
      possibleUsd: toUsd(this.#possible(lost, cost)),
    };
  }

  #possible(lost: number, cost: Picodollars): Picodollars {
    const bound = lost === 0 ? 0n : (boundOf(this.#batch, this.#prices, this.#at) ?? 0n);
    const requests = BigInt(this.#batch.requests);
    const share = (bound * BigInt(lost) + requests - 1n) / requests;
    const left = bound > cost ? bound - cost : 0n;
    return share < left ? share : left;
  }

  /** A batch is billed as one, whatever its answers say; else the answer tells which tier it was served in. */
  #tierOf({ service_tier: told }: Record<string, unknown>): PricedTier {
    const { tier = 'batch' } = this.#batch;
    if (tier === 'batch') return tier;
    return (typeof told === 'string' ? BILLED_AS.get(told) : undefined) ?? tier;
  }

  /**
   * The model that answered may be a snapshot, or an alias's model, that has no price of its own. Flex without a price is
   * reckoned as what was reserved for it, standard: never too little.
   */
  #costOf(usage: TokenUsage, answered: string, tier: PricedTier): Picodollars | undefined {
    const question = { tier, at: this.#at };
    const cost =
      this.#prices.costOf(usage, { ...question, model: answered }) ??
      this.#prices.costOf(usage, { ...question, model: this.#batch.model });
    return cost === undefined && tier === 'flex' ? this.#costOf(usage, answered, 'standard') : cost;
  }
}

/** Costs something wherever anything does. */
const ONE_OF_EACH: TokenUsage = { ...noUsage(), inputTokens: 1, outputTokens: 1 };

/** What `service_tier` of an answer may say. Source: openai 7.55.0 `resources/responses/responses.ts`. */
const BILLED_AS: ReadonlyMap<string, PricedTier> = new Map([
  ['default', 'standard'],
  ['flex', 'flex'],
  ['priority', 'priority'],
  ['fast', 'priority'],
]);
