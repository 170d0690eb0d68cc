/** The price table, and how a price file differs from it, as text. */
import { fromMicrodollars, toUsd } from '../../src/core/base/money.ts';
import type { CallFee, PriceRow, PriceTable, Rates } from '../../src/core/model/price-table.ts';
import type { PriceComparison, PricePlace } from '../../src/core/pricing/compare.ts';
import type { PricesStated } from '../../src/core/pricing/prices.ts';
import { count, wrapped } from './text.ts';

const COLUMNS = ['input', 'cached', 'cacheWrite', 'cacheWrite12h', 'output'] as const;
const HEADINGS = ['in', 'cached', 'write', '12 h', 'out'];
const RATE_WIDTH = 7;

/** USD per million tokens, as a decimal. */
export function rateText(rate: number): string {
  return toUsd(fromMicrodollars(rate));
}

/** Source and day of rows, by number: most rows share theirs. */
class Sources {
  readonly #numbers = new Map<string, number>();

  numberOf({ source, retrieved }: Pick<PriceRow, 'source' | 'retrieved'>): string {
    const text = `${source} (read on ${retrieved})`;
    const number = this.#numbers.get(text) ?? this.#numbers.size + 1;
    this.#numbers.set(text, number);
    return `[${number}]`;
  }

  lines(): string[] {
    return [...this.#numbers].map(([text, number]) => `${`[${number}]`.padEnd(5)} ${text}`);
  }
}

/** @param rows those of the table that are shown. @param width columns of the terminal. */
export function pricesText(
  table: PriceTable,
  rows: readonly PriceRow[],
  { date, warning }: PricesStated,
  width: number,
): string {
  const sources = new Sources();
  const heading = `  ${'tier'.padEnd(9)}${'length'.padEnd(6)}${HEADINGS.map((name) => name.padStart(RATE_WIDTH)).join('')}`;
  const lines = [
    `Prices of ${date}, in USD per million tokens; "write" and "12 h" are cache writes for 30 minutes and 12 hours.`,
    ...(warning === undefined ? [] : [warning]),
    '',
    `${heading} days`,
    ...[...Map.groupBy(rows, ({ model }) => model)].flatMap(([model, ofModel]) => [
      model,
      ...ofModel.flatMap((row) => rowLines(row, sources)),
    ]),
    '',
    ...Object.entries(table.derived).map(
      ([tier, derived]) =>
        `${tier}: ${derived.percent} % of ${derived.of}, where it has no row of its own ${sources.numberOf(derived)}`,
    ),
    `Data residency: ${table.residency.percent} % more, for models since 2026-03-05 ${sources.numberOf(table.residency)}`,
    ...table.fees.map((fee) => `${feeText(fee)} ${sources.numberOf(fee)}`),
    '',
  ];
  return [...lines, ...sources.lines()].flatMap((line) => wrapped(line, width)).join('\n');
}

function rowLines(row: PriceRow, sources: Sources): string[] {
  const { tier, context, rates } = row;
  const line = (name: string, length: string, cells: readonly (number | undefined)[]): string =>
    `  ${name.padEnd(9)}${length.padEnd(6)}${cells.map((rate) => cellText(rate).padStart(RATE_WIDTH)).join('')}`;
  const first = line(
    tier,
    context === 'any' ? '' : context,
    COLUMNS.map((name) => rates[name]),
  );
  const lines = [`${first} ${daysText(row)} ${sources.numberOf(row)}`.replace(/ {2}\[/, ' [')];
  if (rates.imageInput !== undefined)
    lines.push(
      line('', 'image', [rates.imageInput, rates.imageCached, undefined, undefined, rates.imageOutput]),
    );
  return lines;
}

function cellText(rate: number | undefined): string {
  return rate === undefined ? '-' : rateText(rate);
}

function daysText({ from, to }: Pick<PriceRow, 'from' | 'to'>): string {
  return from === undefined && to === undefined ? '' : `${from ?? ''}..${to ?? ''}`;
}

function feeText({ tool, models, usdPerThousand, unit }: CallFee): string {
  const whose = models === undefined ? '' : ` (${models.name})`;
  return usdPerThousand === undefined
    ? `${tool}${whose}: no price known, by the ${unit}`
    : `${tool}${whose}: ${usdPerThousand} USD for 1,000 ${unit}s`;
}

const RATE_NAMES: Record<keyof Rates, string> = {
  input: 'input',
  cached: 'cached',
  cacheWrite: 'cache write',
  cacheWrite12h: 'cache write of 12 hours',
  output: 'output',
  imageInput: 'image input',
  imageCached: 'cached images',
  imageOutput: 'image output',
};

/** @param file its name, for people. */
export function comparisonText(
  found: PriceComparison,
  file: string,
  { date, warning }: PricesStated,
  width: number,
): string {
  const { same, differs, onlyInFile, onlyInTable, notNow } = found;
  const lines = [
    `${file} beside the prices of ${date}, as both hold today, in USD per million tokens:`,
    ...(warning === undefined ? [] : [warning]),
    ...differs.flatMap((place) => [
      `differs      ${placeText(place)}: ${place.rates
        .map(
          (each) => `${RATE_NAMES[each.rate]} ${cellText(each.file)}, the table says ${cellText(each.table)}`,
        )
        .join('; ')}`,
    ]),
    ...onlyInFile.map((place) => `only here    ${placeText(place)}: the table has no price`),
    ...onlyInTable.map((place) => `only there   ${placeText(place)}: the table's price holds`),
    ...notNow.map((row) => `not today    ${placeText(row)} (${daysText(row)}): the table's price holds`),
    `${count(same.length, 'row')} alike, ${differs.length} different, ${onlyInFile.length} in the file only.`,
  ];
  return lines.flatMap((line) => wrapped(line, width)).join('\n');
}

function placeText({ model, tier, context }: PricePlace): string {
  return `${model} in ${tier}${context === 'any' ? '' : `, ${context}`}`;
}
