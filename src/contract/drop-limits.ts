/** How many files of a route may start. */
import * as z from 'zod';
import { onlyFields } from './only-fields.ts';

/** More would not fit one item of the table together with the route's minutes, and limits nothing. */
const MAX_DROPS = 1_000_000;

const refuseLimits = {
  error: ({ input }: { input?: unknown }) =>
    `drops is {"perHour": 60}, {"perDay": 1000} or both, each a whole number from 1 to ${MAX_DROPS}; read ${JSON.stringify(input) ?? 'none'}`,
};

const countSchema = z.int(refuseLimits).min(1, refuseLimits).max(MAX_DROPS, refuseLimits);

/** What may start in any 60 minutes and in one day (UTC); see the route's setting. */
export const dropLimitsSchema = onlyFields({
  /** Files that may start in any 60 minutes. */
  perHour: countSchema.optional(),
  /** Files that may start in one day (UTC). */
  perDay: countSchema.optional(),
}).refine(({ perHour, perDay }) => perHour !== undefined || perDay !== undefined, refuseLimits);

/** How many files of a route may start. */
export type DropLimits = z.output<typeof dropLimitsSchema>;
