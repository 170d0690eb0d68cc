/** The notation of the price table, read into rows. */

import { PICODOLLARS, type PricedTier } from '../../contract/rates.ts';

/** USD per million tokens, in millionths of a USD: one of these for one token is 10^-12 USD. */
export interface Rates {
  input: number;
  /** Absent: cached tokens are billed as other input. */
  cached?: number;
  /** Absent: writing the cache costs nothing beyond the input. */
  cacheWrite?: number;
  output: number;
}

/** What a model costs in a tier, for requests of one band of length, over a span of days. */
export interface PriceRow {
  model: string;
  tier: PricedTier;
  /** `short`: up to 272,000 input tokens; `long`: more; `any`: the model has one price. */
  context: 'short' | 'long' | 'any';
  /** Picodollars a token. */
  rates: Rates;
  /** First and last day on which the price holds, `YYYY-MM-DD` in UTC; absent: since ever, until further notice. */
  from?: string;
  to?: string;
  source: string;
  /** Day on which the source was read. */
  retrieved: string;
}

/**
 * Rows of one tier from one source:
 * `model in cached write out [in cached write out of long context] [from day] [to day]`, USD per million tokens. `-`
 * is "no such rate"; four `x` say that long requests have no price.
 */
export interface PriceBlock {
  tier: PricedTier;
  source: string;
  retrieved: string;
  rows: string;
}

const RATES_IN_A_BAND = 4;

/** @throws {Error} naming the line that is not a row: a mistake in the table, found by its test. */
export function readBlock({ tier, source, retrieved, rows }: PriceBlock): PriceRow[] {
  return rows
    .split('\n')
    .filter((line) => line.trim() !== '')
    .flatMap((line): PriceRow[] => {
      const [model, ...words] = line.trim().split(/\s+/);
      const days: Pick<PriceRow, 'from' | 'to'> = {};
      for (let word = words.at(-2); word === 'from' || word === 'to'; word = words.at(-2)) {
        days[word] = words.at(-1)!;
        words.splice(-2);
      }
      const bands = [words.slice(0, RATES_IN_A_BAND), words.slice(RATES_IN_A_BAND)];
      const lengths = bands.map((band) => band.length);
      if (lengths[0] !== RATES_IN_A_BAND || (lengths[1] !== 0 && lengths[1] !== RATES_IN_A_BAND)) {
        throw new Error(`not a row of prices: ${line.trim()}`);
      }
      const common = { model: model!, tier, ...days, source, retrieved };
      if (lengths[1] === 0) return [{ ...common, context: 'any' as const, rates: ratesOf(bands[0]!, line) }];
      const short = { ...common, context: 'short' as const, rates: ratesOf(bands[0]!, line) };
      if (bands[1]!.every((word) => word === 'x')) return [short];
      return [short, { ...common, context: 'long' as const, rates: ratesOf(bands[1]!, line) }];
    });
}

function ratesOf(words: readonly string[], line: string): Rates {
  const [input, cached, cacheWrite, output] = words.map((word) => {
    if (word === '-') return undefined;
    if (!/^\d*\.?\d+$/.test(word)) throw new Error(`${word} is no price: ${line.trim()}`);
    return Math.round(Number(word) * PICODOLLARS);
  });
  return {
    input: input!,
    ...(cached === undefined ? {} : { cached }),
    ...(cacheWrite === undefined ? {} : { cacheWrite }),
    output: output!,
  };
}
