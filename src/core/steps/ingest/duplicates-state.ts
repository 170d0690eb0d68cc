/** How far the removal of duplicates is, and what it needs. */
import type { FirstInvalid } from '../../../contract/receipt.ts';
import type { PlannedBatch } from '../../files/plan.ts';
import type { RunRef } from '../../model/batch.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { LineRules } from '../../ports/provider-rules.ts';
import type { Prices } from '../../pricing/prices.ts';
import type { FirstLinesState, SharedHash } from './first-lines.ts';
import type { SortedIds } from './id-runs.ts';
import type { MergeState } from './merge-ids.ts';

/** How far the work is: plain data, and bytes. */
export interface DuplicatesState {
  /** The batches as they are; one that lost all its requests has 0 of them, until the end. */
  batches: PlannedBatch[];
  /** Runs of the lines that were removed. */
  runs: RunRef[];
  /** Lines that were removed. */
  removed: number;
  /** The first lines that were removed: {@link showInvalid}. */
  firstInvalid: FirstInvalid;
  /** Rounds that are done. */
  round: number;
  /** How far the merge is that gives the hashes of all rounds; absent before it. */
  merge?: MergeState;
  step: FindStep | LevelStep | PartStep;
}

/** The merge finds the hashes of the round. */
export interface FindStep {
  name: 'find';
  /** Those that it has found so far: pairs of `hash0` and `hash1`. */
  found: Uint8Array;
}

/** The manifests are looked at for some hashes. */
export interface LevelStep {
  name: 'level';
  /** Counts the levels of a round, from 0. */
  level: number;
  table: FirstLinesState;
  /** Batches whose manifests were searched for first lines. */
  met: number;
  /** Batches whose repeated lines were removed. */
  batch: number;
  /** What is known of the next one. */
  judged?: Judged;
  /** Hashes that this level found to be shared, and earlier ones of the round. */
  shared: SharedHash[];
  sharedBefore: SharedHash[];
}

/** Of one batch, the lines whose hash an earlier line has. */
export interface Judged {
  /** How many of them were read. */
  read: number;
  /** Those that are to be removed. */
  repeated: { entry: number; customId: string }[];
  textBytes: number;
  dataUrlBytes: number;
}

/** Requests that share a hash are put into different batches. */
export interface PartStep {
  name: 'part';
  shared: SharedHash[];
  /** Batches that were looked at, of so many. */
  batch: number;
  batches: number;
}

export interface DuplicatesDeps {
  objects: ObjectStore;
  rules: LineRules;
  prices: Pick<Prices, 'unlimitedOutputTokens'>;
  bucket: string;
  ids: SortedIds;
  /** Names what is made of batch `batchId`; `name` makes the name of each time unique. */
  keysOf(batchId: string, name: string): { manifest: string; run: { data: string; index: string } };
  /** Whether byte offsets mean something to a person: not in a compressed file. */
  statesBytes: boolean;
  /** Asked each time that some of the work is done; true interrupts it. */
  isOver(): boolean;
  /** Hashes of a round. Default: 500,000. */
  hashesOfARound?: number | undefined;
  /** See {@link findDuplicatedHashes}. */
  looksEvery?: number | undefined;
}
