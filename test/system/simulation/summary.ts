/** What many seeds have shown, and whether that is enough. */
import { Coverage } from './coverage.ts';
import { UNCALLED } from './port-calls.ts';
import type { SimulationResult } from './simulation.ts';

/** Of the calls that a worker has time for, so many in all may be cut by that worker's own end. */
const MAX_CUT_SHARE = 0.01;
/** Part of the seeds that must be more than the simplest case. */
const REQUIRED_SHARE = 0.3;

/** One seed, as far as it is kept: plain data, so that it passes between threads. */
export interface SeedOutcome {
  seed: number;
  violations: string[];
  counts: [string, number][];
  /** At least three batches, two jobs and two rounds. */
  isRich: boolean;
  picks: number;
  virtualHours: number;
}

export function outcomeOfSeed({ seed, violations, coverage, stats }: SimulationResult): SeedOutcome {
  const { batches, jobs, rounds, picks, virtualHours } = stats;
  const isRich = batches >= 3 && jobs >= 2 && rounds >= 2;
  return { seed, violations, counts: [...coverage.counts], isRich, picks, virtualHours };
}

/** Sums up seeds as they come. */
export class Summary {
  readonly coverage = new Coverage();
  readonly violations: { seed: number; violations: string[] }[] = [];
  seeds = 0;
  rich = 0;
  picks = 0;
  virtualHours = 0;

  add({ seed, violations, counts, isRich, picks, virtualHours }: SeedOutcome): void {
    this.seeds++;
    if (isRich) this.rich++;
    this.picks += picks;
    this.virtualHours += virtualHours;
    this.coverage.addAll(counts);
    if (violations.length > 0) this.violations.push({ seed, violations });
  }

  /** What the run has not tried often enough to prove anything; empty if it has. */
  gaps(): string[] {
    const gaps = this.coverage.missing(this.seeds);
    const fitting = this.coverage.count('long call:that fits a worker');
    const cut =
      this.coverage.count('long call:cut by its caller') +
      this.coverage.count('long call:cut by the end of its worker');
    if (cut > Math.max(1, fitting * MAX_CUT_SHARE))
      gaps.push(`${cut} of ${fitting} calls were cut by the end of their own worker, and ran twice`);
    if (this.rich < this.seeds * REQUIRED_SHARE) {
      gaps.push(`seeds with three batches, two jobs and two rounds: ${this.rich} of ${this.seeds}`);
    }
    const called = UNCALLED.filter((name) => this.coverage.count(`called ${name}`) > 0);
    return [...gaps, ...called.map((name) => `${name} is called now: take it off UNCALLED`)];
  }
}
