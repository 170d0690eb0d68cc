/** The shape of a provider's prices: rows of data, each with its source and the day on which that was read. */

import type { PricedTier } from '../../contract/rates.ts';

/** USD per million tokens, in millionths of a USD: one of these for one token is 10^-12 USD. */
export interface Rates {
  input: number;
  /** Absent: cached tokens are billed as other input. */
  cached?: number;
  /** Writing the cache for the shortest time there is. Absent: that costs nothing beyond the input. */
  cacheWrite?: number;
  /** Writing it for 12 hours. Absent: as {@link cacheWrite}. */
  cacheWrite12h?: number;
  output: number;
  /** Of an image model: image tokens of the input. The rates above are those of text. Absent: no image model. */
  imageInput?: number;
  /** Cached image tokens. Absent: as {@link imageInput}. */
  imageCached?: number;
  /** Image tokens of the output. Absent: as {@link output}. */
  imageOutput?: number;
}

/** What a model costs in a tier, for requests of one band of length, over a span of days. */
export interface PriceRow {
  model: string;
  tier: PricedTier;
  /** `short`: up to {@link PriceTable.shortContextTokens} input tokens; `long`: more; `any`: the model has one price. */
  context: 'short' | 'long' | 'any';
  /** Picodollars a token. */
  rates: Rates;
  /** First and last day on which the price holds, `YYYY-MM-DD` in UTC; absent: since ever, until further notice. */
  from?: string;
  to?: string;
  source: string;
  /** Day on which the source was read; empty: not said. */
  retrieved: string;
}

/** A tier that costs a share of another one, where it has no row of its own. */
export interface DerivedTier {
  of: PricedTier;
  /** In percent of the other tier's rates, all of them. */
  percent: number;
  source: string;
  retrieved: string;
}

/** What a tool that the provider runs costs by the call, on top of tokens: the same in every tier. */
export interface CallFee {
  /** As people call it, such as `web search`. */
  tool: string;
  /** Which models it holds for; absent: all that have no row of their own. */
  models?: { name: string; pattern: RegExp };
  /** USD for 1,000 calls, as a decimal. Absent: no price is known, because `unit` says what answers do not report. */
  usdPerThousand?: string;
  /** What is charged, such as `call`. */
  unit: string;
  source: string;
  retrieved: string;
}

/** All prices of a provider. */
export interface PriceTable {
  /** Day, `YYYY-MM-DD`, as of which the table is: the last one on which a source was read. */
  date: string;
  /** Reads the rows; no two of one model, tier and band hold on the same day. */
  rows(): readonly PriceRow[];
  /**
   * The names by which a model's row is looked for, the most exact first: what answers name may be one of several
   * versions of what a row names.
   */
  namesOf(model: string): readonly string[];
  /** Input tokens of a request up to which its context is short. */
  shortContextTokens: number;
  /**
   * Output tokens that an answer is taken to have at most whose request does not limit it: for bounds. The first that
   * matches holds, and the last matches all.
   */
  unlimitedOutput: readonly { models: RegExp; tokens: number; source: string }[];
  derived: Readonly<Partial<Record<PricedTier, DerivedTier>>>;
  fees: readonly CallFee[];
  /** What data residency adds, in percent, for which models. */
  residency: { percent: number; models: RegExp; source: string; retrieved: string };
}
