import type * as z from 'zod';
import { SqsOutbox } from '../../adapters/sqs-outbox.ts';
import { SecretsManagerWebhookSecrets } from '../../adapters/webhook-secrets.ts';
import type { webhookEnv } from '../../contract/env.ts';
import { WEBHOOK_RULES } from '../../providers/openai/webhooks.ts';
import { systemAmbient } from '../ambient.ts';
import { createSecretsManagerClient, createSqsClient } from '../clients.ts';

/** Little, on purpose: all of it is in the bundle of the function that anybody may call. */
export function createWebhookDeps(config: z.output<typeof webhookEnv>) {
  return {
    apiKeys: config.WEBHOOK_API_KEYS.split(','),
    secrets: new SecretsManagerWebhookSecrets(
      createSecretsManagerClient(),
      { stackId: config.STACK_ID },
      systemAmbient.now,
    ),
    rules: WEBHOOK_RULES,
    outbox: new SqsOutbox(createSqsClient(), { observe: config.OBSERVE_QUEUE_URL }),
    ambient: systemAmbient,
  };
}
