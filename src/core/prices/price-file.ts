/**
 * A price file: rows of a user's own that take precedence over the table, for prices that are agreed with OpenAI, new, or
 * another provider's.
 *
 * ```json
 * { "version": 1, "prices": [
 *   { "model": "gpt-5.5", "tier": "batch", "input": 2.5, "cached": 1.25, "output": 15 },
 *   { "model": "our-model", "tier": "standard", "context": "long", "input": "0.125", "output": "1", "from": "2026-11-01" }
 * ] }
 * ```
 *
 * USD per million tokens, as a number or as decimal text, with at most six decimals.
 */
import * as z from 'zod';
import { BatchdropError } from '../errors.ts';
import { PRICED_TIERS, type PriceRow } from './blocks.ts';

const PICODOLLARS = 1_000_000;
/** Far beyond any price: a figure above it was meant per token, or has lost its decimal point. */
const MOST_USD = 100_000;

const rate = z
  .custom<number | string>(
    (value) => typeof value === 'number' || (typeof value === 'string' && /^\d+(\.\d+)?$/.test(value)),
    'a number, or a decimal as text such as "0.125", is expected',
  )
  .transform(Number)
  .refine((usd) => usd >= 0, 'a price is not negative')
  .refine((usd) => usd <= MOST_USD, `a price is at most ${MOST_USD} USD per million tokens`)
  .refine((usd) => Number.isInteger(Number((usd * PICODOLLARS).toFixed(6))), 'a price has at most 6 decimals')
  .transform((usd) => Math.round(usd * PICODOLLARS));
const day = z.iso.date();

const priceFileSchema = z.strictObject({
  version: z.literal(1),
  prices: z.array(
    z
      .strictObject({
        model: z.string().min(1),
        tier: z.enum(PRICED_TIERS),
        context: z.enum(['short', 'long', 'any']).default('any'),
        input: rate,
        cached: rate.optional(),
        cacheWrite: rate.optional(),
        output: rate,
        from: day.optional(),
        to: day.optional(),
        source: z.string().optional(),
      })
      .refine(({ from, to }) => from === undefined || to === undefined || from <= to, '"from" is after "to"'),
  ),
});

/** The file is not one of prices. The message says where, and what is expected there. */
export class PriceFileError extends BatchdropError {}

/**
 * Reads a price file.
 * @param name of the file, for messages and as the source of rows that name none.
 * @throws {PriceFileError} naming every row that cannot be read.
 */
export function readPriceFile(text: string, name: string): PriceRow[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new PriceFileError(`${name} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  const parsed = priceFileSchema.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `  - ${path.length === 0 ? 'the file' : path.join('.')}: ${message}`,
    );
    throw new PriceFileError(
      `${name} is not a price file of version 1:\n${problems.join('\n')}\n` +
        'Expected: {"version":1,"prices":[{"model","tier","input","output", ...}]}, USD per million tokens.',
    );
  }
  return parsed.data.prices.map(
    ({ model, tier, context, input, cached, cacheWrite, output, from, to, source }) => ({
      model,
      tier,
      context,
      rates: {
        input,
        ...(cached === undefined ? {} : { cached }),
        ...(cacheWrite === undefined ? {} : { cacheWrite }),
        output,
      },
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      source: source ?? name,
      retrieved: from ?? '',
    }),
  );
}
