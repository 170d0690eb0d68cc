/** The record of a job. Times are epoch milliseconds. */
import type { OptionName } from '../../contract/options.ts';
import type { Receipt } from '../../contract/receipt.ts';
import type { Route } from '../../contract/route.ts';
import type { ObjectHead, SourceObject } from './objects.ts';

/**
 * How far a job is. `completed` and `rejected` are final; a `duplicate` is once it has a receipt, until then it waits for its
 * owner and may be `ingesting` again.
 */
export type JobState = 'ingesting' | 'running' | 'completed' | 'rejected' | 'duplicate';

/** Why nothing of a job was run. `code` is stable; `message` is for a person. */
export interface Rejection {
  code:
    | 'empty_file'
    | 'not_json_lines'
    | 'object_gone'
    | 'no_valid_lines'
    | 'invalid_lines'
    | 'gzip_corrupt'
    | 'gzip_too_large'
    | 'too_many_models'
    | 'ingest_failed'
    | 'invalid_options'
    | 'key_too_long'
    | 'input_unreadable';
  message: string;
}

/** A file that S3 does not give, as it was tried last. Times are epoch milliseconds. */
export interface Unreadable {
  /** Of the first try. */
  since: number;
  tries: number;
  /** S3's error code. */
  code: string;
  /** For a person: what S3 said, and what to do. */
  reason: string;
  /** When it is tried again. */
  nextAt: number;
}

/** Failures in a row of a step of a job, ingest or finalize. Deliveries that are throttled and workers that die are none. */
export interface Failing {
  /** Of the first failure. */
  since: number;
  tries: number;
  /** What failed last: our own message, or the name of another error. */
  reason: string;
  /** When it is tried again. */
  nextAt: number;
}

/** How ingest of a file is going. */
export interface IngestProgress {
  /** Runs that have begun since the last checkpoint and not come back. */
  starts: number;
  /** How often everything had to be read anew, because a checkpoint could not be gone on from. */
  restarts?: number;
  /** Absent while the file can be read, as far as anybody knows. */
  unreadable?: Unreadable;
  /** Where the next run goes on; absent while there was one run at most. */
  checkpoint?: {
    /** Counts the checkpoints of the job, from 1. */
    generation: number;
    key: string;
    /** How far the source, unpacked, was read. */
    offset: number;
  };
}

/** One option that a dropped object said and that is followed. */
export interface AppliedOption {
  name: OptionName;
  value: string | number | string[];
  /** What it was called there, and where. */
  from: string;
}

/** One version of one input object. */
export interface Job {
  v: 1;
  jobId: string;
  /** The dropped object. */
  input: ObjectHead;
  /** What is read in its place: the same version, or a pinned copy below `work/`. */
  source: SourceObject;
  /** Frozen when the job was claimed, with what the dropped object said otherwise. */
  route: Route;
  /** What the dropped object says that it may cost at the most, in USD as decimal text. */
  budgetUsd?: string;
  /**
   * The job of the version that S3 had stored right before this one, whether there is such a job or not; it may own this one
   * if its content is the same. Absent if there was none.
   */
  predecessor?: { jobId: string; versionId?: string; lastModified: number };
  /** How many versions of its key with the same second are older. Absent: none. */
  rank?: number;
  /** What of the route the dropped object said otherwise. Absent if it said nothing. */
  options?: AppliedOption[];
  state: JobState;
  createdAt: number;
  updatedAt: number;
  /** Fencing: only the holder may write until `claimedUntil`. Absent while no worker has the job. */
  claim?: string;
  claimedUntil?: number;
  ingest?: IngestProgress;
  /** Absent while the job's own steps do not fail. */
  failing?: Failing;
  /** Key of the plan that ingest wrote; present from `running` on, and for a rejected file that could be read. */
  planKey?: string;
  rejection?: Rejection;
  /**
   * Of a duplicate: its owner, the job of the same content that it waits for and whose results answer it. May be a duplicate
   * itself.
   */
  duplicateOf?: string;
  /** Of a cancelled job: its duplicates run, in place of being cancelled with it. */
  duplicatesRun?: boolean;
  /** What the receipt says; present once it is written. Of a duplicate: once it is decided, before the receipt is written. */
  result?: Receipt['result'];
  /** When somebody cancelled it: what is not finished ends as it stands, and nothing is sent any more. */
  cancelledAt?: number;
  /** A batch that was not collected when somebody looked: while it is not, the job is surely not finished. */
  waitsFor?: string;
  /** How far the merging of results is, where it takes more than one invocation. */
  merge?: MergeProgress;
  /** Key of the receipt; present once `completed` or `rejected` is final. */
  receiptKey?: string;
  /** What it cost, as its receipt says: USD as an exact decimal, and the most that it may have cost beyond that. */
  cost?: { usd: string; possibleUsd: string };
  /** When its files below `work/` were removed. */
  workRemovedAt?: number;
}

/** Whether nothing will be done for a job any more. */
export function hasEnded({ state, receiptKey }: Pick<Job, 'state' | 'receiptKey'>): boolean {
  return receiptKey !== undefined && state !== 'ingesting' && state !== 'running';
}

/** A merge that goes on in another invocation. */
export interface MergeProgress {
  /** Counts the checkpoints of the job's merge, from 1. */
  generation: number;
  /** See checkpoint.ts. */
  checkpointKey: string;
}
