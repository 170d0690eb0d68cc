import type { Settings } from '../../../contract/settings.ts';
import type { Ambient, Deadline, Sleep } from '../../ports/ambient.ts';
import type { ObjectStore, WorkFiles } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { PauseStore } from '../../ports/pauses.ts';
import type { BackgroundApi, ByKey, CallApi } from '../../ports/provider.ts';
import type { ProviderRules } from '../../ports/provider-rules.ts';
import type { QuotaStore, SuspensionStore } from '../../ports/quota.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import type { WebhookStore } from '../../ports/webhooks.ts';

/** What calling a slice takes. */
export interface CallDeps {
  /** Marks what is created in the background. */
  stackId: string;
  settings: Pick<Settings, 'layout' | 'quota' | 'inputs' | 'webhooks'>;
  objects: ObjectStore & Pick<WorkFiles, 'listBelow'>;
  jobs: JobStore;
  quota: QuotaStore;
  suspensions: SuspensionStore;
  pauses: Pick<PauseStore, 'getPauses'>;
  calls: ByKey<CallApi>;
  background: ByKey<BackgroundApi>;
  webhooks: Pick<WebhookStore, 'getHealth' | 'changeHealth'>;
  rules: Pick<ProviderRules, 'answers' | 'calls' | 'cancelMs' | 'errors' | 'quota'>;
  outbox: Pick<Outbox, 'call' | 'collect'>;
  ambient: Ambient;
  sleep: Sleep;
  heartbeat: Sleep;
  deadline: Deadline;
  telemetry: Telemetry;
}
