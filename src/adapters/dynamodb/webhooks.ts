import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { PARTITIONS, TTL_ATTRIBUTE } from '../../contract/table.ts';
import { HOUR_MS, SECOND_MS } from '../../contract/time.ts';
import type { WebhookHealth } from '../../core/model/webhook-health.ts';
import type { WebhookStore } from '../../core/ports/webhooks.ts';
import { DynamoDBItems, type Item, type Key } from './items.ts';
import { readWebhookHealth } from './record-schemas.ts';

/** For so long OpenAI sends an event again (guides/webhooks, as of 2026-11-21). */
const OBSERVED_KEPT_MS = 72 * HOUR_MS;

const observedKey = (webhookId: string): Key => ({ pk: `${PARTITIONS.webhook}${webhookId}`, sk: 'WEBHOOK' });
const healthKey = (apiKey: string): Key => ({ pk: `${PARTITIONS.webhooks}${apiKey}`, sk: 'WEBHOOKS' });

/** {@link WebhookStore} on the table. */
export class DynamoDBWebhooks implements WebhookStore {
  readonly #items: DynamoDBItems;

  /** @param client must leave out `undefined` values (`marshallOptions.removeUndefinedValues`). */
  constructor(client: DynamoDBDocumentClient, names: { table: string }) {
    this.#items = new DynamoDBItems(client, names);
  }

  async wasObserved(webhookId: string): Promise<boolean> {
    return (await this.#items.get(observedKey(webhookId))) !== undefined;
  }

  async putObserved(webhookId: string, now: number): Promise<void> {
    const expiresAt = Math.ceil((now + OBSERVED_KEPT_MS) / SECOND_MS);
    await this.#items.change(observedKey(webhookId), (current) =>
      current === undefined ? { v: 1, [TTL_ATTRIBUTE]: expiresAt } : undefined,
    );
  }

  async getHealth(apiKey: string): Promise<WebhookHealth | undefined> {
    return this.#read(await this.#items.get(healthKey(apiKey)));
  }

  async changeHealth(
    apiKey: string,
    rule: (current: WebhookHealth | undefined) => WebhookHealth | undefined,
  ): Promise<void> {
    await this.#items.change(healthKey(apiKey), (current) => {
      const health = rule(this.#read(current));
      // What is left out of the record is to be removed from the item.
      return health === undefined ? undefined : { arrivedAt: undefined, unreported: undefined, ...health };
    });
  }

  #read(item: Item | undefined): WebhookHealth | undefined {
    return item === undefined ? undefined : readWebhookHealth(item, this.#items.nameOf(item));
  }
}
