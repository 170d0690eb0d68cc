import type { WebhookHealth } from '../../../src/core/model/webhook-health.ts';
import type { WebhookStore } from '../../../src/core/ports/webhooks.ts';
import { plainCopy } from '../plain-copy.ts';

/** {@link WebhookStore} in memory; it forgets nothing. */
export class MemoryWebhooks implements WebhookStore {
  readonly #observed = new Set<string>();
  readonly #health = new Map<string, WebhookHealth>();

  async wasObserved(webhookId: string): Promise<boolean> {
    return this.#observed.has(webhookId);
  }

  async putObserved(webhookId: string): Promise<void> {
    this.#observed.add(webhookId);
  }

  async getHealth(apiKey: string): Promise<WebhookHealth | undefined> {
    return plainCopy(this.#health.get(apiKey));
  }

  async changeHealth(
    apiKey: string,
    rule: (current: WebhookHealth | undefined) => WebhookHealth | undefined,
  ): Promise<void> {
    const next = rule(plainCopy(this.#health.get(apiKey)));
    if (next !== undefined) this.#health.set(apiKey, plainCopy(next));
  }
}
