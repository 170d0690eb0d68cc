import { createHmac } from 'node:crypto';
import { type Clock, unixSeconds } from './clock.ts';
import type { EffectOf } from './effects.ts';
import type { Faults, Subject } from './faults.ts';
import { hexOf } from './ids.ts';
import type { DeliveryRecord, Store } from './store.ts';

/** Where the events of batches and background responses are sent. */
export type WebhookEndpoint = {
  url: string;
  /** `whsec_` and base64, or any text: the key of the signature. */
  secret: string;
  /** Only what is of this project; default all. */
  project?: string | undefined;
  /** Only these; default those of batches and responses. */
  events?: readonly string[] | undefined;
  /** Whose time is in `webhook-timestamp`: a receiver checks it against its own clock. Default `machine`. */
  timestamps?: 'machine' | 'clock' | undefined;
};

/** What has ended. */
export type Ended = {
  id: string;
  project: string;
  /** Such as `response.completed`. */
  event: string;
  /** What fault rules can match. */
  facts: Subject;
};

/** Events that OpenAI would send, signed as OpenAI signs (platform.openai.com/docs/guides/webhooks). */
export type Webhooks = {
  /** The deliveries that an end asks for, faults included; to be saved with it. */
  plan(ended: Ended, atMs: number): DeliveryRecord[];
  /** Sends what is due at the clock's present, in order; what is not answered by 2xx is tried again later. */
  deliverDue(): Promise<void>;
};

/** "Within seconds" is all that is documented; inferred. */
const ANSWER_WITHIN_MS = 10_000;
/** Exponential up to 72 hours is documented; its first step and its longest are inferred. */
const FIRST_RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 3_600_000;
const RETRIED_FOR_MS = 72 * 3_600_000;

/** @param endpoints read at each use, so that a script can replace them */
export function createWebhooks(
  store: Store,
  clock: Clock,
  faults: Faults,
  endpoints: () => readonly WebhookEndpoint[],
): Webhooks {
  let turn: Promise<void> = Promise.resolve();

  const deliverAll = async (): Promise<void> => {
    for (;;) {
      const now = clock.now();
      const next = [...store.deliveries.values()]
        .filter(({ dueAtMs }) => dueAtMs <= now)
        .sort((a, b) => a.dueAtMs - b.dueAtMs)[0];
      if (next === undefined) return;
      const endpoint = endpoints().find(({ url }) => url === next.url);
      const isOver = endpoint === undefined || (await send(next, endpoint, clock));
      const waitMs = Math.min(FIRST_RETRY_MS * 2 ** next.attempts, LONGEST_RETRY_MS);
      const dueAtMs = clock.now() + waitMs;
      store.save(
        clock.now(),
        isOver || dueAtMs > next.createdAtMs + RETRIED_FOR_MS
          ? { type: 'delivery_over', id: next.id }
          : { type: 'delivery', record: { ...next, attempts: next.attempts + 1, dueAtMs } },
      );
    }
  };

  return {
    plan: (ended, atMs) => {
      const { event, facts } = ended;
      return endpoints()
        .filter(
          ({ project = ended.project, events = [event] }) =>
            project === ended.project && events.includes(event),
        )
        .flatMap(({ url }) => {
          const effects = faults.fire('webhook', { ...facts, event, atMs });
          return deliveriesOf(ended, url, { atMs, effects });
        });
    },
    deliverDue: () => {
      turn = turn.then(deliverAll);
      return turn;
    },
  };
}

/** The deliveries of one event to one URL: as often, as late and as signed as the faults say. */
function deliveriesOf(
  ended: Ended,
  url: string,
  { atMs, effects }: { atMs: number; effects: readonly EffectOf<'webhook'>[] },
): DeliveryRecord[] {
  const { id, event } = ended;
  const name = hexOf(32, id, event, url);
  const sum = (kind: 'webhook.delay' | 'webhook.old_timestamp') =>
    effects.reduce((seconds, effect) => (effect.kind === kind ? seconds + effect.seconds : seconds), 0);
  const first: DeliveryRecord = {
    id: `${name}-0`,
    webhookId: `wh_${name}`,
    url,
    body: JSON.stringify({
      object: 'event',
      id: `evt_${name}`,
      type: event,
      created_at: unixSeconds(atMs),
      data: { id },
    }),
    createdAtMs: atMs,
    dueAtMs: atMs + sum('webhook.delay') * 1000,
    attempts: 0,
    agedSeconds: sum('webhook.old_timestamp'),
    isForged: effects.some(({ kind }) => kind === 'webhook.bad_signature'),
  };
  const foreign = effects
    .filter((effect) => effect.kind === 'webhook.foreign')
    .flatMap((effect, index) => {
      const other = { ...ended, id: effect.id ?? `${id.split('_')[0]}_${hexOf(48, name, index)}` };
      return deliveriesOf(other, url, { atMs, effects: [] });
    });
  if (effects.some(({ kind }) => kind === 'webhook.lose')) return foreign;
  const again = effects.filter((effect) => effect.kind === 'webhook.duplicate');
  const copies = again.map((effect, index) => ({
    ...first,
    id: `${name}-${index + 1}`,
    dueAtMs: first.dueAtMs + effect.after_seconds * 1000,
  }));
  return [first, ...copies, ...foreign];
}

/** Whether it was answered by 2xx. */
async function send(delivery: DeliveryRecord, endpoint: WebhookEndpoint, clock: Clock): Promise<boolean> {
  const nowMs = endpoint.timestamps === 'clock' ? clock.now() : Date.now();
  const timestamp = String(unixSeconds(nowMs) - delivery.agedSeconds);
  const signature = signatureOf(endpoint.secret, `${delivery.webhookId}.${timestamp}.${delivery.body}`);
  try {
    const response = await fetch(endpoint.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)',
        'webhook-id': delivery.webhookId,
        'webhook-timestamp': timestamp,
        'webhook-signature': delivery.isForged ? signatureOf('another secret', signature) : signature,
      },
      body: delivery.body,
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** As openai 7.55.0 checks it (lib/webhook-signature.ts). */
function signatureOf(secret: string, signed: string): string {
  const key = secret.startsWith('whsec_')
    ? Buffer.from(secret.slice('whsec_'.length), 'base64')
    : Buffer.from(secret);
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
}
