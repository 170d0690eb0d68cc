import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { finished } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { ApiError, errorObject, refusal } from './api-error.ts';
import { type BackgroundSettings, DEFAULT_BACKGROUND } from './background-lifecycle.ts';
import { createBackgroundResponses } from './background-responses.ts';
import { ORGANIZATION } from './batch-errors.ts';
import { DEFAULT_SHAPES, DEFAULT_TIMINGS, type Shapes, type Timings } from './batch-lifecycle.ts';
import type { BatchLimits } from './batch-progress.ts';
import { createBatches } from './batches.ts';
import { type Clock, scaledClock } from './clock.ts';
import { createFaults, type FaultRule, type Faults } from './faults.ts';
import { createFiles, type FileLimits } from './files.ts';
import { patched } from './json-patch.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { createRateLimits, type RateLimits } from './rate-limits.ts';
import { type Check, type IsStrict, strictnessOf } from './request-checks.ts';
import {
  type ApiKeys,
  DEFAULT_PROJECT,
  findRoute,
  headerOf,
  keyOf,
  projectOf,
  type Reply,
  type RouteDeps,
} from './routes.ts';
import { checkScript, readScript, type Script } from './script.ts';
import { openStore, type Store } from './store.ts';
import { createUploads } from './uploads.ts';
import type { UpstreamOptions } from './upstream.ts';
import { createWebhookEndpoints } from './webhook-endpoints.ts';
import { createWebhooks, type WebhookEndpoint } from './webhooks.ts';
import { bytesOfBody, writeReply } from './write-reply.ts';

export { virtualClock } from './clock.ts';
export type { FaultRule } from './faults.ts';
export type { Script } from './script.ts';

/** Bounds that the emulator applies; each has the real value or a generous one as default. */
type Limits = FileLimits & BatchLimits & RateLimits;

/** See `Limits`. */
const DEFAULT_LIMITS: Limits = {
  fileBytes: 536_870_912,
  batchFileBytes: 200_000_000,
  requestsPerBatch: 50_000,
  embeddingInputs: 50_000,
  errorsReported: 100,
  // The highest published queue limit (tier 5).
  enqueuedTokens: 15_000_000_000,
  batchesPerHour: 2_000,
  fileUploadsPerMinute: 1_000,
  requestsPerMinute: 30_000,
  tokensPerMinute: 150_000_000,
};

/** How to start an emulator. */
export type EmulatorOptions = {
  /** 0, the default, lets the system choose. */
  port?: number | undefined;
  /** Where state is kept; made when absent. Starting again on the same folder continues. */
  dir: string;
  /** A virtual clock, or real time times `scale`. Default `{ scale: 1 }`. */
  clock?: Clock | { scale: number };
  /** What ids, shuffles and shares are derived from. Default "batchdrop". */
  seed?: string | number;
  /** Fault rules, a whole script, or the path of a faults file. Options beside it win. Default none. */
  faults?: readonly FaultRule[] | Script | string | undefined;
  limits?: Partial<Limits>;
  timings?: Partial<Timings>;
  /** Which of several observed shapes a terminal batch has. */
  shapes?: Partial<Shapes>;
  /** How background responses run and are billed. */
  background?: Partial<BackgroundSettings>;
  /** Where answers come from instead of being emulated: a base URL, or more. */
  upstream?: string | UpstreamOptions | undefined;
  /** The keys that are accepted, or the project of each; default any that is not empty, in one project. */
  apiKeys?: ApiKeys;
  /** Where the events of batches and background responses go; default nowhere. */
  webhooks?: readonly WebhookEndpoint[];
  /**
   * What OpenAI refuses and this emulator lets pass: all of `CHECKS` (request-checks.ts), or some of them. Default
   * false: nothing.
   */
  lenient?: boolean | readonly Check[] | undefined;
  /** Answer 400 to an upload without Content-Length. Default false. */
  refuseChunkedUploads?: boolean;
};

/** A running emulator. */
export type Emulator = {
  /** The base URL for a client: `http://127.0.0.1:PORT/v1`. */
  endpoint: string;
  port: number;
  clock: Clock;
  ledger: Ledger;
  /** Replaces the fault rules, or each part that the script has. @throws an error saying what is wrong where */
  setFaults(faults: readonly FaultRule[] | Script): void;
  /** Brings batches and responses up to the clock, and sends the webhooks that are due. It happens by itself every 250 ms. */
  deliverWebhooks(): Promise<void>;
  /** How often each route was called since this start, such as `GET /v1/responses/*`; refused calls count. */
  calls(): Record<string, number>;
  /** Stops the server; state stays in `dir`. */
  close(): Promise<void>;
};

/** How often a delayed answer looks at the clock, in real ms. */
const LOOK_AGAIN_MS = 2;

/** How often an emulator with an upstream or webhooks looks at its clock by itself, in real ms. */
const TICK_MS = 250;

/**
 * Starts an HTTP server on 127.0.0.1 that the `openai` client takes for OpenAI's Files, Uploads and Batch APIs.
 * @throws when the port is taken, the journal is damaged or a fault rule is not understood
 */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const seed = String(options.seed ?? 'batchdrop');
  const store = openStore(options.dir, seed);
  const clock = clockOf(options.clock, store.lastSeenMs);
  const upstream = typeof options.upstream === 'string' ? { baseURL: options.upstream } : options.upstream;
  const script =
    typeof options.faults === 'string' ? readScript(options.faults) : scriptOf(options.faults ?? []);
  const faults = storedFaults(script.rules ?? [], seed, store, clock);
  const behaviour = createBehaviour(options, faults);
  const { limits, timings, shapes, background, keys, endpoints, isStrict, follow } = behaviour;
  follow({ limits: {}, timings: {}, shapes: {}, background: {}, ...script });
  const webhooks = createWebhooks(store, clock, faults, endpoints);
  const files = createFiles({ store, clock, limits, timings, faults });
  const shared = { store, clock, seed, faults, upstream, isStrict };
  const batches = createBatches({ ...shared, limits, timings, shapes, webhooks });
  const responses = createBackgroundResponses({ ...shared, settings: background, webhooks });
  const settle = async () => {
    await batches.settle();
    await responses.settle();
  };
  const ledger = createLedger(store, settle);
  const calls = new Map<string, number>();
  const deps: RouteDeps = {
    ...shared,
    files,
    batches,
    responses,
    settle,
    ledger,
    webhooks,
    webhookEndpoints: createWebhookEndpoints(store, clock, webhooks),
    calls,
    takeTurn: createRateLimits(limits, clock),
    uploads: createUploads(store, clock, files),
    setFaults: (next) => follow(scriptOf(next)),
    refuseChunkedUploads: options.refuseChunkedUploads ?? false,
  };

  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    serve(request, response, deps, keys.accepted).catch((error) => refuseBroken(request, response, error));
  });
  const port = await listening(server, options.port ?? 0);
  const deliverWebhooks = async () => {
    await settle();
    await webhooks.deliverDue();
  };
  // Answers from an upstream take real time, and webhooks come unasked: neither waits for a client to look.
  const ticker = setInterval(() => {
    if (upstream !== undefined || webhooks.hasTargets()) void deliverWebhooks();
  }, TICK_MS);
  ticker.unref();
  return {
    endpoint: `http://127.0.0.1:${port}/v1`,
    port,
    clock,
    ledger,
    setFaults: deps.setFaults,
    deliverWebhooks,
    calls: () => Object.fromEntries(calls),
    close: async () => {
      clearInterval(ticker);
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      await batches.close();
      await responses.close();
      await webhooks.close();
      // Time may have passed since the last change: a restart continues from here.
      store.save(clock.now());
      store.close();
      ledger.close();
    },
  };
}

/** Fault rules whose counts and start are kept in the store. */
function storedFaults(rules: readonly FaultRule[], seed: string, store: Store, clock: Clock): Faults {
  if (store.startedAtMs() === undefined) store.save(clock.now(), { type: 'start', atMs: clock.now() });
  return createFaults(
    rules,
    seed,
    store.faultCounts,
    (counter, count) => store.save(clock.now(), { type: 'fault', counter, count }),
    (atMs = clock.now()) => (atMs - store.startedAtMs()!) / 1000,
  );
}

/** The port that a server then listens on. */
async function listening(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}

/**
 * What the emulator goes by: its options and the last script. Replaced part by part, in place: readers see what holds
 * now.
 */
function createBehaviour(options: EmulatorOptions, faults: Pick<Faults, 'replace'>) {
  const limits = { ...DEFAULT_LIMITS };
  const timings = { ...DEFAULT_TIMINGS };
  const shapes = { ...DEFAULT_SHAPES };
  const background = { ...DEFAULT_BACKGROUND };
  const keys: { accepted: ApiKeys } = { accepted: options.apiKeys };
  let endpoints = options.webhooks ?? [];
  let isStrictNow = strictnessOf(options.lenient ?? false);
  const isStrict: IsStrict = (check) => isStrictNow(check);
  const follow = (next: Script) => {
    if (next.limits !== undefined) Object.assign(limits, DEFAULT_LIMITS, next.limits, options.limits);
    if (next.timings !== undefined) Object.assign(timings, DEFAULT_TIMINGS, next.timings, options.timings);
    if (next.shapes !== undefined) Object.assign(shapes, DEFAULT_SHAPES, next.shapes, options.shapes);
    if (next.background !== undefined)
      Object.assign(background, DEFAULT_BACKGROUND, next.background, options.background);
    if (next.apiKeys !== undefined) keys.accepted = next.apiKeys;
    if (next.webhooks !== undefined) endpoints = next.webhooks;
    if (next.lenient !== undefined) isStrictNow = strictnessOf(options.lenient ?? next.lenient);
    if (next.rules !== undefined) faults.replace(next.rules);
  };
  return { limits, timings, shapes, background, keys, endpoints: () => endpoints, isStrict, follow };
}

/** @throws an error saying what is wrong where */
function scriptOf(faults: readonly FaultRule[] | Script): Script {
  return checkScript(Array.isArray(faults) ? { rules: faults } : faults);
}

function clockOf(asked: EmulatorOptions['clock'], lastSeenMs: number): Clock {
  if (asked !== undefined && 'now' in asked) return asked;
  // Virtual time may have run ahead of real time before a restart, and must not go back.
  return scaledClock(asked?.scale ?? 1, Math.max(Date.now(), lastSeenMs));
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  deps: RouteDeps,
  apiKeys: ApiKeys,
): Promise<void> {
  const method = request.method ?? 'GET';
  const url = new URL(request.url ?? '/', 'http://emulator');
  const path = url.pathname.length > 1 ? url.pathname.replace(/\/$/, '') : url.pathname;
  const found = findRoute(method, path);
  if (found !== undefined) deps.calls.set(found.route, (deps.calls.get(found.route) ?? 0) + 1);
  const requestId = deps.store.ids.httpRequest();
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  response.setHeader('x-request-id', requestId);
  response.setHeader('openai-organization', ORGANIZATION);
  response.setHeader('openai-version', '2020-10-01');
  response.setHeader('openai-processing-ms', '1');

  const [fault] = path.startsWith('/v1/')
    ? deps.faults.fire('http', subjectOf(request, method, path, deps), 1)
    : [];
  if (fault?.kind === 'http.reset' && fault.when === 'before') return resetConnection(request);
  if (fault?.kind === 'http.hang' && fault.when === 'before') return void request.resume();
  let reply: Reply;
  if (fault?.kind === 'http.status') {
    for (const [name, value] of Object.entries(fault.headers)) response.setHeader(name, value);
    if (fault.early) response.setHeader('connection', 'close');
    else await finished(request.resume());
    const body = fault.body ?? {
      error: errorObject(`Emulated fault: HTTP ${fault.status}.`, { type: 'server_error' }),
    };
    reply = { kind: 'json', status: fault.status, body };
  } else {
    try {
      const project = path.startsWith('/v1')
        ? projectOf(headerOf(request, 'authorization'), apiKeys)
        : DEFAULT_PROJECT;
      if (found === undefined) throw refusal(404, `Invalid URL (${method} ${path})`);
      reply = await found.handler(
        { request, requestId, signal: gone.signal, query: url.searchParams, project, ids: found.ids },
        deps,
      );
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // What the client is still sending is read and dropped, so that it sees the refusal and not a reset.
      request.resume();
      reply = { kind: 'json', status: error.status, body: error.body };
    }
  }
  const isReset = fault?.kind === 'http.reset' || (reply.kind === 'none' && reply.as === 'reset');
  if (isReset) return resetConnection(request);
  if (reply.kind === 'none' || (fault?.kind === 'http.hang' && fault.when === 'after')) return;
  if (fault?.kind === 'http.delay') await elapsed(deps.clock, fault.seconds * 1000, gone.signal);
  if (fault?.kind === 'http.patch' && reply.kind === 'json') {
    reply = { ...reply, body: patched(reply.body, fault.operations) };
  }
  await writeReply(response, reply, fault);
}

/** Answers 500 when something of the emulator's own went wrong, such as a full disk; a begun answer is cut off. */
function refuseBroken(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  // A client that went away is not news.
  if (response.destroyed || request.errored) return void response.destroy();
  console.error(error);
  if (response.headersSent) return void response.destroy();
  request.resume();
  const message = `The emulator failed: ${error instanceof Error ? error.message : String(error)}`;
  const body = bytesOfBody({ error: errorObject(message, { type: 'server_error' }) });
  response.writeHead(500, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

/** What HTTP fault rules can match: the route, and the response or batch that it names or whose file it names. */
function subjectOf(request: IncomingMessage, method: string, path: string, deps: RouteDeps) {
  const [, list, id] = /^\/v1\/(batches|files|responses)\/([^/]+)/.exec(path) ?? [];
  const origin = list === 'files' ? deps.store.files.get(id!)?.output : undefined;
  const batch = deps.store.batches.get(origin?.batchId ?? id ?? '');
  const response = list === 'responses' ? deps.store.responses.get(id!) : undefined;
  const customId = headerOf(request, 'x-client-request-id');
  return {
    route: `${method} ${path}`,
    custom_id: response?.customId ?? customId,
    ...(response === undefined
      ? {}
      : {
          response: response.ordinal,
          window: response.window,
          metadata: response.metadata,
          model: response.model,
        }),
    key: keyOf(headerOf(request, 'authorization')) ?? null,
    ...(origin === undefined ? {} : { file: origin.file }),
    ...(batch === undefined
      ? {}
      : { batch: batch.ordinal, endpoint: batch.endpoint, metadata: batch.metadata, model: batch.model }),
  };
}

function resetConnection(request: IncomingMessage): void {
  request.socket.resetAndDestroy();
}

/** Resolves when so much time has passed on the emulator's clock, or the signal aborts. */
async function elapsed(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  const untilMs = clock.now() + ms;
  while (clock.now() < untilMs && !signal.aborted) await setTimeout(LOOK_AGAIN_MS);
}
