/** What a month adds up to, as data and as text. */
import { formatUsd, type Picodollars, toUsd } from '../../src/core/base/money.ts';
import type { Amounts, Dimension, MonthRow } from '../../src/core/model/job-end.ts';
import { noAmounts } from '../../src/core/model/job-end.ts';
import { format } from './progress.ts';
import { type Column, tableLines } from './table-text.ts';

/** A month, by one dimension: what cost most first. */
export interface Costs {
  month: string;
  by: Dimension;
  total: Amounts;
  rows: readonly MonthRow[];
}

/** @param rows of the month, all dimensions. */
export function costsOf(month: string, by: Dimension, rows: readonly MonthRow[]): Costs {
  const total = rows.find(({ of }) => of === 'total')?.amounts ?? noAmounts();
  const ofDimension = rows.filter(({ of }) => of === by).sort(byCost);
  return { month, by, total, rows: ofDimension };
}

/** The same for a program: money as exact decimals in USD. */
export function costsJson({ month, by, total, rows }: Costs): object {
  return {
    v: 1,
    month,
    by,
    total: amountsJson(total, false),
    rows: rows.map(({ name, amounts }) => ({ name, ...amountsJson(amounts, by === 'tier') })),
  };
}

/** A table, as wide as the terminal at most. */
export function costsText({ month, by, total, rows }: Costs, width: number): string {
  if (total.jobs === 0) return `No job ended in ${month} (UTC).`;
  const isTier = by === 'tier';
  const columns: Column<{ name: string; amounts: Amounts }>[] = [
    { heading: by.toUpperCase(), of: ({ name }) => name, takesRest: true },
    { heading: 'COST', of: ({ amounts }) => formatUsd(amounts.cost), isNumber: true },
    { heading: 'JOBS', of: ({ amounts }) => format(amounts.jobs), isNumber: true },
    { heading: 'SUCCEEDED', of: ({ amounts }) => format(amounts.succeeded), isNumber: true },
    { heading: 'FAILED', of: ({ amounts }) => format(amounts.failed), isNumber: true },
    { heading: 'TOKENS IN', of: ({ amounts }) => format(amounts.inputTokens), isNumber: true },
    { heading: 'TOKENS OUT', of: ({ amounts }) => format(amounts.outputTokens), isNumber: true },
    ...(isTier
      ? []
      : [
          {
            heading: 'SAVED',
            of: ({ amounts }: { amounts: Amounts }) => formatUsd(savedOf(amounts)),
            isNumber: true,
          },
        ]),
  ];
  const lines = tableLines(columns, [...rows, { name: 'total', amounts: total }], width);
  return [
    `${month} (UTC), jobs by the day of their end; saved against standard.`,
    ...lines,
    ...(total.possibleCost === 0n
      ? []
      : [`OpenAI may have charged up to ${formatUsd(total.possibleCost)} more, for results that it lost.`]),
  ].join('\n');
}

function savedOf({ standardCost, cost }: Amounts): Picodollars {
  return standardCost - cost;
}

function amountsJson(amounts: Amounts, isTier: boolean): object {
  const { cost, possibleCost, standardCost, ...counts } = amounts;
  const whole = {
    possibleUsd: toUsd(possibleCost),
    standardUsd: toUsd(standardCost),
    savedUsd: toUsd(savedOf(amounts)),
  };
  // Of a tier these are not kept separately.
  return { ...counts, usd: toUsd(cost), ...(isTier ? {} : whole) };
}

function byCost(one: MonthRow, other: MonthRow): number {
  if (one.amounts.cost !== other.amounts.cost) return one.amounts.cost < other.amounts.cost ? 1 : -1;
  return one.name < other.name ? -1 : 1;
}
