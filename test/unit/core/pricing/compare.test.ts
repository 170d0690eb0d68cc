/** How a price file differs from the table. */
import { describe, expect, test } from 'vitest';
import { comparePrices } from '../../../../src/core/pricing/compare.ts';
import { readPriceFile } from '../../../../src/core/pricing/price-file.ts';
import { Prices } from '../../../../src/core/pricing/prices.ts';
import { OPENAI_PRICES } from '../../../../src/providers/openai/prices/table.ts';

const TODAY = Date.UTC(2026, 10, 30);
const compare = (...prices: object[]) =>
  comparePrices(
    new Prices(OPENAI_PRICES),
    OPENAI_PRICES.rows(),
    readPriceFile(JSON.stringify({ version: 1, prices }), 'own.json'),
    TODAY,
  );
const mini = { model: 'gpt-5.4-mini', tier: 'batch', input: 0.375, cached: 0.0375, output: 2.25 };

describe('a price file beside the table', () => {
  test('says what is alike, and what the table has of its models beside', () => {
    const { same, differs, onlyInFile, onlyInTable, notNow } = compare(mini);
    expect(same).toEqual([{ model: 'gpt-5.4-mini', tier: 'batch', context: 'any' }]);
    expect([differs, onlyInFile, notNow]).toEqual([[], [], []]);
    expect(onlyInTable.map(({ tier }) => tier)).toEqual(['standard', 'flex', 'priority']);
  });

  test('says which rates differ, also those that one of them does not have', () => {
    const { cached, ...rest } = mini;
    expect(compare({ ...rest, output: 4.5 }).differs).toEqual([
      {
        model: 'gpt-5.4-mini',
        tier: 'batch',
        context: 'any',
        rates: [
          { rate: 'cached', table: cached * 1_000_000, file: undefined },
          { rate: 'output', table: 2_250_000, file: 4_500_000 },
        ],
      },
    ]);
  });

  test('compares a row for any length with both of the table', () => {
    const row = { model: 'gpt-5.4', tier: 'batch', input: 1.25, cached: 0.125, output: 7.5 };
    const { same, differs } = compare(row);
    expect([same[0]?.context, differs[0]?.context]).toEqual(['short', 'long']);
  });

  test('compares a tier that is a share of another one, and a snapshot, with what they are reckoned at', () => {
    const window = { model: 'gpt-6.2-sol', tier: 'background-8h', context: 'short', input: 1.2, output: 6 };
    const { same } = compare(
      { ...window, cached: 0.06, cacheWrite: 1.5 },
      { ...mini, model: 'gpt-5.4-mini-2026-03-17' },
    );
    expect(same.map(({ model }) => model)).toEqual(['gpt-6.2-sol', 'gpt-5.4-mini-2026-03-17']);
  });

  test('says what only the file has, and what does not hold today', () => {
    const { onlyInFile, notNow } = compare(
      { ...mini, model: 'ours' },
      { ...mini, to: '2026-11-29' },
      { ...mini, from: '2026-12-01' },
    );
    expect(onlyInFile).toEqual([{ model: 'ours', tier: 'batch', context: 'any' }]);
    expect(notNow).toHaveLength(2);
  });
});
