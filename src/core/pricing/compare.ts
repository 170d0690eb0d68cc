/** How rows of a user's own differ from a provider's table, as both hold on one day. */
import type { PriceRow, Rates } from '../model/price-table.ts';
import type { Prices } from './prices.ts';

/** What a row is for. */
export interface PricePlace {
  model: string;
  tier: PriceRow['tier'];
  context: 'short' | 'long' | 'any';
}

/** A rate that is not the same in both; `undefined`: there is none. */
export interface RateDifference {
  rate: keyof Rates;
  table: number | undefined;
  file: number | undefined;
}

export interface PriceComparison {
  /** Rows of the file that say what the table says. */
  same: PricePlace[];
  differs: (PricePlace & { rates: RateDifference[] })[];
  /** The table has no price there. */
  onlyInFile: PricePlace[];
  /** Of models that the file has rows for. */
  onlyInTable: PricePlace[];
  /** Rows of the file that do not hold on the day: the table's price holds there. */
  notNow: PriceRow[];
}

/** All that rates can be; those of images and of long writes are compared as they are reckoned with. */
const RATES = [
  'input',
  'cached',
  'cacheWrite',
  'cacheWrite12h',
  'output',
  'imageInput',
  'imageCached',
  'imageOutput',
] as const satisfies (keyof Rates)[];

/**
 * @param table without rows that take precedence over it.
 * @param tableRows the rows of the same.
 * @param file rows of a user's own.
 * @param at the day, in epoch milliseconds.
 */
export function comparePrices(
  table: Prices,
  tableRows: readonly PriceRow[],
  file: readonly PriceRow[],
  at: number,
): PriceComparison {
  const day = new Date(at).toISOString().slice(0, 10);
  const isNow = ({ from, to }: PriceRow): boolean =>
    (from === undefined || from <= day) && (to === undefined || day <= to);
  const found: PriceComparison = {
    same: [],
    differs: [],
    onlyInFile: [],
    onlyInTable: [],
    notNow: file.filter((row) => !isNow(row)),
  };
  const now = file.filter(isNow);
  for (const row of now) {
    const { model, tier, rates } = row;
    for (const context of bandsOf(row, tableRows)) {
      const place = { model, tier, context };
      const known = table.ratesOf({ model, tier, at, isLong: context === 'long' });
      const differences = known && differencesOf(known, rates);
      if (differences === undefined) found.onlyInFile.push(place);
      else if (differences.length === 0) found.same.push(place);
      else found.differs.push({ ...place, rates: differences });
    }
  }
  const models = new Set(now.map(({ model }) => model));
  for (const row of tableRows) {
    const isInFile = (own: PriceRow): boolean =>
      own.model === row.model &&
      own.tier === row.tier &&
      (own.context === 'any' || row.context === 'any' || own.context === row.context);
    if (models.has(row.model) && isNow(row) && !now.some(isInFile))
      found.onlyInTable.push({ model: row.model, tier: row.tier, context: row.context });
  }
  return found;
}

/** A row for any length is compared with both of the table's, where that has two. */
function bandsOf(row: PriceRow, tableRows: readonly PriceRow[]): PricePlace['context'][] {
  const hasBands = tableRows.some(({ model, context }) => model === row.model && context !== 'any');
  return row.context === 'any' && hasBands ? ['short', 'long'] : [row.context];
}

function differencesOf(table: Rates, file: Rates): RateDifference[] {
  return RATES.filter((rate) => table[rate] !== file[rate]).map((rate) => ({
    rate,
    table: table[rate],
    file: file[rate],
  }));
}
