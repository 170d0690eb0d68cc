/** Whose turn it is to start, among the files of a route with limits. */
import type { DropLimits } from '../../contract/drop-limits.ts';
import type { Job } from '../model/job.ts';

/** Counts the files of a route that start, and keeps those that wait in the order in which they were dropped. */
export interface DropTurnStore {
  /**
   * In one step, counts the file among those of its route and records with its job that it may start; or records with
   * its job that it waits, and takes the lease from it. A file that was counted is never counted again.
   * @param of `holder`: the worker that has the job leased; absent: it is the first of those that wait.
   * @returns the job as it is then; `undefined`: it is in another state, or another worker's, and nothing was written.
   */
  takeDropTurn(
    of: { jobId: string; route: string; limits: DropLimits | undefined; holder?: string },
    now: number,
  ): Promise<Job | undefined>;
  /** Routes of which files were counted or made to wait. */
  listDropRoutes(): Promise<string[]>;
  /** Jobs of a route that wait, the one that was dropped first comes first. A hint: the base record decides. */
  listWaitingDrops(route: string): AsyncIterable<Job>;
  /** Notes that {@link listWaitingDrops} showed none at `listedAt`, so that the next drop need not wait. */
  noteNoneWaits(route: string, listedAt: number): Promise<void>;
}
