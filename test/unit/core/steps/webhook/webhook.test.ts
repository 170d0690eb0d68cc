import { describe, expect, it } from 'vitest';
import { type ObserveMessage, observeMessageSchema } from '../../../../../src/contract/messages.ts';
import type { WebhookSecrets } from '../../../../../src/core/ports/webhooks.ts';
import { receiveWebhook } from '../../../../../src/core/steps/webhook/webhook.ts';
import { WEBHOOK_RULES } from '../../../../../src/providers/openai/webhooks.ts';
import { MemoryOutbox } from '../../../../support/memory/outbox.ts';
import { expectListedEvents, type SeenEvent, telemetryTo } from '../../../../support/telemetry.ts';
import { SIGNING_SECRET, type SignedWebhook, signedWebhook } from '../../../../support/webhooks.ts';

expectListedEvents(import.meta.filename);

const NOW = 1_790_000_000_000;
const OTHER_SECRET = 'whsec_b3RoZXIgcHJvamVjdA==';

/** @param secrets by the name of the API key; `Error`: it cannot be read. */
function receiver(secrets: Record<string, readonly string[] | Error>, newer = secrets) {
  const outbox = new MemoryOutbox();
  const events: SeenEvent[] = [];
  const reads = { first: 0, again: 0 };
  const given = (value: readonly string[] | Error) => {
    if (value instanceof Error) throw value;
    return value;
  };
  const store: WebhookSecrets = {
    read: async (apiKey) => {
      reads.first += 1;
      return given(secrets[apiKey]!);
    },
    readAgain: async (apiKey) => {
      reads.again += 1;
      return given(newer[apiKey]!);
    },
  };
  const deps = {
    apiKeys: Object.keys(secrets),
    secrets: store,
    rules: WEBHOOK_RULES,
    outbox,
    ambient: { now: () => NOW },
    telemetry: telemetryTo((event) => events.push(event)),
  };
  return {
    receive: (request: SignedWebhook) => receiveWebhook(deps, request),
    /** What was handed on. */
    sent: () => outbox.messages.map(({ message }) => message as ObserveMessage),
    /** Why requests were refused. */
    reasons: () => events.flatMap(({ name, fields }) => (name === 'webhook.refused' ? [fields.reason] : [])),
    names: () => events.map(({ name }) => name),
    reads,
  };
}

const projects = { default: [SIGNING_SECRET], 'team-a': [OTHER_SECRET] };

describe('a webhook that OpenAI sent', () => {
  it('is handed on with the API key of the project that signed it, and answered 202', async () => {
    const hook = receiver(projects);
    expect(await hook.receive(signedWebhook({ objectId: 'batch_7', webhookId: 'wh_7' }))).toBe(202);
    expect(await hook.receive(signedWebhook({ secret: OTHER_SECRET, type: 'response.failed' }))).toBe(202);
    const ofA = { v: 1, webhookId: 'wh_1', type: 'response.failed', objectId: 'batch_1', apiKey: 'team-a' };
    expect(hook.sent()).toEqual([
      {
        ...ofA,
        webhookId: 'wh_7',
        type: 'batch.completed',
        objectId: 'batch_7',
        apiKey: 'default',
        receivedAt: NOW,
      },
      { ...ofA, receivedAt: NOW },
    ]);
    for (const message of hook.sent()) expect(observeMessageSchema.parse(message)).toEqual(message);
    expect(hook.reads.again).toBe(0);
  });

  it('is accepted with the secret before and with the one after a rotation', async () => {
    const hook = receiver({ default: [OTHER_SECRET, SIGNING_SECRET] });
    expect(await hook.receive(signedWebhook())).toBe(202);
    expect(await hook.receive(signedWebhook({ secret: OTHER_SECRET }))).toBe(202);
    const both = signedWebhook();
    both.headers['webhook-signature'] += ` ${signedWebhook({ secret: 'gone' }).headers['webhook-signature']}`;
    expect(await hook.receive(both)).toBe(202);
    expect(hook.sent()).toHaveLength(3);
  });

  it('is accepted with a secret that was set since secrets were last read', async () => {
    const hook = receiver({ default: [OTHER_SECRET] }, { default: [SIGNING_SECRET, OTHER_SECRET] });
    expect(await hook.receive(signedWebhook())).toBe(202);
    expect(hook.reads).toEqual({ first: 1, again: 1 });
  });

  it('is accepted though the secret of another project cannot be read', async () => {
    const hook = receiver({ default: new Error('throttled'), 'team-a': [OTHER_SECRET] });
    expect(await hook.receive(signedWebhook({ secret: OTHER_SECRET }))).toBe(202);
  });

  it('is answered and left alone if its type is not one that is used', async () => {
    const hook = receiver(projects);
    expect(await hook.receive(signedWebhook({ type: 'safety.alert created"' }))).toBe(202);
    expect(hook.sent()).toEqual([]);
    expect(hook.names()).toEqual(['webhook.ignored']);
  });

  it('fails, so that OpenAI sends it again, if the secret that may prove it cannot be read', async () => {
    const hook = receiver({ default: new Error('throttled'), 'team-a': [OTHER_SECRET] }, projects);
    // Read again: it is there by now.
    expect(await hook.receive(signedWebhook())).toBe(202);
    await expect(receiver({ default: new Error('throttled') }).receive(signedWebhook())).rejects.toThrow(
      'throttled',
    );
  });
});

describe('what is refused', () => {
  const aged = (seconds: number) => signedWebhook({ timestamp: Math.floor(Date.now() / 1000) - seconds });
  const changed = (change: (request: SignedWebhook) => void) => {
    const request = signedWebhook();
    change(request);
    return request;
  };

  it.each<[what: string, request: () => SignedWebhook, reason: string, status: number]>([
    ['a signature with another secret', () => signedWebhook({ secret: 'whsec_Zm9yZ2Vk' }), 'forged', 401],
    [
      'a body that was changed',
      () => changed((r) => Object.assign(r, { body: r.body.replace('_1', '_2') })),
      'forged',
      401,
    ],
    ['one byte more', () => changed((r) => Object.assign(r, { body: `${r.body} ` })), 'forged', 401],
    [
      'another id than was signed',
      () => changed((r) => Object.assign(r.headers, { 'webhook-id': 'wh_2' })),
      'forged',
      401,
    ],
    [
      'a signature that is none',
      () => changed((r) => Object.assign(r.headers, { 'webhook-signature': 'v1,%%%' })),
      'forged',
      401,
    ],
    [
      'thousands of signatures',
      () => changed((r) => Object.assign(r.headers, { 'webhook-signature': 'v1,AAAA '.repeat(5_000) })),
      'forged',
      401,
    ],
    ['no signature', () => changed((r) => delete r.headers['webhook-signature']), 'unsigned', 401],
    [
      'an empty time',
      () => changed((r) => Object.assign(r.headers, { 'webhook-timestamp': '' })),
      'unsigned',
      401,
    ],
    ['no id', () => changed((r) => delete r.headers['webhook-id']), 'unsigned', 401],
    ['one sent again after more than five minutes', () => aged(302), 'too_old', 401],
    ['one from the future', () => aged(-302), 'too_new', 401],
    [
      'a new time on an old signature',
      () =>
        changed((r) =>
          Object.assign(r.headers, { 'webhook-timestamp': String(Math.floor(Date.now() / 1000) - 1) }),
        ),
      'forged',
      401,
    ],
    ['more than an event has', () => signedWebhook({ body: `"${'x'.repeat(65_536)}"` }), 'too_large', 413],
    ['a request that is no POST', () => changed((r) => Object.assign(r, { method: 'GET' })), 'method', 405],
    ['a signed body that is no JSON', () => signedWebhook({ body: 'hello' }), 'unreadable', 401],
    [
      'a signed body without an id',
      () => signedWebhook({ body: '{"type":"batch.completed","data":null}' }),
      'unreadable',
      401,
    ],
    [
      'a signed id that would lead to another URL',
      () => signedWebhook({ objectId: '../files/file-1' }),
      'unreadable',
      401,
    ],
    ['a signed webhook id that is no key', () => signedWebhook({ webhookId: 'wh 1' }), 'unreadable', 401],
  ])('%s', async (_what, request, reason, status) => {
    const hook = receiver(projects);
    expect(await hook.receive(request())).toBe(status);
    expect(hook.reasons()).toEqual([reason]);
    expect(hook.sent()).toEqual([]);
  });

  it('everything while no secret is set, and the event says for which API key', async () => {
    const hook = receiver({ default: [], 'team-a': [] });
    expect(await hook.receive(signedWebhook())).toBe(401);
    // Signed with an empty key, as if that were the secret.
    expect(await hook.receive(signedWebhook({ secret: '' }))).toBe(401);
    expect(hook.names().slice(0, 3)).toEqual(['secret.missed', 'secret.missed', 'webhook.refused']);
    expect(hook.reasons()).toEqual(['secret_unset', 'secret_unset']);
    expect(hook.sent()).toEqual([]);
  });

  it('what is signed for a project of which no secret is set', async () => {
    const hook = receiver({ default: [], 'team-a': [OTHER_SECRET] });
    expect(await hook.receive(signedWebhook())).toBe(401);
    expect(hook.reasons()).toEqual(['forged']);
    expect(hook.sent()).toEqual([]);
  });
});
