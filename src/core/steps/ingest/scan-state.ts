/** What a scan needs, and how far it is: plain data, and bytes, that another worker can continue from. */
import type { Layout } from '../../../contract/layout.ts';
import type { FirstInvalid } from '../../../contract/receipt.ts';
import type { LineStart } from '../../files/lines.ts';
import type { PlannedBatch } from '../../files/plan.ts';
import type { RunWriterState } from '../../files/run-file.ts';
import type { RunRef } from '../../model/batch.ts';
import type { BatchLimits } from '../../model/limits.ts';
import type { PreflightFinding } from '../../model/preflight.ts';
import type { Deadline } from '../../ports/ambient.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { LineRules } from '../../ports/provider-rules.ts';
import type { Prices } from '../../pricing/prices.ts';
import type { OpenBatch } from './cutter.ts';
import type { DuplicatesState } from './duplicates-state.ts';
import type { IdRun } from './id-runs.ts';
import type { SpoolState } from './spool.ts';

export interface ScanDeps {
  objects: ObjectStore;
  layout: Layout;
  rules: LineRules;
  /** Those of the rules, or lower ones. */
  limits: BatchLimits;
  /** Say which models' prompts are worth a cache key, if the route gives them one. */
  prices: Prices;
  deadline: Deadline;
  /** A fresh id of this worker: names the keys that no other worker may write to. */
  worker: string;
  /**
   * Records how far the work is, so that another worker can continue from there. What it throws ends the work, because
   * another worker has the job.
   */
  save(state: ScanState): Promise<void>;
  /** Sizes that a test or a benchmark may set. */
  sizes?: Partial<ScanSizes>;
}

/** Sizes that change what a scan costs, and nothing of what it finds. */
interface ScanSizes {
  /** See {@link readInParallel}. */
  rangeBytes: number;
  rangesInFlight: number;
  /** See {@link LineScanner}. */
  blockBytes: number;
  /** See {@link IdRuns}. */
  maxIdsInMemory: number;
  /** See {@link Cutter}. */
  maxOpenRequests: number;
  /** See {@link removeDuplicates}. */
  hashesOfARound: number;
  looksEvery: number;
  /** Bits of each half of an id's hash that count, all by default: fewer make ids that only share their hash. */
  hashMask: number;
}

/** Version of {@link ScanState}. */
export const SCAN_VERSION = 3;

/** How far a scan is: plain data, and bytes. */
export type ScanState = LinesState | EndState;

/** What the pass over the lines has found. */
export interface Found {
  /** Names the keys below `work/<job>/ingest/`. */
  attempt: string;
  compressed: boolean;
  /** Lines are written out once, because they cannot be sent from where they are. */
  spooled: boolean;
  requests: number;
  invalid: number;
  invalidByCode: Record<string, number>;
  firstInvalid: FirstInvalid;
  /** What of the lines the provider is sure to refuse. Absent: nothing, or not looked for. */
  preflight?: PreflightFinding[];
}

/** In the middle of the pass. */
export interface LinesState extends Found {
  v: typeof SCAN_VERSION;
  phase: 'lines';
  /** The first line that was not looked at. */
  next: LineStart;
  batches: PlannedBatch[];
  open: (Omit<OpenBatch, 'entries'> & { entries: Uint8Array })[];
  ids: IdRun[];
  invalidRun?: RunWriterState;
  /** Of a route that adds something to lines. */
  originals?: RunWriterState;
  spool?: SpoolState;
}

/** Every line was looked at; requests that occur twice are being removed. */
export interface EndState extends Found {
  v: typeof SCAN_VERSION;
  phase: 'duplicates';
  ids: IdRun[];
  invalidRun?: RunRef;
  originals?: RunRef;
  work: DuplicatesState;
}

/** The state before any line was looked at. */
export function startLines(attempt: string, mode: Pick<LinesState, 'compressed' | 'spooled'>): LinesState {
  return {
    v: SCAN_VERSION,
    phase: 'lines',
    attempt,
    ...mode,
    requests: 0,
    invalid: 0,
    invalidByCode: {},
    firstInvalid: {},
    next: { offset: 0, line: 1 },
    batches: [],
    open: [],
    ids: [],
  };
}
