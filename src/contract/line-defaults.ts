/** What a route fills into the lines of its files. */
import * as z from 'zod';
import { onlyFields } from './only-fields.ts';

/** A job's table item holds its route: 32 levels of a value, of which these are left (DynamoDB guide, "Quotas"). */
const MAX_DEFAULT_LEVELS = 28;
/** Nothing but 0 is nearer to 0 in DynamoDB (guide, "Data types", "Number"). */
const MIN_NUMBER = 1e-130;

/** Whether a table item can hold it as it was written; JSON has read a longer whole number as another one. */
function isKeptInItems(value: unknown, levels = MAX_DEFAULT_LEVELS): boolean {
  if (typeof value === 'number')
    return Math.abs(value) <= Number.MAX_SAFE_INTEGER && (value === 0 || Math.abs(value) >= MIN_NUMBER);
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every((item) => isKeptInItems(item, levels - 1));
}

/** Filled into lines that leave it out; what a line has itself is kept. */
export const defaultsSchema = onlyFields({
  /** Method of lines without one. */
  method: z.literal('POST', 'a method is "POST": the Batch API has no other').optional(),
  /** Endpoint of lines without one, such as `/v1/responses`. */
  url: z
    .string()
    .regex(/^\/v1\/[a-z_/]+$/, {
      error: ({ input }) => `a url is a path such as "/v1/responses"; read ${JSON.stringify(input)}`,
    })
    .optional(),
  /**
   * Parameters of the body, such as `model`, each filled in where the line does not have it; parameters are not
   * merged. Whole numbers lie within ±(2^53 − 1), and values have at most 28 levels.
   */
  body: z
    .record(z.string().min(1), z.json())
    .refine(
      (body) => isKeptInItems(body),
      `numbers in the defaults of a body are within ±${Number.MAX_SAFE_INTEGER}, those beside 0 not nearer to it than ` +
        `${MIN_NUMBER}, and its values at most ${MAX_DEFAULT_LEVELS} levels deep: a job's record could not hold others`,
    )
    .optional(),
});
export type Defaults = z.infer<typeof defaultsSchema>;
