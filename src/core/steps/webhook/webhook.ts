/**
 * Takes in a request to the webhook URL, which anybody may send: proves that it is OpenAI's, and hands what it names
 * to the function that looks. Nothing is read from OpenAI here and nothing is recorded, so that the answer takes
 * milliseconds and a forged request costs nothing else.
 */
import type { ObserveMessage } from '../../../contract/messages.ts';
import { WEBHOOK_EVENTS } from '../../../contract/webhooks.ts';
import { serviceCode } from '../../base/own-text.ts';
import type { Ambient } from '../../ports/ambient.ts';
import type { ObserveOutbox } from '../../ports/outbox.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import type {
  WebhookEvent,
  WebhookProof,
  WebhookRequest,
  WebhookRules,
  WebhookSecrets,
} from '../../ports/webhooks.ts';

/** What the webhook function works with. */
export interface WebhookDeps {
  /** Names of the API keys whose projects send webhooks. */
  apiKeys: readonly string[];
  secrets: WebhookSecrets;
  rules: WebhookRules;
  outbox: ObserveOutbox;
  ambient: Pick<Ambient, 'now'>;
  telemetry: Telemetry;
}

/** Status codes that the URL answers with. OpenAI sends again what is not answered by 2xx, for up to 72 hours. */
const ACCEPTED = 202;
const UNAUTHORIZED = 401;
const METHOD_NOT_ALLOWED = 405;
const TOO_LARGE = 413;

/** Ours: more is not checked for its signature. OpenAI's events have less than 1 KB (observed contract, 2026-11-21). */
const MAX_BODY_CHARS = 64 * 1024;

/** Ours, and wider than OpenAI's: ids of other characters are refused, because they become keys of records and parts of URLs. */
const ID = /^[\w-]{1,128}$/;

/**
 * Answers one request.
 * @returns the HTTP status.
 * @throws if a secret could not be read or the message could not be sent: then OpenAI has to send it again.
 */
export async function receiveWebhook(
  deps: WebhookDeps,
  request: WebhookRequest & { method: string },
): Promise<number> {
  const { rules, telemetry } = deps;
  const refuse = (status: number, reason: string): number => {
    telemetry.record('webhook.refused', { status, reason });
    return status;
  };
  if (request.method !== 'POST') return refuse(METHOD_NOT_ALLOWED, 'method');
  if (request.body.length > MAX_BODY_CHARS) return refuse(TOO_LARGE, 'too_large');
  if (!rules.isSigned(request)) return refuse(UNAUTHORIZED, 'unsigned');
  const proof = await proofOf(deps, request);
  if ('refused' in proof) return refuse(UNAUTHORIZED, proof.refused);
  const event = readEvent(rules, request);
  if (event === undefined) return refuse(UNAUTHORIZED, 'unreadable');
  const { apiKey } = proof;
  const { webhookId, objectId } = event;
  const type = WEBHOOK_EVENTS.find((known) => known === event.type);
  if (type === undefined) {
    // A person chose more events than are used, or OpenAI has a new one.
    telemetry.record('webhook.ignored', { webhookId, type: serviceCode(event.type), apiKey });
    return ACCEPTED;
  }
  const receivedAt = deps.ambient.now();
  const message: ObserveMessage = { v: 1, webhookId, type, objectId, apiKey, receivedAt };
  await deps.outbox.observe(message);
  telemetry.record('webhook.received', { webhookId, type, objectId, apiKey });
  return ACCEPTED;
}

/** Whose secret the request is signed with. */
async function proofOf(
  deps: WebhookDeps,
  request: WebhookRequest,
): Promise<{ apiKey: string } | { refused: string }> {
  const { rules, secrets, telemetry } = deps;
  const failures: unknown[] = [];
  const unset: string[] = [];
  for (const apiKey of deps.apiKeys) {
    let known: readonly string[];
    try {
      known = await secrets.read(apiKey);
    } catch (error) {
      // It may be that of another project.
      failures.push(error);
      continue;
    }
    if (known.length === 0) unset.push(apiKey);
    const proof = await check(rules, request, known);
    if (proof === 'verified') return { apiKey };
    // Its time is not signed for one project only.
    if (proof !== 'forged') return { refused: proof };
  }
  // A secret may have been set since it was read.
  for (const apiKey of deps.apiKeys) {
    const known = await secrets.readAgain(apiKey);
    if (known !== undefined && (await check(rules, request, known)) === 'verified') return { apiKey };
  }
  if (failures.length > 0) throw failures[0];
  for (const apiKey of unset) telemetry.record('secret.missed', { apiKey });
  return { refused: unset.length === deps.apiKeys.length ? 'secret_unset' : 'forged' };
}

async function check(
  rules: WebhookRules,
  request: WebhookRequest,
  secrets: readonly string[],
): Promise<WebhookProof> {
  for (const secret of secrets) {
    const proof = await rules.verify(request, secret);
    if (proof !== 'forged') return proof;
  }
  return 'forged';
}

/** What a verified event names; `undefined` if that is not in it. */
function readEvent(rules: WebhookRules, request: WebhookRequest): WebhookEvent | undefined {
  const event = rules.read(request);
  return event !== undefined && ID.test(event.webhookId) && ID.test(event.objectId) ? event : undefined;
}
