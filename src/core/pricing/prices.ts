/**
 * What a request costs: its usage, as OpenAI reported it, at the price of its model and tier on its day. A model or
 * tier without a price costs `undefined`, never nothing.
 */
import type { PricedTier } from '../../contract/rates.ts';
import type { Picodollars } from '../base/money.ts';
import type { TokenUsage } from '../model/usage.ts';
import { type PriceRow, type Rates, readBlock } from './blocks.ts';
import {
  PRICE_BLOCKS,
  RESIDENCY_UPLIFT_MODELS,
  RESIDENCY_UPLIFT_PERCENT,
  SHORT_CONTEXT_TOKENS,
} from './table.ts';

/** One request's or many requests' worth of a price question. */
export interface PriceQuestion {
  /** As OpenAI names it in the answer, snapshot date and all, or as it was asked for. */
  model: string;
  tier: PricedTier;
  /** Epoch milliseconds. */
  at: number;
  /** Whether the context is long: more than 272,000 input tokens in one request. */
  isLong: boolean;
}

/**
 * `-2025-08-07` at the end of a model's name: a snapshot costs what its model costs, unless it has a row of its own.
 */
const SNAPSHOT = /-\d{4}-\d{2}-\d{2}$/;

/** Prices: OpenAI's table, and rows that take precedence over it. */
export class Prices {
  readonly #overrides: readonly PriceRow[];
  readonly #hasResidency: boolean;
  /** By tier and model; read from the table when a price is first asked for. */
  #rows: Map<string, PriceRow[]> | undefined;

  /**
   * @param options.overrides rows that are asked first, such as {@link ./price-file.ts} reads.
   * @param options.hasResidency whether requests go to a data-residency endpoint, which costs more. Default: false.
   */
  constructor(options: { overrides?: readonly PriceRow[]; hasResidency?: boolean } = {}) {
    this.#overrides = options.overrides ?? [];
    this.#hasResidency = options.hasResidency ?? false;
  }

  /** Picodollars a token, residency included; `undefined`: there is no price. */
  ratesOf(question: PriceQuestion): Rates | undefined {
    const row =
      this.#find(question, question.model) ?? this.#find(question, question.model.replace(SNAPSHOT, ''));
    if (row === undefined) return undefined;
    return this.#hasResidency && RESIDENCY_UPLIFT_MODELS.test(row.model) ? uplifted(row.rates) : row.rates;
  }

  /** What this usage costs; `undefined`: there is no price. */
  costOf(usage: TokenUsage, question: Omit<PriceQuestion, 'isLong'>): Picodollars | undefined {
    const rates = this.ratesOf({ ...question, isLong: usage.inputTokens > SHORT_CONTEXT_TOKENS });
    return rates === undefined ? undefined : costAt(rates, usage);
  }

  /** Whether cached tokens cost less than others in the tier. */
  hasCachedRate(model: string, tier: PricedTier, at: number): boolean {
    const rates = this.ratesOf({ model, tier, at, isLong: false });
    return rates?.cached !== undefined && rates.cached < rates.input;
  }

  #find({ tier, at, isLong }: PriceQuestion, model: string): PriceRow | undefined {
    const day = new Date(at).toISOString().slice(0, 10);
    // The last one that fits is the one that holds.
    this.#rows ??= Map.groupBy(
      [...PRICE_BLOCKS.flatMap(readBlock), ...this.#overrides],
      (row) => `${row.tier} ${row.model}`,
    );
    return this.#rows
      .get(`${tier} ${model}`)
      ?.findLast(
        ({ context, from, to }) =>
          (context === 'any' || (context === 'long') === isLong) &&
          (from === undefined || from <= day) &&
          (to === undefined || day <= to),
      );
  }
}

/** Cached tokens and cache writes are parts of the input; what is left of it is billed in full. */
export function costAt(rates: Rates, usage: TokenUsage): Picodollars {
  const cached = Math.min(usage.cachedTokens, usage.inputTokens);
  const written = Math.min(usage.cacheWriteTokens, usage.inputTokens - cached);
  const times = (tokens: number, rate: number): bigint => BigInt(tokens) * BigInt(rate);
  return (
    times(usage.inputTokens - cached - written, rates.input) +
    times(cached, rates.cached ?? rates.input) +
    times(written, rates.cacheWrite ?? rates.input) +
    times(usage.outputTokens, rates.output)
  );
}

function uplifted(rates: Rates): Rates {
  const raised = Object.entries(rates).map(([name, rate]) => [
    name,
    // Every rate is a whole multiple of 100 picodollars, so nothing is lost.
    Math.round((rate * (100 + RESIDENCY_UPLIFT_PERCENT)) / 100),
  ]);
  return Object.fromEntries(raised) as Rates;
}
