/** How often a property is tried: a few times in `npm test`, as often as it states in `npm run test:system`. */

const QUICK_RUNS = 50;

/**
 * @param all runs in `npm run test:system`, for which vitest.config.ts sets PROPERTY_RUNS
 * @param quick runs in all other commands
 */
export function propertyRuns(all: number, quick = QUICK_RUNS): number {
  return process.env.PROPERTY_RUNS === 'all' ? all : Math.min(all, quick);
}
