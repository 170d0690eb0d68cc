/**
 * The signature of OpenAI's webhooks, checked by the official client. Only the part of the client that does so is
 * imported: with all of it, the function that anybody may call would have 390 KB more to parse at each cold start.
 */
import type OpenAI from 'openai';
import { InvalidWebhookSignatureError } from 'openai/core/error';
import { Webhooks } from 'openai/resources/webhooks/webhooks';
import type { VerifyWebhook } from '../../core/ports/webhooks.ts';

/** It calls nothing: a signature is checked without a request. */
const webhooks = new Webhooks({} as OpenAI);

/** By how much a time may differ, in seconds: what the client takes by default (openai 7.59.0). */
const TOLERANCE_SECONDS = 300;

/** Checks a signature and its time. A secret that cannot be used proves nothing. */
export const verifyWebhook: VerifyWebhook = async ({ headers, body }, secret) => {
  try {
    await webhooks.verifySignature(body, { ...headers }, secret, TOLERANCE_SECONDS);
    return 'verified';
  } catch (error) {
    if (!(error instanceof InvalidWebhookSignatureError)) return 'forged';
    if (error.message.endsWith('too old')) return 'too_old';
    return error.message.endsWith('too new') ? 'too_new' : 'forged';
  }
};
