/**
 * Looks at what a webhook names, with the API key of the project that sent it. Only what OpenAI shows now counts, as
 * for the poll: a webhook that is lost, late, doubled, out of order or about somebody else's work changes nothing that
 * a poll would not have changed.
 */
import type { ObserveMessage } from '../../../contract/messages.ts';
import { SECOND_MS } from '../../../contract/time.ts';
import { type Backoff, waitAfter } from '../../base/backoff.ts';
import { isApiKeyError } from '../../base/errors.ts';
import { reasonOf } from '../../base/own-text.ts';
import type { RecentIds } from '../../base/recent-ids.ts';
import type { Ambient } from '../../ports/ambient.ts';
import type { ObserveOutbox } from '../../ports/outbox.ts';
import type { QuotaStore } from '../../ports/quota.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import type { WebhookStore } from '../../ports/webhooks.ts';
import { strangersOf } from '../../scheduling/scopes.ts';
import { arrived } from '../../scheduling/webhook-health.ts';
import { lookAtBatch, type ObserveBatchesDeps } from './batches.ts';
import type { Look } from './look.ts';
import { lookAtResponse, type ObserveResponsesDeps } from './responses.ts';

/** What the function that looks works with. */
export interface ObserveDeps extends ObserveBatchesDeps, ObserveResponsesDeps {
  webhooks: WebhookStore;
  quota: ObserveBatchesDeps['quota'] & Pick<QuotaStore, 'takeTurn' | 'turnsLeft'>;
  settings: ObserveBatchesDeps['settings'] & ObserveResponsesDeps['settings'];
  jobs: ObserveBatchesDeps['jobs'] & ObserveResponsesDeps['jobs'];
  outbox: ObserveBatchesDeps['outbox'] & ObserveResponsesDeps['outbox'] & ObserveOutbox;
  ambient: Ambient;
  telemetry: Telemetry;
  /** Webhooks that turned out not to be about work of ours. */
  strangers: RecentIds;
}

/**
 * Reads in an hour, for each API key, that found nothing of ours: other applications' work, and responses of ours that
 * were looked at and deleted before their webhook, which are looked for again like those that are not there yet. Each costs a request at OpenAI and nothing else; in a project that
 * is shared with a busy application, the poll and the looks of slices find the rest.
 */
const MAX_STRANGERS_PER_HOUR = 5_000;

/** How often something that is not there yet is looked at again: for five minutes in all. */
const MAX_TRIES = 5;
const EARLY_BACKOFF: Backoff = { firstMs: 10 * SECOND_MS, maxMs: 160 * SECOND_MS };

/** @throws if OpenAI did not answer: the message comes again. */
export async function observe(deps: ObserveDeps, message: ObserveMessage): Promise<void> {
  const { webhooks, quota, ambient, telemetry, strangers } = deps;
  const { webhookId, type, objectId, apiKey } = message;
  const names = { webhookId, type, objectId, apiKey };
  if (strangers.has(webhookId) || (await webhooks.wasObserved(webhookId))) {
    telemetry.record('webhook.repeated', names);
    return;
  }
  const scope = strangersOf(apiKey);
  if ((await quota.turnsLeft(scope, MAX_STRANGERS_PER_HOUR, ambient.now())) <= 0) {
    telemetry.record('webhook.skipped', names);
    return;
  }
  let look: Look;
  try {
    look = await (type.startsWith('response.') ? lookAtResponse : lookAtBatch)(deps, message);
  } catch (error) {
    if (!isApiKeyError(error)) throw error;
    telemetry.record('webhook.postponed', { ...names, reason: reasonOf(error) });
    return;
  }
  if (look.found === 'foreign' || look.found === 'missing') {
    await quota.takeTurn(scope, MAX_STRANGERS_PER_HOUR, ambient.now());
    // OpenAI's services do not all know at once what there is.
    if (look.found === 'missing' && !isLastTry(message)) return lookLater(deps, message);
    strangers.add(webhookId);
    telemetry.record('webhook.dismissed', names);
    return;
  }
  if (look.found === 'early') return lookLater(deps, message);
  // After what it is about is recorded: a worker that dies in between does it again, which changes nothing.
  const now = ambient.now();
  await webhooks.putObserved(webhookId, now);
  await webhooks.changeHealth(look.apiKey, (health) => arrived(health, now));
  telemetry.record('webhook.observed', { ...names, ...look.batch, lagMs: now - message.receivedAt });
}

function isLastTry({ tries = 0 }: ObserveMessage): boolean {
  return tries >= MAX_TRIES;
}

async function lookLater(deps: ObserveDeps, message: ObserveMessage): Promise<void> {
  const { webhookId, type, objectId, apiKey, tries = 0 } = message;
  const names = { webhookId, type, objectId, apiKey };
  if (isLastTry(message)) {
    deps.telemetry.record('webhook.abandoned', names);
    return;
  }
  const again = tries + 1;
  const waitMs = waitAfter(EARLY_BACKOFF, again);
  await deps.outbox.observe({ ...message, tries: again }, { delayMs: waitMs });
  deps.telemetry.record('webhook.deferred', { ...names, waitMs, tries: again });
}
