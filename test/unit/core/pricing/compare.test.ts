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
const nano = { model: 'gpt-5-nano', tier: 'batch', input: 0.025, cached: 0.0025, output: 0.2 };

describe('a price file beside the table', () => {
  test('says what is alike, and what the table has of its models beside', () => {
    const { same, differs, onlyInFile, onlyInTable, notNow } = compare(nano);
    expect(same).toEqual([{ model: 'gpt-5-nano', tier: 'batch', context: 'any' }]);
    expect([differs, onlyInFile, notNow]).toEqual([[], [], []]);
    expect(onlyInTable.map(({ tier }) => tier)).toEqual(['standard', 'flex']);
  });

  test('says which rates differ, also those that one of them does not have', () => {
    const { cached, ...rest } = nano;
    expect(compare({ ...rest, output: 0.4 }).differs).toEqual([
      {
        model: 'gpt-5-nano',
        tier: 'batch',
        context: 'any',
        rates: [
          { rate: 'cached', table: cached * 1_000_000, file: undefined },
          { rate: 'output', table: 200_000, file: 400_000 },
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
      { ...nano, model: 'gpt-5-nano-2025-08-07' },
    );
    expect(same.map(({ model }) => model)).toEqual(['gpt-6.2-sol', 'gpt-5-nano-2025-08-07']);
  });

  test('says what only the file has, and what does not hold today', () => {
    const { onlyInFile, notNow } = compare(
      { ...nano, model: 'ours' },
      { ...nano, to: '2026-11-29' },
      { ...nano, from: '2026-12-01' },
    );
    expect(onlyInFile).toEqual([{ model: 'ours', tier: 'batch', context: 'any' }]);
    expect(notNow).toHaveLength(2);
  });
});
