/**
 * The shape of prices. Apart from {@link ./prices.ts}, so that code that only calculates with prices loads no
 * validator.
 */

/**
 * What OpenAI bills by: its service tiers, and the completion windows of background mode. `priority` is what it has
 * called "fast" since 2026-07-30.
 */
export const PRICED_TIERS = [
  'batch',
  'flex',
  'background-8h',
  'background-2h',
  'standard',
  'priority',
] as const;
export type PricedTier = (typeof PRICED_TIERS)[number];

/** Picodollars a token for 1 USD per million tokens. */
export const PICODOLLARS = 1_000_000;
