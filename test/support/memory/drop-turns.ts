import { mayTakeTurn } from '../../../src/adapters/dynamodb/job-rules.ts';
import { toTurn } from '../../../src/core/lifecycle/job-transitions.ts';
import type { DropTally } from '../../../src/core/model/drop-turn.ts';
import type { Job } from '../../../src/core/model/job.ts';
import type { DropTurnStore } from '../../../src/core/ports/drops.ts';
import { dropTurnOf, withoutWaiting } from '../../../src/core/scheduling/drop-turns.ts';
import { type MemoryJobs, snapshotOf } from './jobs.ts';

/** {@link DropTurnStore} in memory, beside the jobs whose turns it gives. */
export class MemoryDropTurns implements DropTurnStore {
  readonly #jobs: MemoryJobs;
  readonly #tallies = new Map<string, DropTally>();

  constructor(jobs: MemoryJobs) {
    this.#jobs = jobs;
  }

  /** As {@link MemoryJobs.snapshot}: both stand in one table. */
  snapshot(): () => void {
    return snapshotOf([this.#tallies] as Map<string, unknown>[]);
  }

  async takeDropTurn(
    { jobId, route, limits, holder }: Parameters<DropTurnStore['takeDropTurn']>[0],
    now: number,
  ): Promise<Job | undefined> {
    return this.#jobs.changeTurn(jobId, now, (job) => {
      if (!mayTakeTurn(job, holder, now)) return undefined;
      const request = { limits, isFirst: holder === undefined, now };
      const { turn, tally } = dropTurnOf(route, this.#tallies.get(route), job.turn, request);
      if (tally !== undefined) this.#tallies.set(route, tally);
      return toTurn(job, turn);
    });
  }

  async listDropRoutes(): Promise<string[]> {
    return [...this.#tallies.keys()].sort();
  }

  listWaitingDrops(route: string): AsyncIterable<Job> {
    return this.#jobs.listWaitingDrops(route);
  }

  async noteNoneWaits(route: string, listedAt: number): Promise<void> {
    const tally = withoutWaiting(this.#tallies.get(route), listedAt);
    if (tally !== undefined) this.#tallies.set(route, tally);
  }
}
