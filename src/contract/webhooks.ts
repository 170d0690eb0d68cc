/** OpenAI's webhooks: which of them are used, who sends them, and where their signing secrets are kept. */
import * as z from 'zod';
import { API_KEY_PLACEHOLDER } from './api-key.ts';
import { onlyFields } from './only-fields.ts';

/**
 * The events that are used: those that say that something has ended. Source: openai 7.59.0
 * `resources/webhooks/webhooks.ts`.
 */
export const WEBHOOK_EVENTS = [
  'batch.completed',
  'batch.failed',
  'batch.expired',
  'batch.cancelled',
  'response.completed',
  'response.failed',
  'response.cancelled',
  'response.incomplete',
] as const;

const SECRETS_EXPECTED =
  'webhooks need a signing secret: name in apiKeys the API keys, such as ["default"], whose OpenAI project sends its ' +
  'webhooks here; the stack makes one secret for each';

/** Webhooks of OpenAI, so that results are collected when they are there and not when the poll next looks. */
export const webhooksSchema = onlyFields({
  /**
   * Names of the API keys, one for each OpenAI project that sends its webhooks here. The stack makes one secret for
   * each, which holds the signing secret of that project's webhook endpoint.
   */
  apiKeys: z.array(z.string().min(1), SECRETS_EXPECTED).min(1, SECRETS_EXPECTED),
  /**
   * What OpenAI sends to: `function_url`, a Lambda function URL without IAM authorization; or `http_api`, an API
   * Gateway HTTP API, which throttles. Both verify the signature.
   */
  endpoint: z.enum(['function_url', 'http_api']).default('function_url'),
});
export type WebhookSettings = z.infer<typeof webhooksSchema>;

/** Whether the project of an API key sends webhooks. */
export function sendsWebhooks(webhooks: WebhookSettings | undefined, apiKey: string): boolean {
  return webhooks?.apiKeys.includes(apiKey) === true;
}

/** What a signing secret holds until a person, or `batchdrop webhook register`, sets it. */
export const WEBHOOK_SECRET_PLACEHOLDER = API_KEY_PLACEHOLDER;

/** What the names of a stack's signing secrets begin with, and those of nothing else. */
export function webhookSecretsPrefix(stackId: string): string {
  return `batchdrop/webhooks/${stackId}/`;
}

/**
 * The Secrets Manager secret that holds the signing secret of the webhooks of an API key's project.
 * @param stackId the UUID of the CloudFormation stack.
 */
export function webhookSecretName(stackId: string, apiKey: string): string {
  return `${webhookSecretsPrefix(stackId)}${apiKey}`;
}
