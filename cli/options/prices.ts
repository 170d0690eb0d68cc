import { readFile } from 'node:fs/promises';
import type { Settings } from '../../src/contract/settings.ts';
import type { PriceRow } from '../../src/core/model/price-table.ts';
import {
  PriceFileError,
  pricesOf as pricesOfDeployment,
  readPriceFile,
} from '../../src/core/pricing/price-file.ts';
import type { Prices } from '../../src/core/pricing/prices.ts';
import { OPENAI_PRICES } from '../../src/providers/openai/prices/table.ts';
import { UsageError } from '../view/exit.ts';

export interface PriceOptions {
  /** Path of a price file. */
  prices?: string;
  residency?: boolean;
}

/**
 * @param settings of a deployment; the rows of the price file take precedence over theirs.
 * @throws {UsageError} if there is no such file, or it is not one of prices.
 */
export async function pricesOf(
  { prices: path, residency = false }: PriceOptions,
  settings?: Settings,
): Promise<Prices> {
  const rows = path === undefined ? [] : await rowsOf(path, '--prices');
  const { prices, dataResidency } = settings ?? { prices: { rows: [] }, dataResidency: {} };
  return pricesOfDeployment(
    OPENAI_PRICES,
    { prices, dataResidency: residency ? 'all' : dataResidency },
    rows,
  );
}

/**
 * The rows of a price file.
 * @param option that named it, for messages.
 * @throws {UsageError} if there is no such file, or it is not one of prices.
 */
export async function rowsOf(path: string, option: string): Promise<PriceRow[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      `${option} ${path}: a price file is expected, but it cannot be read (${error.code})`,
    );
  });
  try {
    return readPriceFile(text, path);
  } catch (error) {
    if (error instanceof PriceFileError) throw new UsageError(`${option}: ${error.message}`);
    throw error;
  }
}
