/** One deployment: its stores, and the handlers that work on them. A new handler is added to {@link HANDLERS}. */

import { writeFields } from '../../../src/contract/event-fields.ts';
import { EVENTS, type EventFields, type EventName } from '../../../src/contract/events.ts';
import type { Layout } from '../../../src/contract/layout.ts';
import type {
  BatchMessage,
  IngestMessage,
  JobMessage,
  ObserveMessage,
} from '../../../src/contract/messages.ts';
import type { OperateInput } from '../../../src/contract/operate.ts';
import type { Settings } from '../../../src/contract/settings.ts';
import { ObjectUnreadableError } from '../../../src/core/base/errors.ts';
import { RecentIds } from '../../../src/core/base/recent-ids.ts';
import { JOB_TRANSITIONS, type JobTransitionName } from '../../../src/core/lifecycle/job-transitions.ts';
import type { BatchRecord } from '../../../src/core/model/batch.ts';
import type { Job } from '../../../src/core/model/job.ts';
import type { SourceObject } from '../../../src/core/model/objects.ts';
import type { Pause } from '../../../src/core/model/pause.ts';
import type { Deadline } from '../../../src/core/ports/ambient.ts';
import type { ObjectWriter } from '../../../src/core/ports/objects.ts';
import type { Delivery, ObserveOutbox, Outbox } from '../../../src/core/ports/outbox.ts';
import type { JobStore } from '../../../src/core/ports/records.ts';
import { call } from '../../../src/core/steps/call/call.ts';
import type { CallDeps } from '../../../src/core/steps/call/deps.ts';
import { collect } from '../../../src/core/steps/collect/collect.ts';
import type { CollectDeps } from '../../../src/core/steps/collect/deps.ts';
import { type FinalizeDeps, finalize } from '../../../src/core/steps/finalize/finalize.ts';
import { ingest } from '../../../src/core/steps/ingest/ingest.ts';
import type { IngestDeps } from '../../../src/core/steps/ingest/ingest-run.ts';
import { type ObserveDeps, observe } from '../../../src/core/steps/observe/observe.ts';
import type { OperateDeps } from '../../../src/core/steps/operate/deps.ts';
import { operate } from '../../../src/core/steps/operate/operate.ts';
import { LateSweep } from '../../../src/core/steps/poll/late-sweep.ts';
import { type PollDeps, poll } from '../../../src/core/steps/poll/poll.ts';
import { Sampler } from '../../../src/core/steps/poll/sample.ts';
import type { SubmitDeps } from '../../../src/core/steps/submit/deps.ts';
import { submit } from '../../../src/core/steps/submit/submit.ts';
import { OPENAI_RULES } from '../../../src/providers/openai/rules.ts';
import { MemoryDropTurns } from '../../support/memory/drop-turns.ts';
import { MemoryGraves } from '../../support/memory/graves.ts';
import { MemoryIgnoredDrops } from '../../support/memory/ignored-drops.ts';
import { MemoryJobIndex } from '../../support/memory/job-index.ts';
import { MemoryJobs } from '../../support/memory/jobs.ts';
import { MemoryListing } from '../../support/memory/listing.ts';
import { type LifecycleRule, MemoryObjects } from '../../support/memory/objects.ts';
import { MemoryEvents } from '../../support/memory/outbox.ts';
import { MemoryOwners } from '../../support/memory/owners.ts';
import { MemoryPauses } from '../../support/memory/pauses.ts';
import { MemoryScratch } from '../../support/memory/scratch.ts';
import { MemoryShutdowns } from '../../support/memory/shutdowns.ts';
import { MemorySuspensions } from '../../support/memory/suspensions.ts';
import { MemoryWebhooks } from '../../support/memory/webhooks.ts';
import { SIMULATED_PRICES, WatchedQuota } from './money.ts';
import type { RecordedResponse } from './openai-model.ts';
import type { SimulatedOpenAI } from './openai-service.ts';
import { boxed, type Gate, throughGate, UNBOXED } from './port-calls.ts';
import type { Scenario } from './scenario.ts';

/** Ids of the stacks of a scenario, by their place. The first one's name begins the second one's, on purpose. */
const STACK_IDS = ['stack-1', 'stack-1-b'] as const;

/** What is the same for every invocation. */
export type PortsOfStack = Omit<Deps, 'deadline'> & {
  /** Whether calls of OpenAI last as long as its client waits, whatever deadline their caller gives. Default: no. */
  isUnboxed?: boolean;
};

export type Deps = IngestDeps &
  SubmitDeps &
  CallDeps &
  PollDeps &
  CollectDeps &
  FinalizeDeps &
  ObserveDeps &
  OperateDeps & { lateSweep: LateSweep };

/** A step of a queue handler, before which its worker sweeps if the poll is late. */
function sweepingFirst<Message>(step: (deps: Deps, message: Message) => Promise<unknown>) {
  return async (deps: Deps, message: unknown): Promise<void> => {
    await deps.lateSweep.run(deps);
    await step(deps, message as Message);
  };
}

/** Who does what is done through the function of operators. */
const OPERATOR = 'arn:aws:sts::123456789012:assumed-role/operators/someone';

/** The function of operators has no API key. */
function withoutKeys(deps: Deps): OperateDeps {
  const { batches: _, calls: __, background: ___, ...others } = deps;
  return others;
}

/** What runs, and how long Lambda lets it (`lib/`). Queue handlers are named as their queue. */
export const HANDLERS = {
  ingest: { minutes: 15, run: sweepingFirst<IngestMessage>(ingest) },
  submit: { minutes: 15, run: sweepingFirst<BatchMessage>(submit) },
  call: { minutes: 15, run: sweepingFirst<BatchMessage>(call) },
  collect: { minutes: 15, run: sweepingFirst<BatchMessage>(collect) },
  finalize: { minutes: 15, run: sweepingFirst<JobMessage>(finalize) },
  operate: {
    minutes: 15,
    run: async (deps: Deps, message: unknown) => {
      const request = { body: JSON.stringify(message as OperateInput), by: OPERATOR };
      return (await operate(withoutKeys(deps), request)).answer;
    },
  },
  observe: { minutes: 3, run: (deps: Deps, message: unknown) => observe(deps, message as ObserveMessage) },
  poll: { minutes: 5, run: (deps: Deps) => poll(deps) },
} as const;

export type HandlerName = keyof typeof HANDLERS;
export type QueueName = keyof (Outbox & ObserveOutbox);

/** Changes what a handler works with, to see that it is missed: see safeties.test.ts. */
export type Tamper = (deps: PortsOfStack, handler: HandlerName) => PortsOfStack;

/** What a stack needs of the simulation. */
export interface StackWorld {
  now(): number;
  note(what: string): void;
  violation(text: string): void;
  trace(text: string): void;
  /** A batch has come to another state. */
  moved(batch: BatchRecord): void;
  /** Ingest has planned a job. */
  planned(job: Job): void;
  /** A worker begins to finalize a job. */
  finalizing(jobId: string): void;
  /** A batch waits until a person releases it. */
  held(batch: BatchRecord): void;
  /** A job has its receipt. */
  ended(jobId: string): void;
  /** An operator has dropped something. */
  dropped(key: string): void;
  /** Puts a message on a queue. */
  send(queue: QueueName, message: unknown, delayMs?: number): void;
}

/** What stood under the names of a receipt when it was written. */
export interface Published {
  receipt: Uint8Array;
  files: Map<string, Uint8Array>;
}

export class Stack {
  readonly jobs: WatchedJobs;
  readonly drops: MemoryDropTurns;
  readonly quota: WatchedQuota;
  readonly objects: WatchedObjects;
  /** Those of the scenario; a stack may take prefixes over by its own. */
  readonly settings: Settings;
  readonly events = new MemoryEvents();
  readonly index = new MemoryJobIndex();
  readonly graves: MemoryGraves;
  readonly pauses: WatchedPauses;
  readonly listing = new MemoryListing();
  readonly owners: MemoryOwners;
  readonly layout: Layout;
  /** Of each batch, how many responses could not be deleted at OpenAI, as an event said. */
  readonly retained = new Map<string, number>();
  readonly #deps: PortsOfStack;
  readonly #tamper: Tamper | undefined;
  readonly id: string;
  readonly bucket: string;
  #nonces = 0;

  /**
   * @param options.place of the stack in the scenario.
   * @param options.beside a stack on whose bucket this one lives. Default: it has one of its own.
   */
  constructor(
    world: StackWorld,
    scenario: Scenario,
    openai: SimulatedOpenAI,
    { place, beside, tamper }: { place: number; beside?: Stack | undefined; tamper?: Tamper | undefined },
  ) {
    this.id = STACK_IDS[place]!;
    this.settings = { ...scenario.settings };
    this.bucket = beside?.bucket ?? `bucket-of-${this.id}`;
    const ambient = {
      now: () => world.now(),
      nonce: () => `${place}${(++this.#nonces).toString(16).padStart(31, '0')}`,
    };
    const send =
      (queue: QueueName) =>
      async (message: unknown, delivery?: Delivery): Promise<void> => {
        noContent(world, 'a message', message);
        if (delivery?.delayMs !== undefined) world.note(`waits: ${queue}`);
        world.send(queue, message, delivery?.delayMs);
      };
    const record = <Name extends EventName>(name: Name, values: EventFields<Name>): void => {
      const { fields, problems } = writeFields(EVENTS[name].fields, values);
      for (const problem of problems) world.violation(`event ${name}: ${problem}`);
      noContent(world, `event ${name}`, fields);
      if (name === 'drop.deferred') world.note(`drop waits for:${fields.waitsFor}`);
      if (name === 'poll.delayed') world.note('fault:the poll is late');
      if (/^the lease on /.test(String(fields.reason))) world.note('thrown:LeaseLostError');
      world.note(`event:${name}`);
      const { batchId, responses } = fields;
      if (name === 'responses.retained')
        this.retained.set(String(batchId), (this.retained.get(String(batchId)) ?? 0) + Number(responses));
      world.trace(`      ${name} ${JSON.stringify(fields)}`);
    };
    this.jobs = new WatchedJobs(world, openai);
    this.graves = new MemoryGraves(this.jobs);
    this.pauses = new WatchedPauses(ambient);
    this.drops = new MemoryDropTurns(this.jobs);
    this.quota = new WatchedQuota({
      jobs: this.jobs,
      settings: scenario.settings,
      note: (what) => world.note(what),
      violation: (text) => world.violation(text),
    });
    this.objects =
      beside?.objects ??
      new WatchedObjects(
        { bucket: this.bucket, isVersioned: scenario.isVersioned, pageSize: scenario.pageSize },
        ambient,
        world,
      );
    this.owners = beside?.owners ?? new MemoryOwners();
    this.layout = this.settings.layout;
    this.#tamper = tamper;
    this.#deps = {
      bucket: this.bucket,
      graves: this.graves,
      erasure: this.objects,
      stackId: this.id,
      stackName: this.id,
      owners: this.owners,
      settings: this.settings,
      rules: OPENAI_RULES,
      limits: { ...OPENAI_RULES.limits, requests: scenario.batchRequests },
      tokenizerOf: async () => (text: string) => text.length / 4,
      sampler: new Sampler(),
      workKeptMs: scenario.workKeptMs,
      lateSweep: new LateSweep(scenario.pollEveryMs),
      objects: this.objects,
      inputs: this.objects,
      listing: this.listing,
      jobs: this.jobs,
      drops: this.drops,
      index: this.index,
      quota: this.quota,
      prices: SIMULATED_PRICES,
      suspensions: new MemorySuspensions(),
      // Not through the gate: nothing follows from it.
      ignoredDrops: new MemoryIgnoredDrops(),
      pauses: this.pauses,
      shutdowns: new MemoryShutdowns(),
      webhooks: new MemoryWebhooks(),
      batches: { withKey: (name) => openai.apiFor(this.id, name) },
      calls: { withKey: (name) => openai.calls.apiFor(this.id, name) },
      background: { withKey: (name) => openai.background.apiFor(this.id, name) },
      strangers: new RecentIds(1_000),
      sleep: () => Promise.reject(new Error('each invocation has its own')),
      heartbeat: () => Promise.reject(new Error('each invocation has its own')),
      outbox: {
        ingest: send('ingest'),
        submit: send('submit'),
        call: send('call'),
        collect: send('collect'),
        finalize: send('finalize'),
        observe: send('observe'),
      },
      events: this.events,
      scratch: new MemoryScratch(),
      ambient,
      telemetry: { record },
    };
  }

  /** What the table holds now; what this gives puts it back. */
  snapshot(): () => void {
    const restores = [
      this.jobs.snapshot(),
      this.index.snapshot(),
      this.drops.snapshot(),
      this.quota.snapshot(),
      this.listing.snapshot(),
    ];
    return () => {
      for (const restore of restores) restore();
    };
  }

  /** What one invocation of a handler works with. */
  depsFor(handler: HandlerName, gate: Gate, deadline: Deadline): Deps {
    const deps = this.#tamper?.(this.#deps, handler) ?? this.#deps;
    return {
      ...deps,
      deadline,
      objects: throughGate('objects', deps.objects, gate),
      inputs: throughGate('inputs', deps.inputs, gate),
      listing: throughGate('listing', deps.listing, gate),
      owners: throughGate('owners', deps.owners, gate),
      jobs: throughGate('jobs', deps.jobs, gate),
      index: throughGate('index', deps.index, gate),
      graves: throughGate('graves', deps.graves, gate),
      erasure: throughGate('erasure', deps.erasure, gate),
      drops: throughGate('drops', deps.drops, gate),
      quota: throughGate('quota', deps.quota, gate),
      suspensions: throughGate('suspensions', deps.suspensions, gate),
      pauses: throughGate('pauses', deps.pauses, gate),
      shutdowns: throughGate('shutdowns', deps.shutdowns, gate),
      batches: {
        withKey: (name, box) =>
          throughGate('batches', deps.batches.withKey(name), boxed(gate, deps.isUnboxed ? UNBOXED : box)),
      },
      calls: { withKey: (name) => throughGate('calls', deps.calls.withKey(name), gate) },
      background: { withKey: (name) => throughGate('background', deps.background.withKey(name), gate) },
      webhooks: throughGate('webhooks', deps.webhooks, gate),
      sleep: gate.sleep,
      heartbeat: gate.heartbeat,
      outbox: throughGate('outbox', deps.outbox, gate),
      events: throughGate('events', deps.events, gate),
    };
  }

  /** What has waited for a sweep since before `due`, or earlier. */
  async overdueSince(due: number): Promise<string[]> {
    const items = await Array.fromAsync(this.jobs.listOverdue(due));
    return items.map((item) =>
      item.kind === 'job'
        ? `job ${item.jobId} ${item.state}`
        : `batch ${item.batch.jobId} ${item.batch.batchId} ${item.batch.state}`,
    );
  }

  /** What still has to be moved, waits at OpenAI, or is reserved. */
  async live(): Promise<string[]> {
    const live: string[] = [];
    for (const route of await this.drops.listDropRoutes())
      for await (const { jobId } of this.drops.listWaitingDrops(route))
        live.push(`job ${jobId} waits for its turn`);
    for await (const { batchId, jobId, wait } of this.jobs.listWaiting()) {
      live.push(`batch ${jobId} ${batchId} waiting (${wait?.lastError})`);
    }
    for await (const { batchId, jobId, remote } of this.jobs.listAtOpenAI()) {
      live.push(`batch ${jobId} ${batchId} at OpenAI, ${remote!.status}`);
    }
    for await (const item of this.jobs.listOverdue(Number.POSITIVE_INFINITY)) {
      live.push(
        item.kind === 'job'
          ? `job ${item.jobId} ${item.state}`
          : `batch ${item.batch.jobId} ${item.batch.batchId} ${item.batch.state} (${item.batch.wait?.lastError})`,
      );
    }
    for await (const { jobId } of this.jobs.listForgetting()) live.push(`job ${jobId} half forgotten`);
    // What a crash leaves reserved is given back within the hour.
    for await (const { batchId, jobId } of this.quota.listReservations())
      live.push(`something reserved for batch ${jobId} ${batchId}`);
    return live;
  }
}

/** Prompts and answers stand in objects, nowhere else. */
function noContent(world: StackWorld, where: string, value: unknown): void {
  if (/prompt-|answer to /.test(JSON.stringify(value))) world.violation(`${where} holds content`);
}

/** Notes every arrow that a record goes. */
class WatchedJobs extends MemoryJobs {
  readonly #world: StackWorld;
  readonly #openai: Pick<SimulatedOpenAI, 'recorded' | 'ended' | 'seenRunning'>;
  /** Duplicates that ran after all. */
  readonly #freed = new Set<string>();
  /** Jobs that were forgotten, as they were, with their batches. */
  readonly buried = new Map<string, Promise<[Job | undefined, BatchRecord[]]>>();
  /** Jobs that a worker has begun to finalize. */
  readonly #finalizing = new Set<string>();

  constructor(world: StackWorld, openai: Pick<SimulatedOpenAI, 'recorded' | 'ended' | 'seenRunning'>) {
    super();
    this.#world = world;
    this.#openai = openai;
  }

  override async moveJob(...parameters: Parameters<JobStore['moveJob']>): Promise<Job | undefined> {
    const [jobId, { name, from, to }] = parameters;
    const before = await super.getJob(jobId);
    const moved = await super.moveJob(...parameters);
    if (moved === undefined || before === undefined) return moved;
    if ('to' in JOB_TRANSITIONS[name as JobTransitionName]) this.#world.note(`job:${from} -> ${to}`);
    if (before.rejection === undefined && moved.rejection?.message.includes('dropped again'))
      this.#world.note('denied:gave way to a re-drop');
    if (before.state === 'ingesting' && moved.state === 'running') this.#world.planned(moved);
    if (moved.duplicatesRun && !before.duplicatesRun && this.#finalizing.has(jobId))
      this.#world.note('cancelled:while finalized');
    if (before.state === 'duplicate') await this.#lookAtDuplicate(before, moved);
    if (moved.receiptKey !== undefined && before.receiptKey === undefined) this.#world.ended(jobId);
    return moved;
  }

  override async createJob(
    ...parameters: Parameters<JobStore['createJob']>
  ): ReturnType<JobStore['createJob']> {
    const created = await super.createJob(...parameters);
    const [{ jobId }] = parameters;
    if (created !== undefined && this.buried.has(jobId))
      this.#world.violation(`job ${jobId} was forgotten, and is recorded again`);
    return created;
  }

  override deleteJob(jobId: string): void {
    if (!this.buried.has(jobId))
      this.buried.set(jobId, Promise.all([super.getJob(jobId), super.listBatches(jobId)]));
    super.deleteJob(jobId);
  }

  /** What becomes of a duplicate whose owner was cancelled without it. */
  async #lookAtDuplicate(duplicate: Job, { state, result }: Job): Promise<void> {
    let owner: Job | undefined = duplicate;
    while (owner?.state === 'duplicate' && owner.duplicateOf !== undefined)
      owner = await super.getJob(owner.duplicateOf);
    if (state === 'ingesting') this.#freed.add(duplicate.jobId);
    const isEarly = owner?.receiptKey === undefined || owner.result === 'succeeded';
    // One that waited for the same owner, and was first, is found by ingest.
    if (state === 'ingesting' && owner !== undefined && isEarly && !this.#freed.has(owner.jobId))
      this.#world.violation(
        `${duplicate.jobId} is run; its owner ${owner.jobId} is ${owner.result ?? 'live'}`,
      );
    if (owner?.duplicatesRun !== true) return;
    if (state === 'ingesting') this.#world.note('cancelled:duplicate run');
    if (result === 'duplicate') this.#world.note('cancelled:duplicate answered all the same');
  }

  override async leaseJob(...parameters: Parameters<JobStore['leaseJob']>): ReturnType<JobStore['leaseJob']> {
    const leased = await super.leaseJob(...parameters);
    const [jobId, state] = parameters;
    if (leased !== undefined && state === 'running' && !this.#finalizing.has(jobId)) {
      this.#finalizing.add(jobId);
      this.#world.finalizing(jobId);
    }
    return leased;
  }

  override admitBatch(...parameters: Parameters<MemoryJobs['admitBatch']>): boolean {
    const isAdmitted = super.admitBatch(...parameters);
    if (isAdmitted) this.#world.note('batch:planned -> admitted');
    return isAdmitted;
  }

  override async moveBatch(
    ...parameters: Parameters<JobStore['moveBatch']>
  ): Promise<BatchRecord | undefined> {
    const before = await super.getBatch(parameters[0].jobId, parameters[0].batchId);
    const after = await super.moveBatch(...parameters);
    if (after === undefined) return after;
    noContent(this.#world, 'a record', after);
    if (after.recut?.microdollars !== before!.recut?.microdollars) this.#world.note('money:cut');
    if (after.hold?.reason === 'budget_exhausted') this.#world.note('money:waits for a budget');
    if (after.ending?.errors?.some(({ code }) => code === 'budget_exceeded'))
      this.#world.note('money:refused');
    if (after.ending?.errors?.some(({ code }) => code === 'input_unreadable'))
      this.#world.note('denied later:given up');
    const to = after.stop?.nextTier ?? after.tier;
    if (to !== undefined && to !== (before!.stop?.nextTier ?? before!.tier))
      this.#world.note(`ladder:${before!.tier ?? 'batch'} -> ${to}`);
    if (after.remote?.openaiBatchId !== undefined) {
      this.#openai.recorded.add(after.remote?.openaiBatchId);
      if (after.state === 'ended') this.#openai.ended.add(after.remote?.openaiBatchId);
      if (after.remote?.status === 'in_progress' || after.remote?.status === 'finalizing')
        this.#openai.seenRunning.add(after.remote?.openaiBatchId);
    }
    if (after.hold?.at !== undefined && before!.hold?.at === undefined) this.#world.held(after);
    if (after.ending?.lostAt !== before!.ending?.lostAt) this.#world.note('fault:a batch given up');
    if (after.state !== before!.state) {
      this.#world.note(`batch:${before!.state} -> ${after.state}`);
      this.#world.moved(after);
    }
    return after;
  }
}

/** A time in which nothing is to be sent of a route, or of the whole stack (epoch ms); without an end, it lasts. */
export interface PausedTime {
  route: string | undefined;
  from: number;
  until: number;
}

/** Remembers from when to when something was paused. */
class WatchedPauses extends MemoryPauses {
  readonly times: PausedTime[] = [];
  readonly #ambient: { now(): number };

  constructor(ambient: { now(): number }) {
    super();
    this.#ambient = ambient;
  }

  override async pause(begin: Omit<Pause, 'isPaused'>): Promise<{ pause: Pause; isNew: boolean }> {
    const begun = await super.pause(begin);
    if (begun.isNew)
      this.times.push({ route: begin.route, from: this.#ambient.now(), until: Number.POSITIVE_INFINITY });
    return begun;
  }

  override async unpause(end: Omit<Pause, 'isPaused'>): Promise<boolean> {
    const hasEnded = await super.unpause(end);
    const time = this.times.findLast(({ route }) => route === end.route);
    if (hasEnded) time!.until = this.#ambient.now();
    return hasEnded;
  }
}

/** What nobody may read before a time (epoch milliseconds), though it is listed. */
export interface Denial {
  until: number;
  reason: string;
  /** Till then, not even HeadObject tells of it. */
  isOfHead: boolean;
  /** It was read before. */
  isLater: boolean;
  /** How often somebody has tried. */
  refusals: number;
}

/** Of one version, where there are versions. */
function nameOf(key: string, versionId: string | undefined): string {
  return versionId === undefined ? key : `${key}\0${versionId}`;
}

/** What `lib/storage.ts` says of `work/`. */
const LIFECYCLE_RULES: readonly LifecycleRule[] = [
  {
    Status: 'Enabled',
    Prefix: 'work/',
    NoncurrentVersionExpiration: { NoncurrentDays: 1 },
    ExpiredObjectDeleteMarker: true,
  },
];

/** Remembers what was published with each receipt: a newer version of the same input may write over it. */
class WatchedObjects extends MemoryObjects {
  /** By job. */
  readonly published = new Map<string, Published[]>();
  readonly #world: StackWorld;
  /** Request ids of the answers to calls that stand in `work/`. */
  readonly keptAnswers = new Set<string>();
  /** Responses in the background whose ids stand in `work/`, by these. */
  readonly recordedResponses = new Map<string, RecordedResponse>();

  constructor(
    options: { bucket: string; isVersioned: boolean; pageSize: number },
    ambient: { now(): number },
    world: StackWorld,
  ) {
    super(options, ambient);
    this.#world = world;
  }

  readonly #denied = new Map<string, Denial>();

  deny({ key, versionId }: SourceObject, denial: Denial): void {
    this.#denied.set(nameOf(key, versionId), denial);
  }

  override async read(...parameters: Parameters<MemoryObjects['read']>): ReturnType<MemoryObjects['read']> {
    this.#checkDenied(parameters[0]);
    return super.read(...parameters);
  }

  override async head(...parameters: Parameters<MemoryObjects['head']>): ReturnType<MemoryObjects['head']> {
    const [, key, versionId] = parameters;
    this.#checkDenied({ key, versionId }, true);
    return super.head(...parameters);
  }

  override async pin(...parameters: Parameters<MemoryObjects['pin']>): Promise<void> {
    this.#checkDenied(parameters[0]);
    return super.pin(...parameters);
  }

  #checkDenied({ key, versionId }: { key: string; versionId?: string | undefined }, isHead = false): void {
    const denial = this.#denied.get(nameOf(key, versionId));
    if (denial === undefined || this.#world.now() >= denial.until || (isHead && !denial.isOfHead)) return;
    const { reason, isLater } = denial;
    denial.refusals += 1;
    this.#world.note(`denied${isLater ? ' later' : ''}:${reason}`);
    throw new ObjectUnreadableError(`${key}: ${reason}`, key, reason);
  }

  override openWrite(...parameters: Parameters<MemoryObjects['openWrite']>): ObjectWriter {
    const writer = super.openWrite(...parameters);
    const [key] = parameters;
    if (!key.startsWith('input/')) return writer;
    const close = writer.close.bind(writer);
    writer.close = async () => {
      const bytes = await close();
      this.#world.dropped(key);
      return bytes;
    };
    return writer;
  }

  /** What the bucket does once a day. */
  expire(): void {
    this.applyLifecycle(LIFECYCLE_RULES);
  }

  override async removeBelow(prefix: string): Promise<boolean> {
    this.#world.note('removed below work/');
    return super.removeBelow(prefix);
  }

  override async put(...parameters: Parameters<MemoryObjects['put']>): Promise<boolean> {
    const [key, body] = parameters;
    // Without versions it is another object from now on.
    this.#denied.delete(key);
    const isWritten = await super.put(...parameters);
    if (isWritten && key.includes('/calls/')) this.#lookAtCalls(key, Buffer.from(body).toString('utf8'));
    if (!key.startsWith('receipts/')) return isWritten;
    const { jobId, files } = JSON.parse(Buffer.from(body).toString('utf8')) as {
      jobId: string;
      files: Record<string, string>;
    };
    const published: Published = { receipt: body.slice(), files: new Map() };
    for (const [name, file] of Object.entries(files)) {
      const bytes = await super.get(file);
      if (name !== 'receipt' && bytes !== undefined) published.files.set(name, bytes);
    }
    this.published.set(jobId, [...(this.published.get(jobId) ?? []), published]);
    return isWritten;
  }

  /** What a slice has written down. What has arrived may still come too late to be taken in. */
  #lookAtCalls(key: string, text: string): void {
    if (key.includes('/arrived/')) return;
    if (!key.includes('/created/')) {
      for (const [id] of text.matchAll(/req_b?\d+/g)) this.keptAnswers.add(id);
      return;
    }
    for (const line of text.trimEnd().split('\n')) {
      const { id, leaving, keyVersion } = JSON.parse(line) as { id?: string } & RecordedResponse;
      if (id !== undefined) this.recordedResponses.set(id, { leaving, keyVersion });
    }
  }
}
