import type { ObjectHead } from '../../../../src/core/model/objects.ts';
import type { Drop } from '../drops.ts';
import type { Kind } from '../weather.ts';

export type Report = (text: string) => void;

/** A worker that has looked at something before it changed has ended by then. */
export const WORKER_MS = 15 * 60_000;

/** What was dropped, and what may become of it. */
export interface ExpectedJob {
  drop: Drop;
  head: ObjectHead;
  /** The object was destroyed or replaced, so that what was not sent yet may end as `object_gone`. */
  calledOff: boolean;
  /** When it was destroyed, with every other version of its key (epoch ms). */
  destroyedAt?: number;
  /** From some time after it was planned, it could not be read. */
  laterDenial?: { refusals: number };
  /** For how long it is tried if it cannot be read. */
  unreadableMs: number;
  /** Somebody has tried to cancel its job. */
  cancelled: boolean;
}

/** Options beside an input: when they were put, and what they say. */
export interface Sidecar {
  lastModified: number;
  maxTries: number;
  /** What the route says without them. */
  routeTries: number;
}

export interface Expectations {
  kinds: ReadonlySet<Kind>;
  /** The stacks live on one bucket, and each drop is for one of them, whichever. */
  isShared: boolean;
  /** Some workers had less time than others. */
  isHurried: boolean;
  /** By bucket and key. */
  sidecars: ReadonlyMap<string, Sidecar>;
  jobs: ExpectedJob[];
  /** How many runs of ingest never came back. */
  ingestKills: number;
  /** How many ended with an error; what they report of it may get lost as well. */
  ingestErrors: number;
  /** The table was restored: what was spent since is not in its sums. */
  isRestored: boolean;
  /** Jobs of which a worker was lost while it called requests one by one. */
  interrupted: ReadonlySet<string>;
}

/** What a seed was made of. */
export interface SeedStats {
  jobs: number;
  batches: number;
  rounds: number;
}
