/** What collecting a batch works with. */
import type { Settings } from '../../../contract/settings.ts';
import type { Manifest } from '../../files/manifest.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import type { Job } from '../../model/job.ts';
import type { Ambient, Deadline, Sleep } from '../../ports/ambient.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { PauseStore } from '../../ports/pauses.ts';
import type { BatchService, ByKey } from '../../ports/provider.ts';
import type { CommonRules, ProviderRules } from '../../ports/provider-rules.ts';
import type { QuotaStore, SuspensionStore } from '../../ports/quota.ts';
import type { JobStore, ShutdownStore } from '../../ports/records.ts';
import type { Scratch } from '../../ports/scratch.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import type { Prices } from '../../pricing/prices.ts';
import type { Repair } from './decide.ts';

type Batches = Pick<BatchService, 'getBatch' | 'readFile' | 'fileSize' | 'deleteFile'>;

export interface CollectDeps {
  settings: Settings;
  prices: Prices;
  objects: ObjectStore;
  jobs: JobStore;
  batches: ByKey<Batches>;
  rules: Pick<ProviderRules, 'endpoints' | 'answers'> & CommonRules;
  quota: QuotaStore;
  suspensions: SuspensionStore;
  pauses: Pick<PauseStore, 'getPauses'>;
  shutdowns: Pick<ShutdownStore, 'getShutdowns'>;
  outbox: Pick<Outbox, 'submit' | 'call' | 'collect' | 'finalize'>;
  scratch: Scratch;
  ambient: Ambient;
  deadline: Deadline;
  heartbeat: Sleep;
  telemetry: Telemetry;
}

/** The same, with the key of the batch that is collected. */
export type DepsWithKey = Omit<CollectDeps, 'batches'> & { batches: Batches };

/** A leased batch whose results are collected. */
export interface Collection {
  job: Job;
  leased: LeasedBatch;
  manifest: Manifest;
  /** Set if OpenAI refused the batch, and that is the outcome of some of its requests. */
  repair: Repair | undefined;
  /** Nothing is waited for any more: what can be had of the results now is all there is. */
  isLastResort: boolean;
}
