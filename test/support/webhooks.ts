/** Webhooks as OpenAI signs them; shares no code with what checks them. */
import { createHmac } from 'node:crypto';

export const SIGNING_SECRET = `whsec_${Buffer.from('a secret of the tests alone 1234').toString('base64')}`;

export interface SignedWebhook {
  method: string;
  headers: Record<string, string>;
  body: string;
}

/** What a webhook may be made otherwise with. */
export interface WebhookParts {
  type?: string;
  objectId?: string;
  webhookId?: string;
  secret?: string;
  /** Epoch seconds. Default: now, which is what the client compares it with. */
  timestamp?: number;
  body?: string;
}

export function signedWebhook(parts: WebhookParts = {}): SignedWebhook {
  const {
    type = 'batch.completed',
    objectId = 'batch_1',
    webhookId = 'wh_1',
    secret = SIGNING_SECRET,
    timestamp = Math.floor(Date.now() / 1000),
    body = JSON.stringify({ object: 'event', id: 'evt_1', type, created_at: 1, data: { id: objectId } }),
  } = parts;
  return {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'webhook-id': webhookId,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signatureOf(secret, `${webhookId}.${timestamp}.${body}`),
    },
    body,
  };
}

function signatureOf(secret: string, text: string): string {
  const key = secret.startsWith('whsec_')
    ? Buffer.from(secret.slice('whsec_'.length), 'base64')
    : Buffer.from(secret);
  return `v1,${createHmac('sha256', key).update(text).digest('base64')}`;
}
