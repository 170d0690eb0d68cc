/** One worker's turn at a job in ingest: see {@link IngestRun}. */
import type { Settings } from '../../../contract/settings.ts';
import { toReading, toReadLater } from '../../lifecycle/job-transitions.ts';
import type { LeasedJob } from '../../lifecycle/leased.ts';
import type { IngestProgress } from '../../model/job.ts';
import type { BatchLimits } from '../../model/limits.ts';
import type { Ambient, Deadline, Sleep } from '../../ports/ambient.ts';
import type { DropTurnStore } from '../../ports/drops.ts';
import type { IgnoredDropStore } from '../../ports/ignored-drops.ts';
import type { Inputs, ObjectStore, OwnersStore } from '../../ports/objects.ts';
import type { DropEvents, JobEvents, Outbox } from '../../ports/outbox.ts';
import type { PauseStore } from '../../ports/pauses.ts';
import type { CommonRules, ProviderRules } from '../../ports/provider-rules.ts';
import type { QuotaStore, SuspensionStore } from '../../ports/quota.ts';
import type { JobStore, ListingStore, ShutdownStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import type { Prices } from '../../pricing/prices.ts';
import type { Tokenizer } from '../../pricing/tokens/estimate.ts';

export interface IngestDeps {
  stackId: string;
  stackName: string;
  settings: Settings;
  objects: ObjectStore;
  inputs: Pick<Inputs, 'listKey'>;
  listing: Pick<ListingStore, 'getListing'>;
  jobs: JobStore;
  drops: Pick<DropTurnStore, 'takeDropTurn'>;
  quota: QuotaStore;
  suspensions: SuspensionStore;
  pauses: Pick<PauseStore, 'getPauses'>;
  shutdowns: Pick<ShutdownStore, 'getShutdowns'>;
  owners: OwnersStore;
  outbox: Outbox;
  events: JobEvents & DropEvents;
  ignoredDrops: Pick<IgnoredDropStore, 'note'>;
  ambient: Ambient;
  deadline: Deadline;
  heartbeat: Sleep;
  telemetry: Telemetry;
  rules: Pick<ProviderRules, 'endpoints' | 'models' | 'preflight'> & CommonRules;
  /** Those of the rules, or less. */
  limits: BatchLimits;
  prices: Prices;
  /** Loads a model's tokenizer: asked for only once there are batches to record. */
  tokenizerOf(model: string): Promise<Tokenizer>;
}

/** How many runs may die without getting any further, or how often all may be lost, before a file is rejected. */
export const MAX_STARTS = 4;

/** One worker's turn at a job, whose lease it has. */
export class IngestRun {
  deps: IngestDeps;
  readonly leased: LeasedJob;
  /** As in the job's record, without this run's own start. */
  progress: IngestProgress;
  readonly #startedFrom: IngestProgress['checkpoint'];
  /** What this run has recorded last. */
  #recorded: IngestProgress | undefined;

  constructor(deps: IngestDeps, leased: LeasedJob) {
    this.deps = deps;
    this.leased = leased;
    this.progress = leased.record.ingest ?? { starts: 0 };
    this.#startedFrom = this.progress.checkpoint;
  }

  /** Records how ingest is going. */
  async record(progress: IngestProgress): Promise<void> {
    if (JSON.stringify(this.#recorded) === JSON.stringify(progress)) return;
    const job = this.leased.record;
    this.#recorded = progress;
    // A job that has come further does not fail any more.
    const isFurther = job.failing !== undefined && progress.checkpoint !== this.#startedFrom;
    await this.leased.move(toReading(job, progress, isFurther));
  }

  /** Only runs that die count as starts; one that ends, well or not, is not counted any more. */
  async release(): Promise<void> {
    const { leased, progress } = this;
    if (leased.isReleased) return;
    await leased.tryMove(toReadLater(leased.record, progress));
  }

  /** The next worker must find the job free; if its message is lost, the sweep sends another. */
  async continueInNextInvocation(): Promise<void> {
    await this.release();
    await this.deps.outbox.ingest({ v: 1, jobId: this.leased.record.jobId });
  }
}
