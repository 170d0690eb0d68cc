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

const priceSchema = onlyFields({
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
  /** Price of input tokens that were written to the prompt cache, for 30 minutes. Left out: that of `input`. */
  cacheWrite: rate.optional(),
  /** Price of those that were written for 12 hours, and of those of which that is not known. Left out: twice `cacheWrite`. */
  cacheWrite12h: rate.optional(),
  /** Price of output tokens. */
  output: rate,
  /** Of an image model: price of image tokens of the input; those above are for text. Left out: no image model. */
  imageInput: rate.optional(),
  /** Price of image tokens that were read from the prompt cache. Left out: that of `imageInput`. */
  imageCached: rate.optional(),
  /** Of an image model: price of image tokens of the output. Left out: that of `output`. */
  imageOutput: rate.optional(),
  /** First day (UTC) that the row holds, such as `2026-11-01`. */
  from: day.optional(),
  /** Last day (UTC) that the row holds. */
  to: day.optional(),
  /** Where the price is from, for people. */
  source: z.string().optional(),
  /** Day on which the source was read, for people. */
  retrieved: day.optional(),
})
  .refine(({ from, to }) => from === undefined || to === undefined || from <= to, {
    error: ({ input }) => {
      const { from, to } = input as { from: string; to: string };
      return `the row ends before it begins: "from" is ${from} and "to" is ${to}; "from" is after "to"`;
    },
  })
  .refine(({ imageInput, imageCached, imageOutput }) => {
    return imageInput !== undefined || (imageCached === undefined && imageOutput === undefined);
  }, 'imageCached and imageOutput are for a row with imageInput');
export type Price = z.output<typeof priceSchema>;

/** Rows of which no two hold for the same requests on the same day. */
export const pricesSchema = z.array(priceSchema).superRefine((rows, context) => {
  for (const message of overlapsIn(rows)) context.addIssue({ code: 'custom', message });
});

/** What decides for which requests a row holds. */
export type PricedSpan = Pick<Price, 'model' | 'tier' | 'context' | 'from' | 'to'>;

/** One sentence for each two rows that hold for the same requests on the same day; it names both. */
export function overlapsIn(rows: readonly PricedSpan[]): string[] {
  const numbered = rows.map((row, index) => ({ row, index }));
  const byPlace = Map.groupBy(numbered, ({ row }) => `${row.tier} ${row.model}`);
  return [...byPlace.values()].flatMap((same) =>
    same.flatMap((one, place) =>
      same
        .slice(place + 1)
        .filter((other) => overlap(one.row, other.row))
        .map(
          (other) =>
            `row ${one.index} (${spanText(one.row)}) and row ${other.index} (${spanText(other.row)}) overlap: ` +
            'give the earlier one a last day ("to") before the other begins, or take one of them out',
        ),
    ),
  );
}

function overlap(one: PricedSpan, other: PricedSpan): boolean {
  const isSameLength = one.context === other.context || one.context === 'any' || other.context === 'any';
  const startsInTime = (later: PricedSpan, earlier: PricedSpan): boolean =>
    later.from === undefined || earlier.to === undefined || later.from <= earlier.to;
  return isSameLength && startsInTime(one, other) && startsInTime(other, one);
}

/** Such as `gpt-5.5 in batch, long, from 2026-11-01`. */
function spanText({ model, tier, context, from, to }: PricedSpan): string {
  const length = context === 'any' ? '' : `, ${context}`;
  const begin = from === undefined ? '' : `, from ${from}`;
  return `${model} in ${tier}${length}${begin}${to === undefined ? '' : `, to ${to}`}`;
}
