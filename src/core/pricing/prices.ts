/**
 * What a request costs: its usage, as the provider reported it, at the price of its model and tier on its day. A model or
 * tier without a price costs `undefined`, never nothing.
 */
import { DEFAULT_API_KEY } from '../../contract/api-key.ts';
import type { PricedTier } from '../../contract/rates.ts';
import { DAY_MS } from '../../contract/time.ts';
import type { Picodollars } from '../base/money.ts';
import type { PriceRow, PriceTable, Rates } from '../model/price-table.ts';
import type { TokenUsage } from '../model/usage.ts';

/** One request's or many requests' worth of a price question. */
export interface PriceQuestion {
  /** As the provider names it in the answer, snapshot date and all, or as it was asked for. */
  model: string;
  tier: PricedTier;
  /** Epoch milliseconds. */
  at: number;
  /** Whether the context is long: one request has more input tokens than {@link Prices.shortContextTokens}. */
  isLong: boolean;
  /** Name of the API key that it is sent with: data residency goes with it. Default: the stack's own. */
  apiKey?: string | undefined;
}

/** The prices that were reckoned with, as receipts and plans state them. */
export interface PricesStated {
  /** Day, `YYYY-MM-DD`, as of which the table is. */
  date: string;
  /** Present if the table is old: what that means, and what to do. */
  warning?: string;
}

/** Ours: prices of a vendor whose models change every few weeks are not to be trusted for longer. */
const MAX_AGE_DAYS = 60;

/** Answers name their models as they like; what is known of them is forgotten then. */
const MAX_KNOWN_RATES = 1_000;

/** How {@link Prices} differ from their table. */
export interface PricesOptions {
  /** Rows that are asked first, such as {@link ./price-file.ts} reads. */
  overrides?: readonly PriceRow[] | undefined;
  /** Names of the API keys whose requests go to a data-residency endpoint, which costs more. Default: none. */
  residentKeys?: ReadonlySet<string> | 'all' | undefined;
}

/** Prices: a provider's table, and rows that take precedence over it. */
export class Prices {
  readonly #table: PriceTable;
  readonly #overrides: readonly PriceRow[];
  readonly #residentKeys: ReadonlySet<string> | 'all';
  /** By tier and model; read from the table when a price is first asked for. */
  #rows: Map<string, PriceRow[]> | undefined;
  /** The time that was last asked for, its day, and what was found then: a batch asks for one time only. */
  #asked: { at: number; day: string; rates: Map<string, Rates | undefined> } | undefined;

  constructor(table: PriceTable, { overrides = [], residentKeys = new Set() }: PricesOptions = {}) {
    this.#table = table;
    this.#overrides = overrides;
    this.#residentKeys = residentKeys;
  }

  /** Input tokens of a request up to which its context is short. */
  get shortContextTokens(): number {
    return this.#table.shortContextTokens;
  }

  /** Output tokens that an answer of the model is taken to have at most, if its request does not limit it. */
  unlimitedOutputTokens(model: string): number {
    return this.#table.unlimitedOutput.find(({ models }) => models.test(model))!.tokens;
  }

  /** Picodollars a token, residency included; `undefined`: there is no price. */
  ratesOf(question: PriceQuestion): Rates | undefined {
    const { tier, model, at, isLong, apiKey = DEFAULT_API_KEY } = question;
    if (this.#asked?.at !== at || this.#asked.rates.size > MAX_KNOWN_RATES) {
      this.#asked = { at, day: new Date(at).toISOString().slice(0, 10), rates: new Map() };
    }
    const { rates } = this.#asked;
    const name = `${tier} ${isLong} ${apiKey} ${model}`;
    if (rates.has(name)) return rates.get(name);
    const found = this.#findRates(question);
    rates.set(name, found);
    return found;
  }

  /** What this usage costs; `undefined`: there is no price. */
  costOf(usage: TokenUsage, question: Omit<PriceQuestion, 'isLong'>): Picodollars | undefined {
    const rates = this.ratesOf({ ...question, isLong: usage.inputTokens > this.shortContextTokens });
    return rates === undefined ? undefined : costAt(rates, usage);
  }

  /** Whether cached tokens cost less than others in the tier. */
  hasCachedRate(model: string, tier: PricedTier, at: number): boolean {
    const rates = this.ratesOf({ model, tier, at, isLong: false });
    return rates?.cached !== undefined && rates.cached < rates.input;
  }

  /** Of which day the table is, and whether that is too long ago. @param at now, in epoch milliseconds. */
  statedAt(at: number): PricesStated {
    const { date } = this.#table;
    const days = Math.floor((at - Date.parse(date)) / DAY_MS);
    if (days <= MAX_AGE_DAYS) return { date };
    const warning =
      `The price table is of ${date}, ${days} days ago: prices may have changed since. ` +
      'Update batchdrop, or give newer rows in a price file or in prices.rows.';
    return { date, warning };
  }

  #findRates(question: PriceQuestion): Rates | undefined {
    const row = this.#rowOf(question);
    const { percent, models } = this.#table.residency;
    return row !== undefined && this.#isResident(question) && models.test(row.model)
      ? inPercent(row.rates, 100 + percent)
      : row?.rates;
  }

  #isResident({ apiKey = DEFAULT_API_KEY }: PriceQuestion): boolean {
    return this.#residentKeys === 'all' || this.#residentKeys.has(apiKey);
  }

  #rowOf(question: PriceQuestion): PriceRow | undefined {
    for (const model of this.#table.namesOf(question.model)) {
      const row = this.#find(question, model);
      if (row !== undefined) return row;
    }
    const derived = this.#table.derived[question.tier];
    const row = derived && this.#rowOf({ ...question, tier: derived.of });
    return row && { ...row, tier: question.tier, rates: inPercent(row.rates, derived!.percent) };
  }

  #find({ tier, isLong }: PriceQuestion, model: string): PriceRow | undefined {
    const { day } = this.#asked!;
    this.#rows ??= Map.groupBy(
      [...this.#table.rows(), ...this.#overrides],
      (row) => `${row.tier} ${row.model}`,
    );
    // Rows that take precedence come last.
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
  if (rates.imageInput !== undefined) return costOfImagesAt(rates, rates.imageInput, usage);
  const cached = Math.min(usage.cachedTokens, usage.inputTokens);
  const written = Math.min(usage.cacheWriteTokens, usage.inputTokens - cached);
  const written12h = Math.min(usage.cacheWrite12hTokens, written);
  const write = rates.cacheWrite ?? rates.input;
  return (
    times(usage.inputTokens - cached - written, rates.input) +
    times(cached, rates.cached ?? rates.input) +
    times(written - written12h, write) +
    times(written12h, rates.cacheWrite12h ?? write) +
    times(usage.outputTokens, rates.output)
  );
}

/** Answers do not say which of their cached tokens were image tokens: the dearer of the two ends is billed. */
function costOfImagesAt(rates: Rates, imageInput: number, usage: TokenUsage): Picodollars {
  const images = Math.min(usage.imageInputTokens, usage.inputTokens);
  const texts = usage.inputTokens - images;
  const cached = Math.min(usage.cachedTokens, usage.inputTokens);
  const inputWith = (cachedImages: number): bigint =>
    times(texts - (cached - cachedImages), rates.input) +
    times(cached - cachedImages, rates.cached ?? rates.input) +
    times(images - cachedImages, imageInput) +
    times(cachedImages, rates.imageCached ?? imageInput);
  const [one, other] = [inputWith(Math.max(0, cached - texts)), inputWith(Math.min(cached, images))];
  const output = Math.min(usage.imageOutputTokens, usage.outputTokens);
  return (
    (one > other ? one : other) +
    times(usage.outputTokens - output, rates.output) +
    times(output, rates.imageOutput ?? rates.output)
  );
}

function times(tokens: number, rate: number): bigint {
  return tokens === 0 ? 0n : BigInt(tokens) * BigInt(rate);
}

/** Rates that are so much of others, rounded up to whole picodollars. */
function inPercent(rates: Rates, percent: number): Rates {
  const shares = Object.entries(rates).map(([name, rate]) => [name, Math.ceil((rate * percent) / 100)]);
  return Object.fromEntries(shares) as Rates;
}
