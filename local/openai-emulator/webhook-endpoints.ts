import { invalidType, invalidValue, missingParameter, refusal } from './api-error.ts';
import { type Clock, unixSeconds } from './clock.ts';
import type { Body } from './exchange.ts';
import { pageOf } from './files.ts';
import type { Store, WebhookEndpointRecord } from './store.ts';
import { targetOf, type Webhooks } from './webhooks.ts';

/** The event types that an endpoint can ask for (openai 7.59.0, resources/webhooks/webhooks.ts). */
export const EVENT_TYPES: readonly string[] = `
  batch.completed batch.failed batch.expired batch.cancelled
  response.completed response.failed response.cancelled response.incomplete
  eval.run.succeeded eval.run.failed eval.run.canceled
  fine_tuning.job.succeeded fine_tuning.job.failed fine_tuning.job.cancelled
  realtime.call.incoming video.completed video.failed
  agent.environment.ready agent.environment.failed agent.environment.suspended agent.environment.expired
  agent.session.created agent.session.action_required agent.session.in_progress agent.session.idle
  agent.session.failed safety.alert.created`
  .trim()
  .split(/\s+/);

/** How long the secret before stays valid when it is asked for (openai 7.59.0, WebhookRotateSecretParams). */
const OLD_SECRET_MS = 24 * 3_600_000;

/** The webhook endpoints of projects, as calls manage them. Errors are ApiErrors, whose wording is not known. */
export type WebhookEndpoints = {
  create(body: Body, project: string): Body;
  retrieve(id: string, project: string): Body;
  update(id: string, body: Body, project: string): Body;
  /** Newest first. */
  list(query: URLSearchParams, project: string): Body;
  remove(id: string, project: string): Body;
  rotateSecret(id: string, body: Body, project: string): Body;
  /** Sends a sample event, and tells what was answered. */
  test(id: string, body: Body, project: string): Promise<Body>;
};

/** The API of webhook endpoints over the store. */
export function createWebhookEndpoints(
  store: Store,
  clock: Clock,
  webhooks: Pick<Webhooks, 'sendSample'>,
): WebhookEndpoints {
  const find = (id: string, project: string): WebhookEndpointRecord => {
    const record = store.webhookEndpoints.get(id);
    if (record?.project === project) return record;
    throw refusal(404, `No webhook endpoint found with id '${id}'`);
  };
  const save = (record: WebhookEndpointRecord) =>
    store.save(clock.now(), { type: 'webhook_endpoint', record });
  return {
    create: (body, project) => {
      const now = clock.now();
      const record: WebhookEndpointRecord = {
        ...checked(body, ['name', 'url', 'event_types']),
        id: store.ids.webhookEndpoint(),
        project,
        secrets: [{ secret: store.ids.webhookSecret(), untilMs: null }],
        createdAtMs: now,
        updatedAtMs: now,
      };
      save(record);
      return withSecret(record);
    },
    retrieve: (id, project) => endpointObject(find(id, project)),
    update: (id, body, project) => {
      const before = find(id, project);
      const { name, url, event_types } = body;
      const asked = { name: before.name, url: before.url, event_types: before.eventTypes };
      const given = Object.entries({ name, url, event_types }).filter(([, value]) => value !== undefined);
      const next = checked({ ...asked, ...Object.fromEntries(given) }, []);
      // "Tests and unchanged updates do not advance it" (openai 7.59.0).
      const isSame = JSON.stringify(next) === JSON.stringify(checked(asked, []));
      const record = { ...before, ...next, updatedAtMs: isSame ? before.updatedAtMs : clock.now() };
      save(record);
      return endpointObject(record);
    },
    list: (query, project) => {
      const all = [...store.webhookEndpoints.values()].filter((record) => record.project === project);
      const limit = Number(query.get('limit') ?? 20);
      return pageOf(all.reverse(), { after: query.get('after'), limit, fault: undefined }, endpointObject);
    },
    remove: (id, project) => {
      find(id, project);
      store.save(clock.now(), { type: 'webhook_endpoint_deleted', id });
      return { id, object: 'webhook_endpoint.deleted', deleted: true };
    },
    rotateSecret: (id, body, project) => {
      const before = find(id, project);
      const keeps = body.keep_old_secret_active_for_24_hours ?? false;
      if (typeof keeps !== 'boolean')
        throw invalidType('keep_old_secret_active_for_24_hours', 'a boolean', keeps);
      const now = clock.now();
      const old = keeps ? [{ secret: before.secrets[0]!.secret, untilMs: now + OLD_SECRET_MS }] : [];
      const secrets = [{ secret: store.ids.webhookSecret(), untilMs: null }, ...old];
      const record = { ...before, secrets, updatedAtMs: now };
      save(record);
      return withSecret(record);
    },
    test: async (id, body, project) => {
      const record = find(id, project);
      const [event] = eventTypesOf([body.event_type], 'event_type');
      const status = await webhooks.sendSample(targetOf(record, clock.now()), event!);
      // "Always true for returned results": what is answered for an endpoint that does not answer is not known.
      if (status === undefined) throw refusal(400, `The webhook endpoint '${record.url}' did not answer.`);
      return {
        event_type: event,
        object: 'webhook_endpoint.test',
        status_code: status,
        success: true,
        webhook_endpoint_id: id,
      };
    },
  };
}

/** @throws ApiError 400 */
function checked(
  body: Body,
  required: readonly string[],
): Pick<WebhookEndpointRecord, 'name' | 'url' | 'eventTypes'> {
  for (const name of required) {
    if (body[name] === undefined || body[name] === null) throw missingParameter(name);
  }
  const { name, url, event_types } = body;
  if (typeof name !== 'string') throw invalidType('name', 'a string', name);
  if (typeof url !== 'string') throw invalidType('url', 'a string', url);
  if (!isReceiver(url)) {
    throw refusal(400, `Invalid 'url': expected an HTTPS URL, got '${url}'.`, {
      param: 'url',
      code: 'invalid_value',
    });
  }
  if (!Array.isArray(event_types)) throw invalidType('event_types', 'an array of strings', event_types);
  return { name, url, eventTypes: eventTypesOf(event_types, 'event_types') };
}

/** HTTPS, as the real service asks; also plain HTTP on this machine, which it could not reach. */
function isReceiver(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return (
    protocol === 'https:' || (protocol === 'http:' && /^(?:127\.0\.0\.1|localhost|\[::1\])$/.test(hostname))
  );
}

/** @throws ApiError 400 */
function eventTypesOf(types: readonly unknown[], param: string): string[] {
  if (types.length === 0)
    throw refusal(400, `Invalid '${param}': empty array.`, { param, code: 'empty_array' });
  return types.map((type) => {
    if (typeof type !== 'string') throw invalidType(param, 'a string', type);
    if (!EVENT_TYPES.includes(type)) throw invalidValue(param, type, EVENT_TYPES);
    return type;
  });
}

const endpointObject = (record: WebhookEndpointRecord): Body => ({
  id: record.id,
  object: 'webhook_endpoint',
  created_at: unixSeconds(record.createdAtMs),
  event_types: record.eventTypes,
  name: record.name,
  // How it is masked is not known.
  signing_secret_hint: `whsec_***${record.secrets[0]!.secret.slice(-4)}`,
  updated_at: unixSeconds(record.updatedAtMs),
  url: record.url,
});

/** "Returned only when the endpoint is created or the secret is rotated" (openai 7.59.0). */
const withSecret = (record: WebhookEndpointRecord): Body => ({
  ...endpointObject(record),
  signing_secret: record.secrets[0]!.secret,
});
