import type { z } from 'zod';
import type { routeSchema } from '../src/contract/route.ts';

type BudgetJson = z.input<typeof routeSchema>['budget'];

/**
 * What the jobs of a route may spend; every route says it. USD as a number or, to be sure of every digit, as text.
 *
 * @example
 * { name: 'nightly', prefix: 'input/nightly/', tiers: ['batch'], budget: Budget.perJob('12.50') }
 */
export const Budget = {
  /** So much on each job. */
  perJob: (usd: string | number): BudgetJson => ({ perJobUsd: usd }),
  /** So much on all jobs of the route together in a day. @param timeZone where it begins at midnight: `Europe/Berlin`. @default 'UTC' */
  perDay: (usd: string | number, timeZone?: string): BudgetJson => ({ perDayUsd: usd, timeZone }),
  /** Both limits at once. */
  perJobAndDay: (perJobUsd: string | number, perDayUsd: string | number, timeZone?: string): BudgetJson => ({
    perJobUsd,
    perDayUsd,
    timeZone,
  }),
  /** Whatever the files cost. */
  unlimited: (): BudgetJson => 'unlimited',
} as const;
