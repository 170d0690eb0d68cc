import type { Settings } from '../../contract/settings.ts';
import { pricesOf } from '../../core/pricing/price-file.ts';
import { OPENAI_PRICES } from '../../providers/openai/prices/table.ts';

/** The prices of a deployment. Their table is in the bundles of the functions that ask for them, and in no other. */
export function pricesDeps({ settings }: { settings: Settings }) {
  return { prices: pricesOf(OPENAI_PRICES, settings) };
}
