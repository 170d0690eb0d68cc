import { readFile } from 'node:fs/promises';
import { PriceFileError, readPriceFile } from '../src/core/prices/price-file.ts';
import { Prices } from '../src/core/prices/prices.ts';
import { UsageError } from './exit.ts';

export interface PriceOptions {
  /** Path of a price file. */
  prices?: string;
  residency?: boolean;
}

/** @throws {UsageError} if there is no such file, or it is not one of prices. */
export async function pricesOf({ prices: path, residency }: PriceOptions): Promise<Prices> {
  const hasResidency = residency ?? false;
  if (path === undefined) return new Prices({ hasResidency });
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--prices ${path}: a price file is expected, but it cannot be read (${error.code})`);
  });
  try {
    return new Prices({ overrides: readPriceFile(text, path), hasResidency });
  } catch (error) {
    if (error instanceof PriceFileError) throw new UsageError(`--prices: ${error.message}`);
    throw error;
  }
}
