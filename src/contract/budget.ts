/** What may be spent. */
import * as z from 'zod';
import { onlyFields } from './only-fields.ts';

const refuseBudget = {
  error: ({ input }: { input?: unknown }) =>
    'a budget is "unlimited", or {"perJobUsd": "12.50"}, {"perDayUsd": "100"} or both, each above 0 with at most 6 ' +
    `decimals; read ${JSON.stringify(input) ?? 'none'}`,
};

/** Whether it is decimal text of USD above 0, exact to a millionth. */
export function isUsd(text: string): boolean {
  return /^\d{1,9}(\.\d{1,6})?$/.test(text) && Number(text) > 0;
}

/** USD above 0, as a number or as decimal text, exact to a millionth. */
const usdSchema = z
  .union([z.string(), z.number()], refuseBudget)
  .transform(String)
  .refine(isUsd, refuseBudget);

/**
 * What may be spent: on each job, on all jobs of the route in one day (UTC), or without limit, which has to be said.
 */
export const budgetSchema = z.union(
  [
    z.literal('unlimited'),
    onlyFields({
      /** The most that one job may cost, in USD, with at most 6 decimals: `"12.50"`. */
      perJobUsd: usdSchema.optional(),
      /** The most that all jobs of the route may cost in one day (UTC), in USD. */
      perDayUsd: usdSchema.optional(),
    }).refine(({ perJobUsd, perDayUsd }) => perJobUsd !== undefined || perDayUsd !== undefined, refuseBudget),
  ],
  refuseBudget,
);
