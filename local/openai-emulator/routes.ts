import type { IncomingMessage } from 'node:http';
import { SYNC_ENDPOINTS } from './answers.ts';
import { ApiError, errorObject, invalidType, refusal } from './api-error.ts';
import { asksForBackground } from './background-checks.ts';
import type { BackgroundResponses } from './background-responses.ts';
import type { Batches } from './batches.ts';
import type { Clock } from './clock.ts';
import type { Body } from './exchange.ts';
import { type ExecutionDeps, execute } from './execution.ts';
import type { FaultRule, Faults } from './faults.ts';
import { type Files, fileObject, readableBytes } from './files.ts';
import { isObject, parseLine } from './json-lines.ts';
import { type LedgerBook, rateOfTier } from './ledger.ts';
import { servedModels } from './models.ts';
import type { Turn } from './rate-limits.ts';
import { lineOf, scriptedAnswer } from './result-lines.ts';
import type { Script } from './script.ts';
import type { Store } from './store.ts';
import { eventsOf, STREAMING_ENDPOINTS } from './streaming.ts';
import { inputTokens } from './tokens.ts';
import type { Uploads } from './uploads.ts';
import { EVENT_TYPES, type WebhookEndpoints } from './webhook-endpoints.ts';
import type { Webhooks } from './webhooks.ts';

/** What a handler gives back; the server writes it. */
export type Reply =
  | { kind: 'json'; status: number; body: unknown; headers?: Record<string, string> }
  | { kind: 'file'; path: string; bytes: number; filename: string }
  | { kind: 'lines'; lines: AsyncIterable<string> }
  /** No answer: the connection is reset, or hangs. */
  | { kind: 'none'; as: 'reset' | 'hang' };

/** What handlers work with. */
export type RouteDeps = ExecutionDeps & {
  store: Store;
  clock: Clock;
  faults: Faults;
  files: Files;
  uploads: Uploads;
  batches: Batches;
  responses: BackgroundResponses;
  /** Brings batches and responses up to the clock. */
  settle(): Promise<void>;
  ledger: LedgerBook;
  webhooks: Webhooks;
  webhookEndpoints: WebhookEndpoints;
  /** How often each route was called. */
  calls: Map<string, number>;
  /** Takes one synchronous call of so many tokens. */
  takeTurn(model: string, tokens: number): Turn;
  seed: string;
  refuseChunkedUploads: boolean;
  /** Replaces the rules, or each part that the script has. @throws an error saying what is wrong where */
  setFaults(faults: readonly FaultRule[] | Script): void;
};

/** One request as a handler sees it. */
type RouteCall = {
  request: IncomingMessage;
  requestId: string;
  /** Aborted when the client goes away. */
  signal: AbortSignal;
  query: URLSearchParams;
  /** The project of the caller's key. */
  project: string;
  /** What the stars of the pattern matched. */
  ids: string[];
};

type Handler = (call: RouteCall, deps: RouteDeps) => Promise<Reply>;

const json = (body: unknown, status = 200): Reply => ({ kind: 'json', status, body });

/** Bodies of JSON requests may be this big. */
const MAX_JSON_BYTES = 134_217_728;

/** Method and path, where a star matches one segment. */
const ROUTES: Readonly<Record<string, Handler>> = {
  'POST /v1/files': async ({ request, project }, { files, refuseChunkedUploads }) => {
    if (refuseChunkedUploads && request.headers['content-length'] === undefined) {
      throw refusal(400, 'Missing Content-Length header.');
    }
    return json(await files.create(request, project));
  },
  'GET /v1/files': async ({ query, project }, { files }) => json(files.list(query, project)),
  'GET /v1/files/*': async ({ ids, project }, { files, clock }) =>
    json(fileObject(files.find(ids[0]!, project), clock.now())),
  'DELETE /v1/files/*': async ({ ids, project }, { files }) => json(await files.remove(ids[0]!, project)),
  'GET /v1/files/*/content': async ({ ids, project }, { files, store, clock }) => {
    const file = files.find(ids[0]!, project);
    const bytes = readableBytes(file, clock.now());
    return { kind: 'file', path: store.filePath(file.id), bytes, filename: file.filename };
  },
  'POST /v1/uploads': async ({ request, project }, { uploads }) =>
    json(uploads.create(await jsonBody(request), project)),
  'POST /v1/uploads/*/parts': async ({ request, ids, project }, { uploads }) =>
    json(await uploads.addPart(ids[0]!, project, request)),
  'POST /v1/uploads/*/complete': async ({ request, ids, project }, { uploads }) =>
    json(await uploads.complete(ids[0]!, project, await jsonBody(request))),
  'POST /v1/uploads/*/cancel': async ({ ids, project }, { uploads }) =>
    json(await uploads.cancel(ids[0]!, project)),
  'POST /v1/batches': async ({ request, project }, { batches }) =>
    json(await batches.create(await jsonBody(request), project)),
  'GET /v1/batches': async ({ query, project }, { batches }) => json(await batches.list(query, project)),
  'GET /v1/batches/*': async ({ ids, project }, { batches }) =>
    json(await batches.retrieve(ids[0]!, project)),
  'POST /v1/batches/*/cancel': async ({ ids, project }, { batches }) =>
    json(await batches.cancel(ids[0]!, project)),
  'GET /v1/models': async (_, { clock }) => json({ object: 'list', data: servedModels(clock.now()) }),
  'GET /v1/models/*': async ({ ids }, { clock }) => {
    const model = servedModels(clock.now()).find(({ id }) => id === ids[0]);
    if (model !== undefined) return json(model);
    throw refusal(404, `The model '${ids[0]}' does not exist`, { param: 'model', code: 'model_not_found' });
  },
  ...Object.fromEntries(
    SYNC_ENDPOINTS.map((endpoint): [string, Handler] => [
      `POST ${endpoint}`,
      async (call, deps) => answerSync(endpoint, await jsonBody(call.request), call, deps),
    ]),
  ),
  'POST /v1/responses': async (call, deps) => {
    const body = await jsonBody(call.request);
    return asksForBackground(body)
      ? createInBackground(body, call, deps)
      : answerSync('/v1/responses', body, call, deps);
  },
  'GET /v1/responses/*': async ({ ids, project }, { responses }) =>
    json(await responses.retrieve(ids[0]!, project)),
  'POST /v1/responses/*/cancel': async ({ ids, project }, { responses }) =>
    json(await responses.cancel(ids[0]!, project)),
  'DELETE /v1/responses/*': async ({ ids, project }, { responses }) =>
    json(await responses.remove(ids[0]!, project)),
  'POST /v1/webhook_endpoints': async ({ request, project }, { webhookEndpoints }) =>
    json(webhookEndpoints.create(await jsonBody(request), project)),
  'GET /v1/webhook_endpoints': async ({ query, project }, { webhookEndpoints }) =>
    json(webhookEndpoints.list(query, project)),
  'GET /v1/webhook_endpoints/*': async ({ ids, project }, { webhookEndpoints }) =>
    json(webhookEndpoints.retrieve(ids[0]!, project)),
  'POST /v1/webhook_endpoints/*': async ({ request, ids, project }, { webhookEndpoints }) =>
    json(webhookEndpoints.update(ids[0]!, await jsonBody(request), project)),
  'DELETE /v1/webhook_endpoints/*': async ({ ids, project }, { webhookEndpoints }) =>
    json(webhookEndpoints.remove(ids[0]!, project)),
  'POST /v1/webhook_endpoints/*/rotate_secret': async ({ request, ids, project }, { webhookEndpoints }) =>
    json(webhookEndpoints.rotateSecret(ids[0]!, await jsonBody(request), project)),
  'POST /v1/webhook_endpoints/*/test': async ({ request, ids, project }, { webhookEndpoints }) =>
    json(await webhookEndpoints.test(ids[0]!, await jsonBody(request), project)),
  'GET /v1/webhook_event_types': async () => json({ object: 'list', data: EVENT_TYPES }),
  'GET /emulator/state': async (_, { store, clock, batches, calls, settle }) => {
    await settle();
    return json({
      now_ms: clock.now(),
      enqueued_tokens: batches.enqueuedTokens(),
      files: [...store.files.values()],
      uploads: [...store.uploads.values()],
      batches: [...store.batches.values()],
      responses: [...store.responses.values()].map(({ body: _body, answer: _answer, ...record }) => record),
      calls: Object.fromEntries(calls),
    });
  },
  'GET /emulator/ledger': async (_, { ledger }) => ({ kind: 'lines', lines: jsonLines(ledger.executions()) }),
  'POST /emulator/advance': async ({ request }, { clock, settle, webhooks }) => {
    const { ms } = await jsonBody(request);
    if (typeof ms !== 'number' || ms < 0) throw invalidType('ms', 'a number of 0 or more', ms);
    clock.advance(ms);
    await settle();
    await webhooks.deliverDue();
    return json({ now_ms: clock.now() });
  },
  'POST /emulator/faults': async ({ request }, { setFaults }) => {
    const script = await jsonBody(request);
    try {
      setFaults(script as Script);
    } catch (error) {
      throw refusal(400, `Invalid faults: ${(error as Error).message}`);
    }
    return json(script);
  },
};

async function* jsonLines(items: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const item of items) yield `${JSON.stringify(item)}\n`;
}

async function createInBackground(body: Body, call: RouteCall, deps: RouteDeps): Promise<Reply> {
  const turn = deps.takeTurn(String(body.model ?? ''), inputTokens(body));
  if (turn.refused !== undefined) {
    return { kind: 'json', status: 429, body: { error: turn.refused }, headers: turn.headers };
  }
  const customId = headerOf(call.request, 'x-client-request-id');
  const { shown, fault } = await deps.responses.create(body, call.project, customId);
  if (fault?.kind === 'response.lose_create') return { kind: 'none', as: fault.as };
  if (fault?.kind !== 'response.refuse') return { ...json(shown), headers: turn.headers } as Reply;
  const error = errorObject(`Emulated fault: HTTP ${fault.status}.`, { type: 'server_error' });
  return { kind: 'json', status: fault.status, body: fault.body ?? { error }, headers: fault.headers };
}

async function answerSync(endpoint: string, sent: Body, call: RouteCall, deps: RouteDeps): Promise<Reply> {
  const { body, stream } = splitStream(endpoint, sent);
  const model = typeof body.model === 'string' ? body.model : null;
  const customId = headerOf(call.request, 'x-client-request-id');
  const turn = deps.takeTurn(model ?? '', inputTokens(body));
  if (turn.refused !== undefined) {
    return { kind: 'json', status: 429, body: { error: turn.refused }, headers: turn.headers };
  }
  const executed = await execute(deps, {
    endpoint,
    body,
    subject: {
      custom_id: customId,
      model,
      endpoint,
      via: 'sync',
      tier: typeof body.service_tier === 'string' ? body.service_tier : null,
      route: `POST ${endpoint}`,
    },
    executionKey: call.requestId,
    nowMs: deps.clock.now(),
    signal: call.signal,
  });
  const { status, body: answered } = executed.answer;
  const isScripted = executed.effects.some(({ kind }) => kind === 'line.lines' || kind === 'line.patch');
  const shown = isScripted
    ? scriptedAnswer(lineOf(call.requestId, customId ?? '', executed), executed.effects)
    : executed.answer;
  const tier = typeof answered.service_tier === 'string' ? answered.service_tier : 'default';
  deps.ledger.addSync({
    custom_id: customId,
    batch_id: null,
    response_id: null,
    outcome: null,
    endpoint,
    model: typeof answered.model === 'string' ? answered.model : model,
    tier,
    rate: rateOfTier(tier),
    request_hash: executed.requestHash,
    at_ms: deps.clock.now(),
    status,
    usage: executed.usage,
    billed_tokens: executed.usage.input + executed.usage.output,
  });
  const isStream = stream !== undefined && shown.status === 200 && isObject(shown.body);
  return {
    kind: 'json',
    status: statusOnTheWire(shown),
    body: isStream ? eventsOf(endpoint, shown.body as Body, stream.includesUsage) : shown.body,
    headers: isStream
      ? { ...turn.headers, 'content-type': 'text/event-stream; charset=utf-8' }
      : turn.headers,
  };
}

/** What is asked for, and how it is to be streamed: that does not change the answer. @throws ApiError 400 */
function splitStream(
  endpoint: string,
  sent: Body,
): { body: Body; stream: { includesUsage: boolean } | undefined } {
  if (!STREAMING_ENDPOINTS.includes(endpoint)) return { body: sent, stream: undefined };
  const { stream, stream_options: options, ...body } = sent;
  if (stream === true) {
    return { body, stream: { includesUsage: isObject(options) && options.include_usage === true } };
  }
  if (options === undefined || options === null) return { body, stream: undefined };
  throw refusal(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", {
    param: 'stream_options',
  });
}

/** A synchronous call has no status 0; what a batch would show so is a 500. */
const statusOnTheWire = ({ status }: { status: number }) => (status === 0 ? 500 : status);

/** The body as a JSON object. @throws ApiError 400 */
async function jsonBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request.iterator({ destroyOnReturn: false })) {
    size += (piece as Buffer).length;
    if (size > MAX_JSON_BYTES) throw refusal(413, 'Request body is too large.');
    pieces.push(piece as Buffer);
  }
  const value = parseLine(Buffer.concat(pieces))?.value;
  if (!isObject(value)) {
    throw refusal(
      400,
      "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
    );
  }
  return value;
}

/** A header that was sent once. */
export function headerOf(request: IncomingMessage, name: string): string | null {
  const value = request.headers[name];
  return typeof value === 'string' ? value : null;
}

/** The route of a method and path, with its handler and what its stars match; undefined when there is none. */
export function findRoute(
  method: string,
  path: string,
): { route: string; handler: Handler; ids: string[] } | undefined {
  const segments = path.split('/');
  for (const [route, handler] of Object.entries(ROUTES)) {
    const [routeMethod, routePath] = route.split(' ') as [string, string];
    const pattern = routePath.split('/');
    if (routeMethod !== method || pattern.length !== segments.length) continue;
    if (!pattern.every((part, i) => part === '*' || part === segments[i])) continue;
    const ids = segments.filter((_, i) => pattern[i] === '*').map(decodeURIComponent);
    return { route, handler, ids };
  }
  return undefined;
}

/** The keys that are accepted: all in one project, or by project; any that is not empty when undefined. */
export type ApiKeys = readonly string[] | Readonly<Record<string, string>> | undefined;

/** The project of keys for which none is given. */
export const DEFAULT_PROJECT = 'proj_emulated';

/** The key that a request carries, or undefined. */
export const keyOf = (authorization: string | null): string | undefined =>
  /^Bearer\s+(\S+)$/.exec(authorization ?? '')?.[1];

/** The project of the key that a request carries. @throws ApiError 401 when it is not accepted */
export function projectOf(authorization: string | null, accepted: ApiKeys): string {
  const key = keyOf(authorization);
  if (key === undefined) {
    throw new ApiError(401, {
      error: {
        message:
          "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        type: 'invalid_request_error',
        param: null,
        code: null,
      },
    });
  }
  const isList = Array.isArray(accepted);
  const project =
    accepted === undefined || (isList && accepted.includes(key))
      ? DEFAULT_PROJECT
      : isList || !Object.hasOwn(accepted, key)
        ? undefined
        : (accepted as Readonly<Record<string, string>>)[key];
  if (project === undefined) {
    const masked = key.length <= 8 ? '********' : `${key.slice(0, 3)}${'*'.repeat(8)}${key.slice(-4)}`;
    throw refusal(
      401,
      `Incorrect API key provided: ${masked}. You can find your API key at https://platform.openai.com/account/api-keys.`,
      { code: 'invalid_api_key' },
    );
  }
  return project;
}
