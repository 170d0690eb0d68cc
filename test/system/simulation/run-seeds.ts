import { simulate } from './simulation.ts';
import { outcomeOfSeed, Summary } from './summary.ts';

/**
 * Runs seeds in order, up to the first that breaks a promise: one is enough to look at, and the others may take long.
 */
export async function runSeeds(first: number, last: number): Promise<Summary> {
  const summary = new Summary();
  for (let seed = first; seed <= last && summary.violations.length === 0; seed++)
    summary.add(outcomeOfSeed(await simulate(seed)));
  return summary;
}
