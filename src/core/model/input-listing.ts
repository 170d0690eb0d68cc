import type { ListCursor } from './objects.ts';

/** How far the listing that finds inputs without a job is. */
export interface InputListing {
  v: 1;
  /** Counts the writes, from 1. */
  generation: number;
  /** When this deployment first ran: what was put before is left alone. */
  since: number;
  /** What was put before has a job, or was waited for long enough. */
  watermark: number;
  /** When the next pass may begin. */
  nextAt: number;
  /** One that goes on in another run. */
  pass?: ListingPass;
}

/** One listing of all inputs, over one run or several. */
export interface ListingPass {
  startedAt: number;
  /** Versions without a job so far, and when the oldest of them was put. */
  found: number;
  oldestFound?: number | undefined;
  /** Which prefix is being listed, and how far it is. */
  prefix?: string;
  after?: ListCursor | undefined;
}
