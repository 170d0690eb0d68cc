/**
 * The whole domain on memory adapters and the OpenAI emulator, with one virtual clock: a file goes in, the test plays
 * the queues and the schedule, result files come out.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import {
  type Emulator,
  type EmulatorOptions,
  startEmulator,
  virtualClock,
} from '../../local/openai-emulator/emulator.ts';
import { type ApiKeys, UnknownApiKey } from '../../src/adapters/api-key.ts';
import { DEFAULT_API_KEY } from '../../src/contract/api-key.ts';
import { layoutOf } from '../../src/contract/layout.ts';
import { type OperateInput, operateAnswerSchema } from '../../src/contract/operate.ts';
import { type Receipt, receiptSchema } from '../../src/contract/receipt.ts';
import { defaultSettings, type Settings } from '../../src/contract/settings.ts';
import { MINUTE_MS } from '../../src/contract/time.ts';
import { RecentIds } from '../../src/core/base/recent-ids.ts';
import { publishedKeys } from '../../src/core/files/keys.ts';
import type { BatchLimits } from '../../src/core/model/limits.ts';
import type { Deadline } from '../../src/core/ports/ambient.ts';
import type { BackgroundApi, BatchApi, BatchService, ByKey, CallApi } from '../../src/core/ports/provider.ts';
import type { ProviderRules } from '../../src/core/ports/provider-rules.ts';
import type { Telemetry } from '../../src/core/ports/telemetry.ts';
import { Prices } from '../../src/core/pricing/prices.ts';
import { routeOf } from '../../src/core/requests/route.ts';
import { call } from '../../src/core/steps/call/call.ts';
import { collect } from '../../src/core/steps/collect/collect.ts';
import { finalize } from '../../src/core/steps/finalize/finalize.ts';
import { ingest } from '../../src/core/steps/ingest/ingest.ts';
import { observe } from '../../src/core/steps/observe/observe.ts';
import { operate } from '../../src/core/steps/operate/operate.ts';
import { poll } from '../../src/core/steps/poll/poll.ts';
import { Sampler } from '../../src/core/steps/poll/sample.ts';
import { submit } from '../../src/core/steps/submit/submit.ts';
import { OpenAIBackground } from '../../src/providers/openai/background-api.ts';
import { OpenAIBatches } from '../../src/providers/openai/batch-api.ts';
import { OpenAICalls } from '../../src/providers/openai/call-api.ts';
import { OPENAI_PRICES } from '../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../src/providers/openai/rules.ts';
import { MemoryDropTurns } from './memory/drop-turns.ts';
import { MemoryGraves } from './memory/graves.ts';
import { noHeartbeat } from './memory/heartbeat.ts';
import { MemoryIgnoredDrops } from './memory/ignored-drops.ts';
import { MemoryJobIndex } from './memory/job-index.ts';
import { MemoryJobs } from './memory/jobs.ts';
import { MemoryListing } from './memory/listing.ts';
import { MemoryObjects } from './memory/objects.ts';
import { MemoryEvents, MemoryOutbox, type QueuedMessage } from './memory/outbox.ts';
import { MemoryOwners } from './memory/owners.ts';
import { MemoryPauses } from './memory/pauses.ts';
import { MemoryQuota } from './memory/quota.ts';
import { MemoryScratch } from './memory/scratch.ts';
import { MemoryShutdowns } from './memory/shutdowns.ts';
import { MemorySuspensions } from './memory/suspensions.ts';
import { MemoryWebhooks } from './memory/webhooks.ts';
import { noTelemetry } from './telemetry.ts';
import { VirtualSleep } from './virtual-sleep.ts';

const BUCKET = 'bucket';
/** Who asks, where a test does not say. */
export const OPERATOR = 'arn:aws:sts::123456789012:assumed-role/Operator/someone@example.com';

export interface PipelineOptions {
  settings?: Settings | undefined;
  prices?: Prices;
  limits?: Partial<BatchLimits>;
  isVersioned?: boolean;
  emulator?: Partial<Omit<EmulatorOptions, 'dir' | 'clock'>>;
  /** Deliver every message twice. */
  twice?: boolean;
  /** Stands between the domain and every port. */
  intercept?: Interceptor | undefined;
  /** Called before each run of a handler: a process begins. */
  onInvocation?: (() => void) | undefined;
  /** How long each worker still lives. Default: 15 minutes, always. */
  deadline?: Deadline | undefined;
  /** A message that failed comes back once, as from a queue. Default: it is lost, and the sweep has to find out. */
  redeliver?: boolean;
  stackId?: string;
  /** Default: as its id. */
  stackName?: string;
  /** Another stack's bucket, to share it. */
  bucket?: { objects: MemoryObjects; owners: MemoryOwners };
  /** The versions of its own API key. Default: there is but one. */
  keys?: ApiKeys;
  /** The versions of other keys, by name. */
  otherKeys?: Readonly<Record<string, ApiKeys>>;
  /** Another stack's project, to share it. */
  openai?: Emulator;
  /** A provider in place of OpenAI. */
  provider?: { rules: ProviderRules; batches: ByKey<BatchService> };
  /** Gets the events of all steps. Default: nobody looks at them. */
  telemetry?: Telemetry | undefined;
}

/** Told of every call of a port; `effect` makes the call. What it throws, the domain sees. */
export type Interceptor = <Result>(call: string, effect: () => Promise<Result>) => Promise<Result>;

/** A pipeline under test. Call {@link Pipeline.stop} at the end. */
export type Pipeline = Awaited<ReturnType<typeof startPipeline>>;

export async function startPipeline(options: PipelineOptions = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-pipeline-'));
  const emulator =
    options.openai ??
    // Jobs wait for months here, longer than their models are served.
    (await startEmulator({
      dir,
      clock: virtualClock(),
      seed: 1,
      lenient: ['shutdowns'],
      ...options.emulator,
    }));
  const clock = emulator.clock;
  let nonces = 0;
  const ambient = {
    now: () => clock.now(),
    nonce: () => (nonces++).toString(16).padStart(32, '0'),
  };
  const client = new OpenAI({ apiKey: 'sk-test', baseURL: emulator.endpoint, logLevel: 'off' });
  const keysOf = (name: string): ApiKeys => options.otherKeys?.[name] ?? new UnknownApiKey(name);
  const own = new OpenAIBatches(client, options.keys);
  const batches = Object.assign(own, {
    withKey: (name: string): BatchApi =>
      name === DEFAULT_API_KEY ? own : new OpenAIBatches(client, keysOf(name)),
  });
  const outbox = new MemoryOutbox();
  const time = new VirtualSleep(clock);
  const callsWith = (api: OpenAICalls): CallApi => ({
    call: (request) => time.during(() => api.call(request)),
  });
  const ownCalls = callsWith(new OpenAICalls(client));
  const calls = Object.assign(ownCalls, {
    withKey: (name: string): CallApi => {
      if (name === DEFAULT_API_KEY) return ownCalls;
      const apiKey = async () => (await keysOf(name).read()).key;
      return callsWith(new OpenAICalls(client.withOptions({ apiKey })));
    },
  });
  const backgroundWith = (api: BackgroundApi): BackgroundApi => ({
    create: (request) => time.during(() => api.create(request)),
    get: (...of) => time.during(() => api.get(...of)),
    cancel: (...of) => time.during(() => api.cancel(...of)),
    remove: (...of) => time.during(() => api.remove(...of)),
  });
  const ownBackground = backgroundWith(new OpenAIBackground(client, options.keys));
  const background = Object.assign(ownBackground, {
    withKey: (name: string): BackgroundApi =>
      name === DEFAULT_API_KEY ? ownBackground : backgroundWith(new OpenAIBackground(client, keysOf(name))),
  });
  const jobs = new MemoryJobs();
  // Small parts, so that small files have several, and pages.
  const objects =
    options.bucket?.objects ??
    new MemoryObjects(
      { bucket: BUCKET, isVersioned: options.isVersioned ?? true, minPartBytes: 300, pageSize: 2 },
      ambient,
    );
  const deps = {
    bucket: BUCKET as string,
    stackId: options.stackId ?? 'stack-1',
    stackName: options.stackName ?? options.stackId ?? 'stack-1',
    settings: options.settings ?? defaultSettings(),
    rules: OPENAI_RULES,
    limits: { ...OPENAI_RULES.limits, ...options.limits },
    tokenizerOf: async () => (text: string) => text.length / 4,
    sampler: new Sampler(),
    workKeptMs: 30 * 24 * 60 * MINUTE_MS,
    objects,
    inputs: objects,
    erasure: objects,
    owners: options.bucket?.owners ?? new MemoryOwners(),
    listing: new MemoryListing(),
    jobs,
    index: new MemoryJobIndex(),
    graves: new MemoryGraves(jobs),
    quota: new MemoryQuota(jobs),
    prices: options.prices ?? new Prices(OPENAI_PRICES),
    suspensions: new MemorySuspensions(),
    ignoredDrops: new MemoryIgnoredDrops(),
    drops: new MemoryDropTurns(jobs),
    pauses: new MemoryPauses(),
    shutdowns: new MemoryShutdowns(),
    webhooks: new MemoryWebhooks(),
    strangers: new RecentIds(1_000),
    batches,
    calls,
    background,
    sleep: time.sleep,
    // As the clock stands still while a handler runs.
    heartbeat: noHeartbeat,
    outbox,
    events: new MemoryEvents(),
    scratch: new MemoryScratch(),
    ambient,
    // As long as a Lambda may live; the virtual clock stands still while a handler runs.
    deadline: options.deadline ?? { remainingMs: () => 15 * MINUTE_MS },
    telemetry: options.telemetry ?? noTelemetry,
  };

  const { intercept, provider } = options;
  const composed =
    provider === undefined
      ? deps
      : {
          ...deps,
          ...provider,
          prices: options.prices ?? new Prices(provider.rules.prices),
          limits: { ...provider.rules.limits, ...options.limits },
        };
  const seen = intercept === undefined ? composed : interceptPorts(composed, intercept);

  /** Where the results of an input are looked for. */
  const namesOf = (key: string) =>
    publishedKeys(layoutOf(deps.settings, routeOf(deps.settings, key) ?? { name: '' }), key);

  async function deliver(queued: QueuedMessage): Promise<void> {
    switch (queued.queue) {
      case 'ingest':
        return ingest(seen, queued.message);
      case 'submit':
        return submit(seen, queued.message);
      case 'call':
        return call({ ...seen, heartbeat: seen.sleep }, queued.message);
      case 'collect':
        return collect(seen, queued.message);
      case 'finalize':
        return finalize(seen, queued.message);
      case 'observe':
        return observe(seen, queued.message);
    }
  }

  /** What the queues hold back. */
  const delayed: { at: number; queued: QueuedMessage }[] = [];

  /**
   * Delivers until the queues are empty of what is due; what fails comes back by the sweep, as a lost message would.
   */
  async function drain(): Promise<Error[]> {
    const failures: Error[] = [];
    for (const { at, queued } of delayed.splice(0)) {
      if (at <= clock.now()) outbox.messages.push(queued);
      else delayed.push({ at, queued });
    }
    for (let queued = outbox.messages.shift(); queued !== undefined; queued = outbox.messages.shift()) {
      const { delayMs, ...due } = queued;
      if (delayMs !== undefined) {
        delayed.push({ at: clock.now() + delayMs, queued: due as QueuedMessage });
        continue;
      }
      for (let times = options.twice ? 2 : 1; times > 0; times--) {
        options.onInvocation?.();
        await deliver(queued).catch((error: Error) => {
          failures.push(error);
          if (options.redeliver && failures.length < 10) outbox.messages.push(queued);
        });
      }
    }
    return failures;
  }

  return {
    deps,
    /** The same behind `intercept`. */
    seen,
    emulator,
    client,
    /** Messages that failed, oldest first. */
    failures: [] as Error[],
    /** Puts an input and tells of it, as S3 would. */
    async drop(key: string, body: string | Uint8Array): Promise<void> {
      await deps.objects.put(key, typeof body === 'string' ? Buffer.from(body) : body);
      await this.notify(key);
    },
    async notify(key: string): Promise<void> {
      const head = await deps.objects.head(BUCKET, key);
      const location = {
        bucket: BUCKET,
        key,
        ...(head?.versionId === undefined ? {} : { versionId: head.versionId }),
      };
      for (let times = options.twice ? 2 : 1; times > 0; times--) await ingest(seen, location);
    },
    drain,
    /** Asks for something as an operator does. */
    async operate(
      request: Omit<OperateInput, 'v'> | Record<string, unknown>,
      by: string | undefined = OPERATOR,
    ) {
      options.onInvocation?.();
      const { status, answer } = await operate(seen, { body: JSON.stringify({ v: 1, ...request }), by });
      return { status, ...operateAnswerSchema.parse(JSON.parse(JSON.stringify(answer))) };
    },
    /** Plays queues and schedule, every `stepMs`, until no work is left, at most for `hours` of virtual time. */
    async run(hours = 30, stepMs = 5 * MINUTE_MS): Promise<void> {
      const end = clock.now() + hours * 60 * MINUTE_MS;
      let pollAt = clock.now() + stepMs;
      for (;;) {
        this.failures.push(...(await drain()));
        if (!(await isBusy(deps)) || clock.now() > end) return;
        const delayedUntil = Math.min(...delayed.map(({ at }) => at));
        clock.advance(Math.max(0, Math.min(delayedUntil, pollAt) - clock.now()));
        if (clock.now() < pollAt) continue;
        pollAt = clock.now() + stepMs;
        options.onInvocation?.();
        await poll(seen).catch((error: Error) => this.failures.push(error));
      }
    },
    receipt: async (key: string): Promise<Receipt> =>
      receiptSchema.parse(JSON.parse(await text(deps, namesOf(key).receipt))),
    output: (key: string) => lines(deps, namesOf(key).output),
    errors: (key: string) => lines(deps, namesOf(key).errors),
    retry: async (key: string) => {
      const bytes = await deps.objects.get(namesOf(key).retry);
      return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
    },
    async stop(): Promise<void> {
      if (options.openai === undefined) await emulator.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

const PORTS = [
  'objects',
  'inputs',
  'owners',
  'listing',
  'jobs',
  'index',
  'quota',
  'drops',
  'suspensions',
  'pauses',
  'graves',
  'erasure',
  'shutdowns',
  'webhooks',
  'batches',
  'calls',
  'background',
  'outbox',
  'events',
] as const;

function interceptPorts<Ports extends Record<(typeof PORTS)[number], object>>(
  ports: Ports,
  intercept: Interceptor,
): Ports {
  const wrapped = { ...ports };
  for (const name of PORTS)
    wrapped[name] = interceptCalls(name, ports[name], intercept) as Ports[typeof name];
  return wrapped;
}

function interceptCalls<Port extends object>(name: string, port: Port, intercept: Interceptor): Port {
  return new Proxy(port, {
    get(target, property) {
      const method = Reflect.get(target, property) as unknown;
      if (typeof method !== 'function') return method;
      return (...parameters: unknown[]) => {
        const call = `${name}.${String(property)}`;
        // These give their result at once: what it does later is intercepted instead.
        if (property === 'openWrite')
          return interceptCalls(call, method.apply(target, parameters), intercept);
        if (property === 'withKey') return interceptCalls(name, method.apply(target, parameters), intercept);
        if (LISTS.has(property)) return method.apply(target, parameters);
        return intercept(call, async () => method.apply(target, parameters));
      };
    },
  });
}

/** Asynchronous iterables: they are given at once, and their reads are not intercepted. */
const LISTS: ReadonlySet<string | symbol> = new Set([
  'listAtOpenAI',
  'listOverdue',
  'listEnded',
  'listForgetting',
  'listWaiting',
  'listWaitingDrops',
  'listReservations',
  'listEndedOn',
]);

type Deps = { objects: MemoryObjects; jobs: MemoryJobs; drops: MemoryDropTurns; outbox: MemoryOutbox };

async function isBusy(deps: Deps): Promise<boolean> {
  if (deps.outbox.messages.length > 0) return true;
  for (const route of await deps.drops.listDropRoutes())
    for await (const _ of deps.drops.listWaitingDrops(route)) return true;
  for await (const _ of deps.jobs.listWaiting()) return true;
  for await (const _ of deps.jobs.listAtOpenAI()) return true;
  for await (const _ of deps.jobs.listOverdue(Number.POSITIVE_INFINITY)) return true;
  return false;
}

async function text(deps: Deps, key: string): Promise<string> {
  const bytes = await deps.objects.get(key);
  if (bytes === undefined)
    throw new Error(`${key} is not there; there are ${deps.objects.keys().join(', ')}`);
  return Buffer.from(bytes).toString('utf8');
}

// biome-ignore lint/suspicious/noExplicitAny: result lines are compared field by field
async function lines(deps: Deps, key: string): Promise<any[]> {
  const bytes = await deps.objects.get(key);
  if (bytes === undefined) return [];
  return Buffer.from(bytes)
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** A chat request, as a line without its line feed. */
export function chatLine(
  customId: string,
  options: { model?: string; url?: string; content?: string } = {},
): string {
  const { model = 'gpt-6-luna', url = '/v1/chat/completions', content = `question of ${customId}` } = options;
  const body =
    url === '/v1/embeddings'
      ? { model, input: content }
      : url === '/v1/responses'
        ? { model, input: content }
        : { model, messages: [{ role: 'user', content }] };
  return JSON.stringify({ custom_id: customId, method: 'POST', url, body });
}
