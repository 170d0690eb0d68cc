/** `batchdrop costs`: what the jobs of a month cost, from its sums. */
import { DIMENSIONS, type Dimension, monthOf } from '../../src/core/model/job-end.ts';
import type { StackOptions } from '../options/stack.ts';
import { withStores } from '../options/stores.ts';
import { costsJson, costsOf, costsText } from '../view/costs-view.ts';
import { EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { terminalWidth } from '../view/text.ts';

/** Options of `batchdrop costs`. */
export interface CostsOptions extends StackOptions {
  /** UTC month, `2026-11`. Default: the one that it is. */
  month?: string;
  /** One of {@link DIMENSIONS}. */
  by: string;
  json?: boolean;
}

/** @returns the exit status: 0. @throws {UsageError} for a month or a dimension that there is not. */
export async function costs(options: CostsOptions, now = Date.now()): Promise<number> {
  const { month = monthOf(now), by } = options;
  if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(month))
    throw new UsageError(`--month ${month}: a month such as ${monthOf(now)} is expected`);
  if (!isDimension(by)) throw new UsageError(`--by ${by}: ${DIMENSIONS.join(', ')} is expected`);
  return withStores(options, async ({ index }) => {
    const found = costsOf(month, by, await index.readMonth(month));
    console.log(
      options.json ? JSON.stringify(costsJson(found)) : costsText(found, terminalWidth(process.stdout)),
    );
    return EXIT_SUCCEEDED;
  });
}

function isDimension(by: string): by is Dimension {
  return (DIMENSIONS as readonly string[]).includes(by);
}
