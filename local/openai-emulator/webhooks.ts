import { createHmac } from 'node:crypto';
import { type Clock, unixSeconds } from './clock.ts';
import type { EffectOf } from './effects.ts';
import type { Faults, Subject } from './faults.ts';
import { hexOf } from './ids.ts';
import type { DeliveryRecord, Store, WebhookEndpointRecord } from './store.ts';

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

/** An endpoint of a script, or one that a call made. */
export type WebhookTarget = {
  /** Names it in deliveries: its id, or the URL of a script. */
  key: string;
  url: string;
  /** All that are valid, each of which signs. */
  secrets: readonly string[];
  /** Undefined: all. */
  project: string | undefined;
  /** Undefined: all. */
  events: readonly string[] | undefined;
  timestamps: 'machine' | 'clock';
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
  /** Starts what is due at the clock's present in its order; what is not answered by 2xx is tried again later. */
  deliverDue(): Promise<void>;
  /** Sends an event about nothing, at once and once. @returns the status of the answer, undefined when there was none */
  sendSample(target: WebhookTarget, event: string): Promise<number | undefined>;
  /** Whether there is anywhere to send to. */
  hasTargets(): boolean;
  /** Breaks off what is being sent: it comes again after a restart. */
  close(): Promise<void>;
};

/** "Within seconds" is all that is documented; inferred. */
const ANSWER_WITHIN_MS = 10_000;
/** Exponential up to 72 hours is documented; its first step and its longest are inferred. */
const FIRST_RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 3_600_000;
const RETRIED_FOR_MS = 72 * 3_600_000;
/** Deliveries under way at a time: inferred. */
const AT_A_TIME = 16;

/** @param endpoints read at each use, so that a script can replace them */
export function createWebhooks(
  store: Store,
  clock: Clock,
  faults: Faults,
  endpoints: () => readonly WebhookEndpoint[],
): Webhooks {
  let turn: Promise<void> = Promise.resolve();
  const stop = new AbortController();

  const targets = (): WebhookTarget[] => [
    ...endpoints().map(({ url, secret, project, events, timestamps = 'machine' }) => ({
      key: url,
      url,
      secrets: [secret],
      project,
      events,
      timestamps,
    })),
    ...[...store.webhookEndpoints.values()].map((record) => targetOf(record, clock.now())),
  ];
  const deliver = async (delivery: DeliveryRecord): Promise<void> => {
    const target = targets().find(({ key }) => key === delivery.target);
    const status = target === undefined ? undefined : await send(delivery, target, clock, stop.signal);
    if (stop.signal.aborted) return;
    const isOver = target === undefined || (status !== undefined && status >= 200 && status < 300);
    const waitMs = Math.min(FIRST_RETRY_MS * 2 ** delivery.attempts, LONGEST_RETRY_MS);
    const dueAtMs = clock.now() + waitMs;
    store.save(
      clock.now(),
      isOver || dueAtMs > delivery.createdAtMs + RETRIED_FOR_MS
        ? { type: 'delivery_over', id: delivery.id }
        : { type: 'delivery', record: { ...delivery, attempts: delivery.attempts + 1, dueAtMs } },
    );
  };
  const deliverAll = async (): Promise<void> => {
    for (;;) {
      const now = clock.now();
      const due = [...store.deliveries.values()]
        .filter(({ dueAtMs }) => dueAtMs <= now)
        .sort((a, b) => a.dueAtMs - b.dueAtMs);
      if (due.length === 0 || stop.signal.aborted) return;
      await Promise.all(due.slice(0, AT_A_TIME).map(deliver));
    }
  };

  return {
    plan: (ended, atMs) => {
      const { event, facts } = ended;
      return targets()
        .filter(
          ({ project = ended.project, events = [event] }) =>
            project === ended.project && events.includes(event),
        )
        .flatMap(({ key }) => {
          const effects = faults.fire('webhook', { ...facts, event, atMs });
          return deliveriesOf(ended, key, { atMs, effects });
        });
    },
    sendSample: (target, event) => {
      // An id that nobody made: what the real sample names is not known.
      const id = `${event.startsWith('batch.') ? 'batch' : 'resp'}_${hexOf(48, target.key, clock.now())}`;
      const ended = { id, project: '', event, facts: {} };
      const [delivery] = deliveriesOf(ended, target.key, { atMs: clock.now(), effects: [] });
      return send(delivery!, target, clock, stop.signal);
    },
    hasTargets: () => endpoints().length > 0 || store.webhookEndpoints.size > 0,
    close: () => {
      stop.abort();
      return turn;
    },
    deliverDue: () => {
      turn = turn.then(deliverAll);
      return turn;
    },
  };
}

/** The target that a call made, with the secrets that are valid at a moment. */
export const targetOf = (record: WebhookEndpointRecord, nowMs: number): WebhookTarget => ({
  key: record.id,
  url: record.url,
  secrets: record.secrets
    .filter(({ untilMs }) => untilMs === null || nowMs < untilMs)
    .map(({ secret }) => secret),
  project: record.project,
  events: record.eventTypes,
  timestamps: 'machine',
});

/** The deliveries of one event to one target: as often, as late and as signed as the faults say. */
function deliveriesOf(
  ended: Ended,
  target: string,
  { atMs, effects }: { atMs: number; effects: readonly EffectOf<'webhook'>[] },
): DeliveryRecord[] {
  const { id, event } = ended;
  const name = hexOf(32, id, event, target);
  const sum = (kind: 'webhook.delay' | 'webhook.old_timestamp') =>
    effects.reduce((seconds, effect) => (effect.kind === kind ? seconds + effect.seconds : seconds), 0);
  const first: DeliveryRecord = {
    id: `${name}-0`,
    webhookId: `wh_${name}`,
    target,
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
      return deliveriesOf(other, target, { atMs, effects: [] });
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

/** The status that it was answered by; undefined when it was not. */
async function send(
  delivery: DeliveryRecord,
  target: WebhookTarget,
  clock: Clock,
  stop: AbortSignal,
): Promise<number | undefined> {
  const nowMs = target.timestamps === 'clock' ? clock.now() : Date.now();
  const timestamp = String(unixSeconds(nowMs) - delivery.agedSeconds);
  const signed = `${delivery.webhookId}.${timestamp}.${delivery.body}`;
  const secrets = delivery.isForged ? ['another secret'] : target.secrets;
  // Signatures of all valid secrets, separated by spaces (Standard Webhooks; read so by openai 7.59.0).
  const signatures = secrets.map((secret) => signatureOf(secret, signed)).join(' ');
  try {
    const response = await fetch(target.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)',
        'webhook-id': delivery.webhookId,
        'webhook-timestamp': timestamp,
        'webhook-signature': signatures,
      },
      body: delivery.body,
      redirect: 'manual',
      signal: AbortSignal.any([stop, AbortSignal.timeout(ANSWER_WITHIN_MS)]),
    });
    await response.body?.cancel();
    return response.status;
  } catch {
    return undefined;
  }
}

/** As openai 7.59.0 checks it (lib/webhook-signature.ts). */
function signatureOf(secret: string, signed: string): string {
  const key = secret.startsWith('whsec_')
    ? Buffer.from(secret.slice('whsec_'.length), 'base64')
    : Buffer.from(secret);
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
}
