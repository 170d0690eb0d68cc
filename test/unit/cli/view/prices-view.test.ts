/** The price table on a terminal. */
import { describe, expect, it } from 'vitest';
import { comparisonText, pricesText } from '../../../../cli/view/prices-view.ts';
import { comparePrices } from '../../../../src/core/pricing/compare.ts';
import { readPriceFile } from '../../../../src/core/pricing/price-file.ts';
import { Prices } from '../../../../src/core/pricing/prices.ts';
import { OPENAI_PRICES } from '../../../../src/providers/openai/prices/table.ts';

const rows = OPENAI_PRICES.rows();
const stated = { date: OPENAI_PRICES.date };

describe('the price table as text', () => {
  it.each([80, 120])('fits into %i columns, and shows every model and every source once', (width) => {
    const lines = pricesText(OPENAI_PRICES, rows, stated, width).split('\n');
    expect(lines.filter((line) => line.length > width && line.includes(' '))).toEqual([]);
    for (const model of new Set(rows.map((row) => row.model)))
      expect(
        lines.filter((line) => line === model),
        model,
      ).toHaveLength(1);
    const sources = lines.filter((line) => /^\[\d+\]/.test(line));
    expect(new Set(sources).size).toBe(sources.length);
  });

  it('shows rates of images below those of text, and says it where a price is not known', () => {
    const text = pricesText(OPENAI_PRICES, rows, stated, 80);
    expect(text).toMatch(
      /standard {13}5 {3}1\.25 {6}- {6}- {5}30 \[\d+\]\n {11}image {7}8 {6}2 {6}- {6}- {5}30/,
    );
    expect(text).toContain('code interpreter and shell: no price known, by the minute of a container');
  });

  it('warns if the table is old', () => {
    expect(pricesText(OPENAI_PRICES, rows, { ...stated, warning: 'It is old.' }, 80)).toContain(
      '\nIt is old.\n',
    );
  });
});

describe('a price file beside the table as text', () => {
  it('names each difference with both rates', () => {
    const file = readPriceFile(
      JSON.stringify({
        version: 1,
        prices: [
          { model: 'gpt-5.4-mini', tier: 'batch', input: 0.75, cached: 0.0375, output: 2.25 },
          { model: 'ours', tier: 'batch', input: 1, output: 2 },
        ],
      }),
      'own.json',
    );
    const found = comparePrices(new Prices(OPENAI_PRICES), rows, file, Date.UTC(2026, 10, 30));
    const text = comparisonText(found, 'own.json', stated, 80);
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(text).toContain('differs      gpt-5.4-mini in batch: input 0.75, the table says 0.375');
    expect(text).toContain('only here    ours in batch: the table has no price');
    expect(text).toContain('0 rows alike, 1 different, 1 in the file only.');
  });
});
