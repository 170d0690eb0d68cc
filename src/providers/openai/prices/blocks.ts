/** The notation of the price table, read into rows. */

import { PICODOLLARS, type PricedTier } from '../../../contract/rates.ts';
import { defined } from '../../../core/base/defined.ts';
import type { PriceRow, Rates } from '../../../core/model/price-table.ts';

/**
 * Rows of one tier from one source:
 * `model in cached write out [in cached write out of long context] [image in cached out] [from day] [to day]`, USD per
 * million tokens. `-` is "no such rate"; four `x` say that long requests have no price.
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
      const ofImages = words.indexOf('image') === -1 ? [] : words.splice(words.indexOf('image')).slice(1);
      const images = ofImages.length === 0 ? {} : imageRatesOf(ofImages, line);
      const bands = [words.slice(0, RATES_IN_A_BAND), words.slice(RATES_IN_A_BAND)];
      const lengths = bands.map((band) => band.length);
      if (lengths[0] !== RATES_IN_A_BAND || (lengths[1] !== 0 && lengths[1] !== RATES_IN_A_BAND)) {
        throw new Error(`not a row of prices: ${line.trim()}`);
      }
      const common = { model: model!, tier, ...days, source, retrieved };
      if (lengths[1] === 0) {
        return [{ ...common, context: 'any' as const, rates: { ...ratesOf(bands[0]!, line), ...images } }];
      }
      const short = { ...common, context: 'short' as const, rates: ratesOf(bands[0]!, line) };
      if (bands[1]!.every((word) => word === 'x')) return [short];
      return [short, { ...common, context: 'long' as const, rates: ratesOf(bands[1]!, line) }];
    });
}

/**
 * What a cache write of 12 hours costs by the rule: twice what one of 30 minutes does. Source: model page of
 * gpt-6.2-sol (5 against 2.5), read on 2026-11-29; third parties say the same of gpt-6.1-terra.
 */
const TIMES_WRITE_12H = 2;

function ratesOf(words: readonly string[], line: string): Rates {
  const [input, cached, cacheWrite, output] = words.map((word) => rateOf(word, line));
  return defined({
    input: input!,
    cached,
    cacheWrite,
    cacheWrite12h: cacheWrite === undefined ? undefined : cacheWrite * TIMES_WRITE_12H,
    output: output!,
  });
}

function imageRatesOf(
  words: readonly string[],
  line: string,
): Pick<Rates, 'imageInput' | 'imageCached' | 'imageOutput'> {
  if (words.length !== 3) throw new Error(`not a row of prices: ${line.trim()}`);
  const [imageInput, imageCached, imageOutput] = words.map((word) => rateOf(word, line));
  return defined({
    imageInput: imageInput!,
    imageCached,
    imageOutput: imageOutput!,
  });
}

function rateOf(word: string, line: string): number | undefined {
  if (word === '-') return undefined;
  if (!/^\d*\.?\d+$/.test(word)) throw new Error(`${word} is no price: ${line.trim()}`);
  return Math.round(Number(word) * PICODOLLARS);
}
