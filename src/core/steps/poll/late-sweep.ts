import { errorName } from '../../base/own-text.ts';
import type { Deadline } from '../../ports/ambient.ts';
import { POLL_LEASE, type SweepDeps, sweep } from './sweep.ts';

/** Intervals of the poll without a run of it, after which the clock is late. */
const LATE_INTERVALS = 2;
/** How often a process looks at the clock (ms): one read of one item. */
const LOOK_EVERY_MS = 60_000;
/** Items of one late sweep: the rest is left to the next one, so that the worker's own step does not wait for long. */
const MAX_ITEMS = 100;
/** A worker with less time than this left (ms) does its own step only. */
const MIN_REMAINING_MS = 5 * 60_000;

/** What {@link LateSweep.run} takes. */
export interface LateSweepDeps extends SweepDeps {
  deadline: Deadline;
}

/** One process's look at the clock, kept between its invocations. */
export class LateSweep {
  readonly #intervalMs: number;
  #lookAt = Number.NEGATIVE_INFINITY;

  /** @param intervalMs how often the poll is to run. */
  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /**
   * Sweeps if the poll is late and no other worker has swept in this interval. Never throws: the worker's own step
   * follows.
   */
  async run(deps: LateSweepDeps): Promise<void> {
    const now = deps.ambient.now();
    if (now < this.#lookAt || deps.deadline.remainingMs() < MIN_REMAINING_MS) return;
    this.#lookAt = now + LOOK_EVERY_MS;
    try {
      const polledAt = await deps.jobs.leaseTakenAt(POLL_LEASE);
      if (polledAt !== undefined && now - polledAt <= LATE_INTERVALS * this.#intervalMs) return;
      // Not given back: one late sweep in an interval is enough.
      if ((await deps.jobs.acquireLease('late-sweep', now, now + this.#intervalMs)) === undefined) return;
      deps.telemetry.record('poll.delayed', { lastPoll: polledAt });
      const failures: unknown[] = [];
      await sweep(deps, failures, MAX_ITEMS);
      if (failures.length > 0) throw failures[0];
    } catch (error) {
      deps.telemetry.record('sweep.failed', { error: errorName(error) });
    }
  }
}
