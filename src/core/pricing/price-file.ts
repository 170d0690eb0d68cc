/**
 * A price file: rows of a user's own that take precedence over the table, for prices that are agreed with OpenAI,
 * new, or another provider's.
 *
 * ```json
 * { "version": 1, "prices": [
 *   { "model": "gpt-5.5", "tier": "batch", "input": 2.5, "cached": 1.25, "output": 15 },
 *   { "model": "our-model", "tier": "standard", "context": "long", "input": "0.125", "output": "1", "from": "2026-11-01" }
 * ] }
 * ```
 *
 * USD per million tokens, as a number or as decimal text, with at most six decimals.
 */

import * as z from 'zod';
import { type Price, pricesSchema } from '../../contract/prices.ts';
import { problemsOf } from '../../contract/problems.ts';
import { PICODOLLARS } from '../../contract/rates.ts';
import type { Settings } from '../../contract/settings.ts';
import { defined } from '../base/defined.ts';
import { BatchdropError } from '../base/errors.ts';
import type { PriceRow, PriceTable, Rates } from '../model/price-table.ts';
import { Prices } from './prices.ts';

const priceFileSchema = z.strictObject({ version: z.literal(1), prices: pricesSchema });

/** The file is not one of prices. The message says where, and what is expected there. */
export class PriceFileError extends BatchdropError {}

/**
 * Reads a price file.
 * @param name of the file, for messages and as the source of rows that name none.
 * @throws {PriceFileError} naming every row that cannot be read.
 */
export function readPriceFile(text: string, name: string): PriceRow[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new PriceFileError(`${name} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  const parsed = priceFileSchema.safeParse(json);
  if (!parsed.success) {
    const problems = problemsOf(parsed.error, 'the file').map((problem) => `  - ${problem}`);
    throw new PriceFileError(
      `${name} is not a price file of version 1:\n${problems.join('\n')}\n` +
        'Expected: {"version":1,"prices":[{"model","tier","input","output", ...}]}, USD per million tokens.',
    );
  }
  return parsed.data.prices.map((price) => rowOf(price, name));
}

/**
 * A price as {@link ./prices.ts Prices} takes it.
 * @param from the file, as the source of a price that names none.
 */
function rowOf(price: Price, from: string): PriceRow {
  const { model, tier, context, to, source } = price;
  return defined({
    model,
    tier,
    context,
    rates: ratesOf(price),
    from: price.from,
    to,
    source: source ?? from,
    retrieved: price.retrieved ?? '',
  });
}

/** What of a price is optional, and is left out where the price leaves it out. */
const OPTIONAL_RATES = [
  'cached',
  'cacheWrite',
  'cacheWrite12h',
  'imageInput',
  'imageCached',
  'imageOutput',
] as const;

function ratesOf(price: Price): Rates {
  const inPicodollars = (usd: string | number): number => Math.round(Number(usd) * PICODOLLARS);
  const rates: Rates = { input: inPicodollars(price.input), output: inPicodollars(price.output) };
  for (const name of OPTIONAL_RATES) {
    const usd = price[name];
    if (usd !== undefined) rates[name] = inPicodollars(usd);
  }
  if (rates.cacheWrite !== undefined) rates.cacheWrite12h ??= rates.cacheWrite * TIMES_WRITE_12H;
  return rates;
}

/** Where a price says what writing the cache costs, and not for how long: OpenAI charges twice as much for 12 hours. */
const TIMES_WRITE_12H = 2;

/**
 * The prices of a deployment.
 * @param table those of its provider.
 * @param rows that take precedence over the settings' own.
 */
export function pricesOf(
  table: PriceTable,
  { prices, dataResidency }: { prices: Settings['prices']; dataResidency: Settings['dataResidency'] | 'all' },
  rows: readonly PriceRow[] = [],
): Prices {
  return new Prices(table, {
    overrides: [...prices.rows.map((price) => rowOf(price, 'the settings')), ...rows],
    residentKeys: dataResidency === 'all' ? dataResidency : new Set(Object.keys(dataResidency)),
  });
}
