/** What submitting a batch works with. */
import type { Settings } from '../../../contract/settings.ts';
import type { Ambient, Deadline, Sleep } from '../../ports/ambient.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { PauseStore } from '../../ports/pauses.ts';
import type { BatchService, ByKey } from '../../ports/provider.ts';
import type { CommonRules, CreateSettles } from '../../ports/provider-rules.ts';
import type { QuotaStore, SuspensionStore } from '../../ports/quota.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';

export interface SubmitDeps {
  stackId: string;
  objects: ObjectStore;
  jobs: JobStore;
  batches: ByKey<BatchService>;
  rules: CommonRules;
  settings: Pick<Settings, 'quota' | 'stuck' | 'layout' | 'inputs'>;
  quota: QuotaStore;
  suspensions: SuspensionStore;
  pauses: Pick<PauseStore, 'getPauses'>;
  outbox: Pick<Outbox, 'submit'>;
  ambient: Ambient;
  deadline: Deadline;
  heartbeat: Sleep;
  /** Default: those of the rules. */
  createSettles?: CreateSettles | undefined;
  telemetry: Telemetry;
}

/** The same, with the key of the batch. */
export type DepsWithKey = Omit<SubmitDeps, 'batches'> & { batches: BatchService };
