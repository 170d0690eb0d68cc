import type { Settings } from '../../../contract/settings.ts';
import type { Ambient, Deadline, Pause } from '../../ports/ambient.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { ByKey, CallApi } from '../../ports/provider.ts';
import type { ProviderRules } from '../../ports/provider-rules.ts';
import type { QuotaStore, SuspensionStore } from '../../ports/quota.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';

/** What calling a slice takes. */
export interface CallDeps {
  settings: Pick<Settings, 'layout' | 'quota' | 'inputs'>;
  objects: ObjectStore;
  jobs: JobStore;
  quota: QuotaStore;
  suspensions: SuspensionStore;
  calls: ByKey<CallApi>;
  rules: Pick<ProviderRules, 'answers' | 'calls' | 'errors'>;
  outbox: Pick<Outbox, 'call' | 'collect'>;
  ambient: Ambient;
  pause: Pause;
  heartbeat: Pause;
  deadline: Deadline;
  telemetry: Telemetry;
}
