import { createReadStream } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { finished, pipeline } from 'node:stream/promises';
import { ApiError, errorObject } from './api-error.ts';
import { DEFAULT_SHAPES, DEFAULT_TIMINGS, type Shapes, type Timings } from './batch-lifecycle.ts';
import { type BatchLimits, createBatches, ORGANIZATION } from './batches.ts';
import { type Clock, scaledClock } from './clock.ts';
import { createFaults, type EffectOf, type FaultRule, readFaultsFile } from './faults.ts';
import { createFiles, type FileLimits } from './files.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { checkKey, findRoute, headerOf, type Reply, type RouteDeps } from './routes.ts';
import { openStore } from './store.ts';
import { createUploads } from './uploads.ts';
import type { UpstreamOptions } from './upstream.ts';

export { virtualClock } from './clock.ts';
export type { FaultRule } from './faults.ts';

/** Bounds that the emulator applies; each has the real value or a generous one as default. */
type Limits = FileLimits & BatchLimits;

/** See `Limits`. */
const DEFAULT_LIMITS: Limits = {
  fileBytes: 536_870_912,
  batchFileBytes: 200_000_000,
  requestsPerBatch: 50_000,
  embeddingInputs: 50_000,
  errorsReported: 100,
  // The highest published queue limit (openai-batch.md section 4, tier 5).
  enqueuedTokens: 15_000_000_000,
};

/** How to start an emulator. */
export type EmulatorOptions = {
  /** 0, the default, lets the system choose. */
  port?: number;
  /** Where state is kept; made when absent. Starting again on the same folder continues. */
  dir: string;
  /** A virtual clock, or real time times `scale`. Default `{ scale: 1 }`. */
  clock?: Clock | { scale: number };
  /** What ids, shuffles and shares are derived from. Default "batchdrop". */
  seed?: string | number;
  /** Fault rules, or the path of a faults file. Default none. */
  faults?: readonly FaultRule[] | string;
  limits?: Partial<Limits>;
  timings?: Partial<Timings>;
  /** Which of several observed shapes a terminal batch has. */
  shapes?: Partial<Shapes>;
  /** Where answers come from instead of being emulated: a base URL, or more. */
  upstream?: string | UpstreamOptions;
  /** The keys that are accepted; default any that is not empty. */
  apiKeys?: readonly string[];
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
  /** Replaces the fault rules. @throws ZodError naming what is wrong */
  setFaults(rules: readonly FaultRule[]): void;
  /** Stops the server; state stays in `dir`. */
  close(): Promise<void>;
};

/** How often an emulator with an upstream looks at its clock by itself, in real ms. */
const UPSTREAM_TICK_MS = 250;

/**
 * Starts an HTTP server on 127.0.0.1 that the `openai` client takes for OpenAI's Files, Uploads and Batch APIs.
 * @throws when the port is taken, the journal is damaged or a fault rule is not understood
 */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const seed = String(options.seed ?? 'batchdrop');
  const store = openStore(options.dir, seed);
  const clock = clockOf(options.clock, store.lastSeenMs);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const upstream = typeof options.upstream === 'string' ? { baseURL: options.upstream } : options.upstream;
  const rules = typeof options.faults === 'string' ? readFaultsFile(options.faults) : (options.faults ?? []);
  const faults = createFaults(rules, seed, store.faultCounts, (counter, count) =>
    store.save(clock.now(), { type: 'fault', counter, count }),
  );
  const files = createFiles(store, clock, limits);
  const batches = createBatches({
    store,
    clock,
    seed,
    limits,
    faults,
    upstream,
    timings: { ...DEFAULT_TIMINGS, ...options.timings },
    shapes: { ...DEFAULT_SHAPES, ...options.shapes },
  });
  const ledger = createLedger(store, batches.settle);
  const deps: RouteDeps = {
    store,
    clock,
    seed,
    faults,
    upstream,
    files,
    batches,
    ledger,
    uploads: createUploads(store, clock, files),
    refuseChunkedUploads: options.refuseChunkedUploads ?? false,
  };

  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    serve(request, response, deps, options.apiKeys).catch((error) => {
      // A client that went away is not news; anything else must not pass for an answer.
      if (!request.destroyed && !response.destroyed) console.error(error);
      response.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  // Answers from an upstream take real time, so batches must start without waiting for a client to look.
  const ticker =
    upstream === undefined ? undefined : setInterval(() => void batches.settle(), UPSTREAM_TICK_MS);
  ticker?.unref();
  return {
    endpoint: `http://127.0.0.1:${port}/v1`,
    port,
    clock,
    ledger,
    setFaults: faults.replace,
    close: async () => {
      clearInterval(ticker);
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      await batches.close();
      // Time may have passed since the last change: a restart continues from here.
      store.save(clock.now());
      store.close();
    },
  };
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
  apiKeys: readonly string[] | undefined,
): Promise<void> {
  const method = request.method ?? 'GET';
  const url = new URL(request.url ?? '/', 'http://emulator');
  const path = url.pathname.length > 1 ? url.pathname.replace(/\/$/, '') : url.pathname;
  const requestId = deps.store.ids.httpRequest();
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  response.setHeader('x-request-id', requestId);
  response.setHeader('openai-organization', ORGANIZATION);
  response.setHeader('openai-version', '2020-10-01');
  response.setHeader('openai-processing-ms', '1');

  const [fault] = path.startsWith('/v1/') ? deps.faults.fire('http', subjectOf(method, path, deps), 1) : [];
  if (fault?.kind === 'http.reset' && fault.when === 'before') return resetConnection(request);
  if (fault?.kind === 'http.hang') return void request.resume();
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
      if (path.startsWith('/v1')) checkKey(headerOf(request, 'authorization'), apiKeys);
      const { handler, ids } = findRoute(method, path);
      reply = await handler({ request, requestId, signal: gone.signal, query: url.searchParams, ids }, deps);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // What the client is still sending is read and dropped, so that it sees the refusal and not a reset.
      request.resume();
      reply = { kind: 'json', status: error.status, body: error.body };
    }
  }
  if (fault?.kind === 'http.reset') return resetConnection(request);
  await write(response, reply, fault);
}

/** What HTTP fault rules can match: the route, and the batch it names. */
function subjectOf(method: string, path: string, deps: RouteDeps) {
  const batchId = /^\/v1\/batches\/([^/]+)/.exec(path)?.[1];
  const batch = batchId === undefined ? undefined : deps.store.batches.get(batchId);
  return {
    route: `${method} ${path}`,
    ...(batch === undefined
      ? {}
      : { batch: batch.ordinal, endpoint: batch.endpoint, metadata: batch.metadata, model: batch.model }),
  };
}

function resetConnection(request: IncomingMessage): void {
  request.socket.resetAndDestroy();
}

async function write(
  response: ServerResponse,
  reply: Reply,
  fault: EffectOf<'http'> | undefined,
): Promise<void> {
  if (reply.kind === 'lines') {
    response.writeHead(200, { 'content-type': 'application/jsonl' });
    return pipeline(reply.lines, response);
  }
  const keep = fault?.kind === 'http.truncate' ? fault.keep_bytes : undefined;
  if (reply.kind === 'json') {
    const body = Buffer.from(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body));
    if (!response.hasHeader('content-type')) response.setHeader('content-type', 'application/json');
    response.writeHead(reply.status, { 'content-length': body.length });
    return keep === undefined || keep >= body.length
      ? void response.end(body)
      : void response.write(body.subarray(0, keep), () => response.destroy());
  }
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-disposition': `attachment; filename="${encodeURIComponent(reply.filename)}"`,
    'content-length': reply.bytes,
  });
  if (keep === undefined || keep >= reply.bytes) {
    return reply.bytes === 0 ? void response.end() : pipeline(createReadStream(reply.path), response);
  }
  if (keep > 0) await pipeline(createReadStream(reply.path, { end: keep - 1 }), response, { end: false });
  await new Promise<void>((resolve) => response.write('', () => resolve()));
  response.destroy();
}
