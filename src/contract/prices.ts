/** A price as people write it: in a price file, and in the settings of a deployment. */
import * as z from 'zod';
import { onlyFields } from './only-fields.ts';
import { PICODOLLARS, PRICED_TIERS } from './rates.ts';

/** Far beyond any price: a figure above it was meant per token, or has lost its decimal point. */
const MAX_USD = 100_000;

/** USD per million tokens. Kept as it was written, so that it can be read again. */
const rate = z
  .custom<number | string>(
    (value) => typeof value === 'number' || (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value)),
    'a number, or a decimal as text such as "0.125", is expected',
  )
  .refine((usd) => Number(usd) >= 0, 'a price is not negative')
  .refine((usd) => Number(usd) <= MAX_USD, `a price is at most ${MAX_USD} USD per million tokens`)
  .refine(
    (usd) => Number.isInteger(Number((Number(usd) * PICODOLLARS).toFixed(6))),
    'a price has at most 6 decimals',
  );
const day = z.iso.date();

export const priceSchema = onlyFields({
  /** Model, as requests name it; a snapshot without a row has the price of its model. */
  model: z.string().min(1),
  /** Service tier that the row is for. */
  tier: z.enum(PRICED_TIERS),
  /** `short`: requests of up to 272,000 input tokens; `long`: of more; `any`: of both. */
  context: z.enum(['short', 'long', 'any']).default('any'),
  /** Price of input tokens: at most 6 decimals, and at most 100,000. */
  input: rate,
  /** Price of input tokens that were read from the prompt cache. Left out: that of `input`. */
  cached: rate.optional(),
  /** Price of input tokens that were written to the prompt cache. Left out: that of `input`. */
  cacheWrite: rate.optional(),
  /** Price of output tokens. */
  output: rate,
  /** First day (UTC) that the row holds, such as `2026-11-01`. */
  from: day.optional(),
  /** Last day (UTC) that the row holds. */
  to: day.optional(),
  /** Where the price is from, for people. */
  source: z.string().optional(),
}).refine(({ from, to }) => from === undefined || to === undefined || from <= to, '"from" is after "to"');
export type Price = z.output<typeof priceSchema>;
