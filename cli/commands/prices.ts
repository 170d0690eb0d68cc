/** `batchdrop prices [MODEL...]`: the prices that plans, budgets and receipts reckon with. Sends nothing. */
import type { PriceRow, Rates } from '../../src/core/model/price-table.ts';
import { comparePrices, type PriceComparison } from '../../src/core/pricing/compare.ts';
import { Prices } from '../../src/core/pricing/prices.ts';
import { OPENAI_PRICES } from '../../src/providers/openai/prices/table.ts';
import { rowsOf } from '../options/prices.ts';
import { EXIT_PARTIAL, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { comparisonText, pricesText, rateText } from '../view/prices-view.ts';

export interface PricesOptions {
  json?: boolean;
  /** Path of a price file. */
  compare?: string;
}

/**
 * @param models whose prices are shown: the beginnings of their names. Without one, all.
 * @param at now, in epoch milliseconds.
 * @returns the exit status: with `compare`, whether the file says what the table says.
 * @throws {UsageError} if no model is called so, or the price file cannot be read.
 */
export async function prices(
  models: readonly string[],
  options: PricesOptions,
  at = Date.now(),
): Promise<number> {
  const isAsked = ({ model }: PriceRow): boolean =>
    models.length === 0 || models.some((name) => model.startsWith(name));
  const table = new Prices(OPENAI_PRICES);
  const all = OPENAI_PRICES.rows();
  const stated = table.statedAt(at);
  const width = process.stdout.columns ?? 80;
  if (options.compare === undefined) {
    const rows = all.filter(isAsked).toSorted(byModel);
    if (rows.length === 0)
      throw new UsageError(
        `no model of the price table begins with ${models.join(' or ')}: no price is known`,
      );
    const { derived, residency, fees } = OPENAI_PRICES;
    const { percent, source, retrieved } = residency;
    const json = { derived, residency: { percent, source, retrieved }, fees: fees.map(feeJson) };
    if (options.json) print({ version: 1, ...stated, rows: rows.map(rowJson), ...json });
    else console.log(pricesText(OPENAI_PRICES, rows, stated, width));
    return EXIT_SUCCEEDED;
  }
  const own = (await rowsOf(options.compare, '--compare')).filter(isAsked);
  const found = comparePrices(table, all, own, at);
  if (options.json) print({ version: 1, ...stated, file: options.compare, ...comparisonJson(found) });
  else console.log(comparisonText(found, options.compare, stated, width));
  return found.differs.length === 0 && found.onlyInFile.length === 0 ? EXIT_SUCCEEDED : EXIT_PARTIAL;
}

function print(value: object): void {
  console.log(JSON.stringify(value));
}

/** The newest models first; of each, its rows as the table has them. */
function byModel(one: PriceRow, other: PriceRow): number {
  return other.model.localeCompare(one.model, 'en', { numeric: true });
}

function ratesJson(rates: Rates): Record<string, string> {
  return Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, rateText(rate)]));
}

function rowJson({ rates, ...row }: PriceRow): object {
  return { ...row, ...ratesJson(rates) };
}

function feeJson({ models, ...fee }: (typeof OPENAI_PRICES.fees)[number]): object {
  return { ...fee, models: models?.name };
}

function comparisonJson({ differs, notNow, ...places }: PriceComparison): object {
  return {
    ...places,
    differs: differs.map(({ rates, ...place }) => ({
      ...place,
      rates: rates.map(({ rate, table, file }) => ({
        rate,
        table: table === undefined ? null : rateText(table),
        file: file === undefined ? null : rateText(file),
      })),
    })),
    notNow: notNow.map(rowJson),
  };
}
