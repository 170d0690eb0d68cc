import { readFile } from 'node:fs/promises';
import type { Settings } from '../../src/contract/settings.ts';
import type { PriceRow } from '../../src/core/pricing/blocks.ts';
import {
  PriceFileError,
  pricesOf as pricesOfDeployment,
  readPriceFile,
} from '../../src/core/pricing/price-file.ts';
import type { Prices } from '../../src/core/pricing/prices.ts';
import { UsageError } from '../view/exit.ts';

export interface PriceOptions {
  /** Path of a price file. */
  prices?: string;
  residency?: boolean;
}

/**
 * @param deployment prices of the settings; those of the price file take precedence over them.
 * @throws {UsageError} if there is no such file, or it is not one of prices.
 */
export async function pricesOf(
  { prices: path, residency = false }: PriceOptions,
  deployment: Settings['prices'] = { rows: [], residency: false },
): Promise<Prices> {
  const rows = path === undefined ? [] : await rowsOf(path);
  return pricesOfDeployment({ ...deployment, residency: residency || deployment.residency }, rows);
}

async function rowsOf(path: string): Promise<PriceRow[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--prices ${path}: a price file is expected, but it cannot be read (${error.code})`);
  });
  try {
    return readPriceFile(text, path);
  } catch (error) {
    if (error instanceof PriceFileError) throw new UsageError(`--prices: ${error.message}`);
    throw error;
  }
}
