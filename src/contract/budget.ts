/** What may be spent. */
import * as z from 'zod';
import { onlyFields } from './only-fields.ts';

const refuseBudget = {
  error: ({ input }: { input?: unknown }) =>
    'a budget is "unlimited", or {"perJobUsd": "12.50"}, {"perDayUsd": "100"} or both, each above 0 with at most 6 ' +
    `decimals; read ${JSON.stringify(input) ?? 'none'}`,
};

const refuseTimeZone = {
  error: ({ input }: { input?: unknown }) =>
    `a time zone is one of the IANA database, such as "Europe/Berlin" or "UTC"; read ${JSON.stringify(input)}`,
};

/** Whether it names a time zone of the IANA database, as this Node knows it: `Europe/Berlin`, `UTC`. */
function isTimeZone(name: string): boolean {
  // An offset such as +01:00 is none: clocks that are put forward and back are what a zone is for.
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

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
 * What may be spent: on each job, on all jobs of the route in one day, or without limit, which has to be said.
 */
export const budgetSchema = z.union(
  [
    z.literal('unlimited'),
    onlyFields({
      /** The most that one job may cost, in USD, with at most 6 decimals: `"12.50"`. */
      perJobUsd: usdSchema.optional(),
      /** The most that all jobs of the route may cost in one day of `timeZone`, in USD. */
      perDayUsd: usdSchema.optional(),
      /**
       * Where the day begins at midnight, as the IANA database names it: `Europe/Berlin`. Left out: UTC. Only with
       * `perDayUsd`. A day on which clocks are put forward or back has 23 or 25 hours, and the same budget. When it is changed, what was
       * spent on the date of the new zone still counts.
       */
      timeZone: z.string().refine(isTimeZone, refuseTimeZone).optional(),
    })
      .refine(({ perJobUsd, perDayUsd }) => perJobUsd !== undefined || perDayUsd !== undefined, refuseBudget)
      .refine(({ perDayUsd, timeZone }) => timeZone === undefined || perDayUsd !== undefined, {
        error: '"timeZone" says when the day of "perDayUsd" begins; add that or leave it out',
      }),
  ],
  refuseBudget,
);
