/** What a look finds that a webhook should have reported: then webhooks are not relied on. */
import type { Settings } from '../../contract/settings.ts';
import { sendsWebhooks } from '../../contract/webhooks.ts';
import { apiKeyOf, type BatchRecord } from '../model/batch.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import type { WebhookStore } from '../ports/webhooks.ts';
import { foundUnreported } from './webhook-health.ts';

/** What it takes to note it. */
export interface UnreportedDeps {
  settings: Pick<Settings, 'webhooks'>;
  webhooks: Pick<WebhookStore, 'changeHealth'>;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/**
 * Notes that something had ended before a webhook reported it.
 * @param batch that it is, or is of; nothing is noted where the project of its API key sends no webhooks.
 * @param found its id at OpenAI.
 */
export async function noteUnreported(
  { settings, webhooks, ambient, telemetry }: UnreportedDeps,
  batch: BatchRecord,
  found: { openaiBatchId: string } | { responseId: string },
): Promise<void> {
  const apiKey = apiKeyOf(batch);
  if (!sendsWebhooks(settings.webhooks, apiKey)) return;
  const { jobId, batchId } = batch;
  const id = 'responseId' in found ? found.responseId : found.openaiBatchId;
  let isFirst = false;
  await webhooks.changeHealth(apiKey, (health) => {
    const noted = foundUnreported(health, id, ambient.now());
    isFirst = noted !== undefined;
    return noted;
  });
  if (isFirst) telemetry.record('webhook.missed', { jobId, batchId, ...found, apiKey });
}
