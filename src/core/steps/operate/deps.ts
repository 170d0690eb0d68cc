import type { Settings } from '../../../contract/settings.ts';
import type { Ambient, Deadline, Sleep } from '../../ports/ambient.ts';
import type { JobIndex } from '../../ports/job-index.ts';
import type { Erasure, Inputs, ObjectStore } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { PauseStore } from '../../ports/pauses.ts';
import type { ProviderRules } from '../../ports/provider-rules.ts';
import type { SuspensionStore } from '../../ports/quota.ts';
import type { JobGraves, JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';

/** What the function of operators works with. It has no API key: what takes one is left to the poll. */
export interface OperateDeps {
  /** Where this stack keeps everything. */
  bucket: string;
  settings: Pick<Settings, 'layout' | 'routes'>;
  rules: Pick<ProviderRules, 'errors'>;
  jobs: JobStore;
  graves: JobGraves;
  index: Pick<JobIndex, 'forget' | 'listEndedOf'>;
  pauses: PauseStore;
  suspensions: Pick<SuspensionStore, 'lift'>;
  objects: Pick<ObjectStore, 'head' | 'read' | 'put' | 'openWrite'>;
  inputs: Pick<Inputs, 'listKey'>;
  erasure: Erasure;
  outbox: Pick<Outbox, 'finalize' | 'collect'>;
  ambient: Ambient;
  deadline: Deadline;
  heartbeat: Sleep;
  telemetry: Telemetry;
}
