/**
 * OpenAI's webhooks: their form, and their signature, checked by the official client. Only the part of the client that does so is
 * imported: with all of it, the function that anybody may call would have 390 KB more to parse at each cold start.
 */
import type OpenAI from 'openai';
import { InvalidWebhookSignatureError } from 'openai/core/error';
import { Webhooks } from 'openai/resources/webhooks/webhooks';
import type { WebhookRules } from '../../core/ports/webhooks.ts';

/** It calls nothing: a signature is checked without a request. */
const webhooks = new Webhooks({} as OpenAI);

/** By how much a time may differ, in seconds: what the client takes by default (openai 7.59.0). */
const TOLERANCE_SECONDS = 300;

const ID_HEADER = 'webhook-id';

/** What a signature takes: the names of Standard Webhooks. Source: openai 7.59.0 `resources/webhooks/webhooks.ts`. */
const SIGNED_HEADERS = [ID_HEADER, 'webhook-timestamp', 'webhook-signature'];

export const WEBHOOK_RULES: WebhookRules = {
  isSigned: ({ headers }) => SIGNED_HEADERS.every((name) => headers[name]),

  /** A secret that cannot be used proves nothing. */
  async verify({ headers, body }, secret) {
    try {
      await webhooks.verifySignature(body, { ...headers }, secret, TOLERANCE_SECONDS);
      return 'verified';
    } catch (error) {
      if (!(error instanceof InvalidWebhookSignatureError)) return 'forged';
      if (error.message.endsWith('too old')) return 'too_old';
      return error.message.endsWith('too new') ? 'too_new' : 'forged';
    }
  },

  read({ headers, body }) {
    let event: { type?: unknown; data?: { id?: unknown } | null } | null;
    try {
      event = JSON.parse(body);
    } catch {
      return undefined;
    }
    const webhookId = headers[ID_HEADER];
    const objectId = event?.data?.id;
    const type = event?.type;
    if (typeof type !== 'string' || typeof objectId !== 'string' || webhookId === undefined) return undefined;
    return { webhookId, type, objectId };
  },
};
