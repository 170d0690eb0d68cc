/** While the webhooks of an API key's project arrive, its batches at OpenAI are looked at less often. */
import type { Settings } from '../../../contract/settings.ts';
import { sendsWebhooks } from '../../../contract/webhooks.ts';
import type { BatchRecord } from '../../model/batch.ts';
import type { Ambient } from '../../ports/ambient.ts';
import type { QuotaStore } from '../../ports/quota.ts';
import type { WebhookStore } from '../../ports/webhooks.ts';
import { isSilent, looksAtAll } from '../../scheduling/webhook-health.ts';

/** What it takes to know whether webhooks arrive. */
export interface SlowLooksDeps {
  settings: Pick<Settings, 'webhooks'>;
  webhooks: Pick<WebhookStore, 'getHealth'>;
  quota: Pick<QuotaStore, 'getBacklog'>;
  ambient: Pick<Ambient, 'now'>;
}

/**
 * Which of a key's batches at OpenAI this poll looks at: all of them, or those that no webhook tells enough of.
 * @param poll its number, which grows by one from poll to poll.
 * @returns with them, whether webhooks are expected and do not arrive.
 */
export async function batchesToLookAt(
  deps: SlowLooksDeps,
  apiKey: string,
  batches: BatchRecord[],
  poll: number,
): Promise<{ batches: BatchRecord[]; isSilent: boolean }> {
  if (!sendsWebhooks(deps.settings.webhooks, apiKey)) return { batches, isSilent: false };
  const health = await deps.webhooks.getHealth(apiKey);
  const now = deps.ambient.now();
  if (looksAtAll(health, poll, now)) return { batches, isSilent: isSilent(health, now) };
  // Others may be waiting for what is learned of the limit when these get past their validation.
  const isAwaited = (await deps.quota.getBacklog()).length > 0;
  const unreported = batches.filter(
    ({ stop, remote }) =>
      stop?.cancelRequestedAt !== undefined ||
      remote!.unreachableSince !== undefined ||
      (isAwaited && remote!.status === 'validating'),
  );
  return { batches: unreported, isSilent: false };
}
