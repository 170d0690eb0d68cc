import { setImmediate } from 'node:timers/promises';
import { readDuration } from '../../../src/contract/durations.ts';
import type { ObserveMessage } from '../../../src/contract/messages.ts';
import type { OperateAnswer, OperateInput } from '../../../src/contract/operate.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import { apiKeyOf, type BatchState } from '../../../src/core/model/batch.ts';
import type { Job } from '../../../src/core/model/job.ts';
import type { ObjectHead } from '../../../src/core/model/objects.ts';
import { routeOf } from '../../../src/core/requests/route.ts';
import { plainCopy } from '../../support/plain-copy.ts';
import { ADOPTION_EDGES, Coverage, STATE_EDGES } from './coverage.ts';
import type { Drop } from './drops.ts';
import { Faults } from './faults.ts';
import { raiseBudgets } from './money.ts';
import type { LineTerms, ServiceBatch } from './openai-model.ts';
import { SimulatedOpenAI } from './openai-service.ts';
import { Operators } from './operators.ts';
import { check } from './oracle/check.ts';
import type { ExpectedJob, Sidecar } from './oracle/expectations.ts';
import { jobIdOf } from './oracle/names.ts';
import { Queues } from './queues.ts';
import { Random } from './random.ts';
import { contentOf, retryDropOf, retryKeyOf } from './retry-drops.ts';
import { drawScenario, type Scenario, START_MS } from './scenario.ts';
import { Scheduler, type SchedulerWorld } from './scheduler.ts';
import { HANDLERS, Stack, type StackWorld, type Tamper } from './stack.ts';
import type { Kind } from './weather.ts';

/**
 * Once nothing fails any more, everything must come to its end within this time: a few rounds of a day each, and waits.
 */
const QUIET_WITHIN_MS = 14 * DAY_MS;

/**
 * Whatever hangs or fails, a sweep comes to everything that is overdue in this time, which is more than a dozen polls.
 */
const MAX_OVERDUE_MS = 8 * HOUR_MS;

/** The same for the listing of inputs, which the poll comes to last. */
const MAX_UNLISTED_MS = 16 * HOUR_MS;

export interface SimulationOptions {
  /** Keeps a line for everything that happens. */
  trace?: boolean;
  /** Takes a safety away. */
  tamper?: Tamper;
  /** These kinds of trouble, and no others: see {@link KINDS}. Default: as the seed draws them. */
  weather?: readonly Kind[] | undefined;
}

export interface SimulationResult {
  seed: number;
  /** Broken promises, the first one first; the run ends at the first. */
  violations: string[];
  coverage: Coverage;
  trace: string[];
  stats: { picks: number; jobs: number; batches: number; rounds: number; virtualHours: number };
}

function randomOf(seed: number): Random {
  return new Random(`batchdrop ${seed}`);
}

/** What a seed plays. @param weather see {@link SimulationOptions.weather}. */
export function scenarioOf(seed: number, weather?: readonly Kind[]): Scenario {
  return drawScenario(randomOf(seed).fork('scenario'), weather);
}

/** Runs one seed to its end and checks everything. Never rejects. */
export async function simulate(seed: number, options: SimulationOptions = {}): Promise<SimulationResult> {
  // A seed without compressed files leaves the event loop no turn: a process that runs many has to hear from others in between.
  await setImmediate();
  const simulation = new Simulation(seed, options);
  try {
    await simulation.run();
  } catch (error) {
    simulation.violation(`the simulation itself failed: ${(error as Error).stack}`);
  }
  return simulation.result();
}

class Simulation {
  readonly #seed: number;
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  readonly #queues: Queues;
  /** Of what is put beside the inputs. */
  readonly #others: Random;
  /** Of what OpenAI tells. */
  readonly #webhooks: Random;
  readonly #openai: SimulatedOpenAI;
  readonly #stacks: Stack[];
  readonly #operators: Operators;
  readonly #coverage = new Coverage();
  readonly #violations: string[] = [];
  readonly #trace: string[] | undefined;
  readonly #jobs: ExpectedJob[] = [];
  #isRestored = false;
  /** Options beside inputs, by bucket and key. */
  readonly #sidecars = new Map<string, Sidecar>();
  #drops: number;
  #stats = { jobs: 0, batches: 0, rounds: 0 };

  constructor(seed: number, { trace, tamper, weather: chosen }: SimulationOptions) {
    this.#seed = seed;
    const random = randomOf(seed);
    this.#scenario = scenarioOf(seed, chosen);
    this.#random = random.fork('schedule');
    this.#others = random.fork('others');
    this.#webhooks = random.fork('webhooks');
    const faults = new Faults(
      random.fork('faults'),
      this.#scenario.weather,
      this.#scenario.operations !== undefined,
    );
    const world: SchedulerWorld = {
      note: (what, times) => this.#coverage.add(what, times),
      violation: (text) => this.violation(text),
      trace: (text) => this.trace(text),
      run: ({ place, handler }, message, gate, deadline) =>
        HANDLERS[handler].run(this.#stacks[place]!.depsFor(handler, gate, deadline), message),
      freed: ({ place, handler }) => this.#queues.freed(place, handler),
    };
    this.#scheduler = new Scheduler(world, this.#scenario, { random: this.#random, faults });
    this.#queues = new Queues(this.#scheduler, this.#scenario, this.#random, world);
    this.#trace = trace ? [] : undefined;
    this.#openai = new SimulatedOpenAI(this, random.fork('openai'), this.#scenario);
    this.#stacks = [];
    for (let place = 0; place < this.#scenario.stacks; place++) {
      const beside = this.#scenario.shared === undefined ? undefined : this.#stacks[0];
      const options = { place, beside, tamper };
      this.#stacks.push(new Stack(this.#worldOf(place), this.#scenario, this.#openai, options));
    }
    this.#operators = new Operators(
      {
        note: (what) => this.note(what),
        trace: (text) => this.trace(text),
        after: (delayMs, what, run) => this.after(delayMs, what, run),
        jobs: () => this.#jobs.map(({ head, drop }) => ({ jobId: jobIdOf(head), place: drop.stack })),
        places: () => [...this.#stacks.keys()],
        cancels: (jobId) => {
          const expected = this.#expectedOf(jobId);
          if (expected !== undefined) expected.cancelled = true;
        },
        operate: (...act) => this.#operate(...act),
      },
      random.fork('operators'),
    );
    this.#openai.calls.isKept = (id) => this.#stacks.some(({ objects }) => objects.keptAnswers.has(id));
    const { background } = this.#openai;
    background.isKept = this.#openai.calls.isKept;
    background.recordOf = (id) =>
      this.#stacks
        .map(({ objects }) => objects.recordedResponses.get(id))
        .find((record) => record !== undefined);
    this.#openai.onResultDeleted = ({ batch }) => {
      const stack = this.#stacks.find(({ id }) => id === batch.owner)!;
      if (!stack.objects.published.has(batch.jobId)) {
        this.violation(
          `results of ${batch.id} were deleted at OpenAI before the receipt of their job was written`,
        );
      }
    };
    this.#drops = this.#scenario.drops.length;
  }

  now(): number {
    return this.#scheduler.now();
  }

  isStormy(): boolean {
    return this.#scheduler.isStormy();
  }

  note(what: string): void {
    this.#coverage.add(what);
    const edges = this.#scenario.restore === undefined ? STATE_EDGES : [...STATE_EDGES, ...ADOPTION_EDGES];
    if (/^(job|batch):/.test(what) && !edges.includes(what)) {
      this.violation(`${what} is no arrow that a record may go`);
    }
  }

  violation(text: string): void {
    this.#violations.push(text);
    this.trace(`!!! ${text}`);
  }

  trace(text: string): void {
    this.#trace?.push(`${new Date(this.now()).toISOString().slice(8, 23)} ${text}`);
  }

  after(delayMs: number, what: string, run: () => void): void {
    this.#scheduler.after(delayMs, what, run);
  }

  /** @param state which a batch of a job has come to, or what begins with the job itself. */
  #reached(place: number, jobId: string, state: BatchState | 'finalizing'): void {
    const expected = this.#expectedOf(jobId);
    const { cancelled } = expected?.drop ?? {};
    if (expected === undefined || expected.cancelled || cancelled?.state !== state) return;
    this.#cancelLater(place, expected, cancelled.delayMs);
    // Else nobody would ever find a batch in this state.
    if (state === 'uploaded' && this.isStormy()) this.#scheduler.doom();
  }

  #expectedOf(jobId: string): ExpectedJob | undefined {
    return this.#jobs.find(({ head }) => jobIdOf(head) === jobId);
  }

  /** Its input cannot be read any more from some time on. */
  #denyLater(place: number, { jobId, source }: Job): void {
    const expected = this.#expectedOf(jobId);
    const { deniedLater } = expected?.drop ?? {};
    if (expected === undefined || deniedLater === undefined || expected.laterDenial !== undefined) return;
    const { afterMs, forMs, reason } = deniedLater;
    const denial = { until: 0, reason, isOfHead: false, isLater: true, refusals: 0 };
    expected.laterDenial = denial;
    this.after(afterMs, `${source.key} cannot be read any more`, () => {
      denial.until = this.now() + forMs;
      this.#stacks[place]!.objects.deny(source, denial);
    });
  }

  /** A person may have to act on what is held for one. */
  lost({ jobId, owner }: ServiceBatch): void {
    const expected = this.#expectedOf(jobId);
    const { routes } = this.#scenario.settings;
    if (expected === undefined || expected.cancelled || routes[0]!.onLost !== 'hold') return;
    this.note('fault:a lost batch held');
    const place = this.#stacks.findIndex(({ id }) => id === owner);
    this.#cancelLater(place, expected, this.#random.spread(HOUR_MS, 4 * DAY_MS));
  }

  areSameContent(jobId: string, other: string): boolean {
    // A retry is checked against what its job has given back: see `#retried`.
    const [one, another] = [this.#expectedOf(jobId), this.#expectedOf(other)];
    return one !== undefined && another !== undefined && contentOf(one.drop) === contentOf(another.drop);
  }

  apiKeyOfJob(jobId: string): string | undefined {
    const expected = this.#jobs.find(({ head }) => jobIdOf(head) === jobId);
    return expected && this.#apiKeyOf(expected.drop);
  }

  apiKeyOfLine(marker: string): string | undefined {
    const [index] = marker.split('.');
    const drop = this.#scenario.drops.find((one) => one.index === Number(index));
    return drop && this.#apiKeyOf(drop);
  }

  #apiKeyOf({ key }: Drop): string {
    return apiKeyOf(routeOf(this.#scenario.settings, key)!);
  }

  termsOfLine(marker: string): LineTerms | undefined {
    const [index] = marker.split('.');
    const expected = this.#jobs.find(({ drop }) => drop.index === Number(index));
    const line = expected?.drop.lines.find((one) => one.marker === marker);
    if (expected === undefined || line === undefined) return undefined;
    const { deadline, tiers, responseRetention } = routeOf(this.#scenario.settings, expected.drop.key)!;
    const { body } = JSON.parse(line.text) as {
      body: { store?: boolean; metadata?: Record<string, string> };
    };
    const deadlineMs = deadline === undefined ? undefined : readDuration(deadline);
    return {
      store: body.store,
      metadata: body.metadata ?? {},
      isShortLived: responseRetention === '10m',
      deadlineAt: deadlineMs === undefined ? undefined : expected.head.lastModified + deadlineMs,
      lastTier: tiers.at(-1)!,
      isCancelled: expected.cancelled,
    };
  }

  hasWebhooks(apiKey: string): boolean {
    return this.#scenario.settings.webhooks?.apiKeys.includes(apiKey) === true;
  }

  /** OpenAI tells of what has ended in a project: every stack that has an endpoint there. */
  webhook(type: ObserveMessage['type'], objectId: string, apiKey: string): void {
    const random = this.#webhooks;
    const webhookId = `wh_${this.#scheduler.nextId()}`;
    const isStormy = this.isStormy();
    const { lost, late, twice } = this.#scenario.webhooks!;
    for (const place of this.#stacks.keys()) {
      if (isStormy && random.chance(lost)) {
        this.note('webhook:lost');
        continue;
      }
      const isTwice = isStormy && random.chance(twice);
      if (isTwice) this.note('webhook:twice');
      for (let copy = 0; copy < (isTwice ? 2 : 1); copy++) {
        const isLate = isStormy && random.chance(late);
        if (isLate) this.note('webhook:late');
        const delayMs = isLate ? random.spread(MINUTE_MS, 6 * HOUR_MS) : random.spread(100, 5_000);
        this.after(delayMs, '', () => {
          const receivedAt = this.now();
          const message: ObserveMessage = { v: 1, webhookId, type, objectId, apiKey, receivedAt };
          this.note(`webhook:${type}`);
          this.#queues.post('observe', message, { place, isEvent: false, mayBeLost: true });
        });
      }
    }
  }

  isDroppedAgain(marker: string): boolean {
    const [index] = marker.split('.');
    return this.#scenario.drops.some(({ sameAs }) => sameAs === Number(index));
  }

  /** What a stack sees of the simulation. */
  #worldOf(place: number): StackWorld {
    return {
      now: () => this.now(),
      note: (what) => this.note(what),
      violation: (text) => this.violation(text),
      trace: (text) => this.trace(text),
      moved: ({ jobId, state }) => this.#reached(place, jobId, state),
      planned: (job) => this.#denyLater(place, job),
      finalizing: (jobId) => this.#reached(place, jobId, 'finalizing'),
      held: ({ jobId }) => {
        this.note('fault:a batch held');
        const delayMs = this.#random.spread(10 * MINUTE_MS, 2 * DAY_MS);
        this.after(delayMs, `what is held of ${jobId} is released`, () =>
          this.#operators.send(place, { v: 1, action: 'resume', jobId }, () => {}),
        );
      },
      ended: (jobId) => {
        const { operations } = this.#scenario;
        if (operations !== undefined) this.#operators.ended(operations, place, jobId);
      },
      dropped: (key) => void this.#retried(place, key),
      send: (queue, message, delayMs) =>
        this.#queues.post(
          queue,
          plainCopy(message),
          // Only these name an object that has no job and is not listed: SQS itself loses nothing.
          { place, isEvent: false, mayBeLost: queue !== 'ingest' || delayMs === undefined },
          delayMs,
        ),
    };
  }

  #cancelLater(place: number, expected: ExpectedJob, delayMs: number): void {
    expected.cancelled = true;
    const { duplicates } = expected.drop.cancelled ?? {};
    const jobId = jobIdOf(expected.head);
    const of = duplicates === undefined ? {} : { duplicates };
    this.after(delayMs, `the job of ${expected.drop.key} is cancelled`, () => {
      this.note('fault:job cancelled');
      this.#operators.send(place, { v: 1, action: 'cancel', jobId, ...of }, () => {});
    });
  }

  async run(): Promise<void> {
    for (const drop of this.#scenario.drops) {
      this.after(drop.at, '', () => void this.#drop(drop));
      if (drop.sidecar !== undefined) this.after(drop.sidecar.at, '', () => void this.#putSidecar(drop));
    }
    if (this.#scenario.kinds.has('work-expiry')) {
      this.note('fault:a person comes after weeks');
      this.#expireLater();
    }
    this.after(this.#scenario.calmAt, 'budgets are raised', () => raiseBudgets(this.#scenario.settings));
    if (this.#scenario.operations !== undefined) this.#operators.begin(this.#scenario.operations);
    if (this.#scenario.restore !== undefined) this.#scheduleRestore(this.#scenario.restore);
    for (const place of this.#stacks.keys()) {
      this.#schedulePoll(place, 0);
      this.#putOthersLater(place);
    }
    if (this.#scenario.openai.apiKeys.length > 1) this.note('fault:two API keys');
    const { takeOverAt } = this.#scenario.shared ?? {};
    if (takeOverAt !== undefined) this.after(takeOverAt, '', () => void this.#takeOver());
    if (this.#stacks.length > 1) this.note('fault:two live stacks in one project');
    while (this.#violations.length === 0 && (await this.#scheduler.pick()));
    if (this.#violations.length > 0) return;
    if (this.#scenario.shared !== undefined) await this.#noteShared();
    const { kinds, weather } = this.#scenario;
    const expectations = {
      kinds,
      isHurried: weather.hurry > 0,
      sidecars: this.#sidecars,
      isShared: this.#scenario.shared !== undefined,
      jobs: this.#jobs,
      isRestored: this.#isRestored,
      ...this.#scheduler.losses,
    };
    this.#stats = await check(expectations, this.#stacks, this.#openai, (text) => this.violation(text));
  }

  /** The stack that has no prefixes is deployed anew, to take over from the one that has them. */
  async #takeOver(): Promise<void> {
    const [one, other] = this.#stacks as [Stack, Stack];
    const isOfOther = (await one.owners.readOwners())?.body.includes(`"stackId": "${other.id}"`) ?? false;
    const [former, next] = isOfOther ? [other, one] : [one, other];
    this.trace(`${next.id} takes over from ${former.id}`);
    next.settings.takeOver = former.id;
  }

  /** What came of two stacks on one bucket. */
  async #noteShared(): Promise<void> {
    const isRefused = this.#stacks.some(({ events }) =>
      events.sent.some(({ rejection }) => rejection?.code === 'prefix_owned'),
    );
    if (isRefused) this.note('shared bucket:refused');
    const runs = this.#stacks.map(({ jobs }) =>
      Promise.all(this.#jobs.map(({ head }) => jobs.getJob(jobIdOf(head)))),
    );
    const haveRun = (await Promise.all(runs)).filter((jobs) => jobs.some((job) => job !== undefined));
    if (haveRun.length > 1) this.note('shared bucket:taken over');
  }

  /** A worker that runs while the table is restored dies: an operator stops them. */
  #scheduleRestore({ to, at }: { to: number; at: number }): void {
    let restore: (() => void) | undefined;
    this.after(to, 'the table is restored to this point', () => {
      restore = this.#stacks[0]!.snapshot();
    });
    this.after(at, 'the table is restored', () => {
      this.#scheduler.killAll('for a restore');
      restore?.();
      // What no record knows any more is for the list alone to say: see `SimulatedOpenAI`.
      this.#openai.recorded.clear();
      this.#openai.seenRunning.clear();
      this.#isRestored = true;
      this.note('fault:table restored');
    });
  }

  result(): SimulationResult {
    return {
      seed: this.#seed,
      violations: this.#violations,
      coverage: this.#coverage,
      trace: this.#trace ?? [],
      stats: {
        ...this.#stats,
        picks: this.#scheduler.picks,
        virtualHours: (this.now() - START_MS) / HOUR_MS,
      },
    };
  }

  #schedulePoll(place: number, delayMs: number): void {
    this.after(delayMs, '', () => void this.#poll(place));
  }

  async #poll(place: number): Promise<void> {
    const { restore } = this.#scenario;
    // Its time may have come without it: what is due at one instant comes in any order.
    const isRestoreDue = restore !== undefined && !this.#isRestored;
    if (
      !isRestoreDue &&
      this.#drops === 0 &&
      this.#operators.isDone &&
      this.#queues.waiting().length === 0 &&
      this.#scheduler.countRunning() === 0
    ) {
      const live = await this.#live();
      if (live.length === 0) {
        this.trace('all is quiet');
        return;
      }
    }
    if (this.now() > this.#quietFrom() + QUIET_WITHIN_MS) {
      const live = await this.#live();
      const queues = this.#queues.waiting();
      this.violation(`in flight for ever: ${[...live, ...queues].join('; ')}`);
      return;
    }
    const overdue = await this.#stacks[place]!.overdueSince(this.now() - MAX_OVERDUE_MS);
    // Where nothing hangs, all of a dozen polls in a row may be killed before they come to it.
    const { kinds } = this.#scenario;
    const isHanging = kinds.has('hanging-calls') && restore === undefined;
    const isLate = kinds.has('late-polls') && restore === undefined;
    if ((isHanging || isLate) && overdue.length > 0)
      this.violation(`nothing has been swept for hours: ${overdue.join('; ')}`);
    const listing = await this.#stacks[place]!.listing.getListing();
    if (isHanging && !isLate && listing !== undefined && this.now() > listing.nextAt + MAX_UNLISTED_MS)
      this.violation('inputs have not been listed for hours');
    this.#schedulePoll(place, this.#pollEveryMs());
    if (this.#isUnpolled()) {
      this.note('fault:the poll does not run');
      return;
    }
    this.#scheduler.start(place, 'poll', undefined, () => {});
    if (this.isStormy() && this.#random.chance(0.05)) {
      this.note('fault:poll twice');
      this.#scheduler.start(place, 'poll', undefined, () => {});
    }
  }

  #isUnpolled(): boolean {
    const { from, until } = this.#scenario.unpolled ?? { from: 0, until: 0 };
    return this.now() >= START_MS + from && this.now() < START_MS + until;
  }

  /** Objects that are no inputs have workers of ingest begin, while no poll runs. */
  #putOthersLater(place: number): void {
    const { unpolled } = this.#scenario;
    if (unpolled === undefined || this.now() >= START_MS + unpolled.until) return;
    this.after(this.#others.spread(5 * MINUTE_MS, 40 * MINUTE_MS), '', () => {
      const other = { bucket: this.#stacks[place]!.bucket, key: 'elsewhere/other.jsonl' };
      if (this.#isUnpolled()) this.#queues.post('ingest', other, { place, isEvent: true, mayBeLost: true });
      this.#putOthersLater(place);
    });
  }

  /** When the last thing that a person has to set right is right. */
  #quietFrom(): number {
    const { calmAt, openai } = this.#scenario;
    return START_MS + Math.max(calmAt, openai.trouble?.isLasting ? openai.trouble.until : 0);
  }

  /** Rarely while nothing but time passes. */
  #pollEveryMs(): number {
    if (this.isStormy()) return this.#scenario.pollEveryMs;
    return this.now() < this.#quietFrom() ? 6 * HOUR_MS : 30 * MINUTE_MS;
  }

  /** Every day, for as long as anything may still have to be read. */
  #expireLater(): void {
    this.after(DAY_MS, '', () => {
      for (const { objects } of this.#stacks) objects.expire();
      if (this.now() < this.#quietFrom() + 2 * DAY_MS) this.#expireLater();
    });
  }

  async #putSidecar({ key, stack, sidecar }: Drop): Promise<void> {
    const { objects, bucket } = this.#stacks[stack]!;
    const { maxTries } = sidecar!;
    await objects.put(`${key}.options.json`, Buffer.from(JSON.stringify({ maxTries })));
    const { lastModified } = (await objects.head(bucket, `${key}.options.json`))!;
    const routeTries = routeOf(this.#scenario.settings, key)!.maxTries;
    this.#sidecars.set(`${bucket}/${key}`, { lastModified, maxTries, routeTries });
    const isBefore = !this.#jobs.some(({ head }) => head.bucket === bucket && head.key === key);
    this.note(`sidecar:${isBefore ? 'before' : 'after'}`);
    this.trace(`options beside ${key}: ${maxTries} tries`);
  }

  /** What has not come to its end: records that need something, and objects that have no record. */
  async #live(): Promise<string[]> {
    const live = (await Promise.all(this.#stacks.map((stack) => stack.live()))).flat();
    for (const { drop, head, calledOff } of this.#jobs) {
      if (!calledOff && !(await this.#isKnown(drop, head)))
        live.push(`drop ${drop.index} (${drop.key}), of which nobody knows`);
    }
    for (const { id } of this.#stacks) {
      const left = this.#openai.inputFilesLeft(id);
      if (left > 0) live.push(`${left} input files of ${id} at OpenAI`);
    }
    if (live.length === 1 && live[0]!.includes('input files')) this.note('fault:input file left behind');
    return live;
  }

  /** Whether a stack that may run it has its job. */
  async #isKnown({ stack }: Drop, head: ObjectHead): Promise<boolean> {
    const places = this.#scenario.shared === undefined ? [stack] : [...this.#stacks.keys()];
    const jobId = jobIdOf(head);
    if (places.some((place) => this.#stacks[place]!.jobs.buried.has(jobId))) return true;
    const jobs = await Promise.all(places.map((place) => this.#stacks[place]!.jobs.getJob(jobId)));
    return jobs.some((job) => job !== undefined);
  }

  async #drop(drop: Drop): Promise<void> {
    const stack = this.#stacks[drop.stack]!;
    await stack.objects.put(drop.key, drop.body);
    this.#drops--;
    await this.#dropped(drop);
  }

  /** An operator has dropped what a job has given back: this, and nothing else, and once. */
  async #retried(place: number, key: string): Promise<void> {
    const { objects } = this.#stacks[place]!;
    const { jobId, number } = retryKeyOf(key)!;
    const body = (await objects.get(key))!;
    const index = this.#scenario.drops.length + this.#jobs.length;
    const of = this.#expectedOf(jobId)!.drop;
    const drop = retryDropOf(key, body, { index, of, at: this.now() - START_MS });
    const files = objects.published.get(jobId)?.map(({ files }) => files.get('retry')) ?? [];
    if (drop === undefined || !files.some((file) => file !== undefined && Buffer.from(file).equals(body))) {
      this.violation(`${key} is not what job ${jobId} has given back`);
      return;
    }
    const before = this.#jobs.find(({ drop: other }) => other.key === key);
    if (before !== undefined && !this.#operators.acknowledged.has(`${jobId} ${number}`))
      this.violation(`${key} was dropped twice, and nobody has said that it may be paid for twice`);
    await this.#dropped(before === undefined ? drop : { ...drop, sameAs: before.drop.index });
  }

  /** It is in the bucket. */
  async #dropped(drop: Drop): Promise<void> {
    const stack = this.#stacks[drop.stack]!;
    const head = (await stack.objects.head(stack.bucket, drop.key))!;
    if (!this.#scenario.isVersioned) this.#callOff(drop);
    if (drop.sameAs !== undefined) this.#noteSameContent(drop, head);
    const unreadableMs = this.#scenario.settings.inputs.unreadableHours * HOUR_MS;
    this.#jobs.push({ drop, head, unreadableMs, calledOff: false, cancelled: false });
    this.trace(`drop ${drop.index}: ${drop.key}, ${drop.lines.length} lines`);
    const { versionId } = head;
    const location = {
      bucket: stack.bucket,
      key: drop.key,
      ...(versionId === undefined ? {} : { versionId }),
    };
    // The listing leaves alone what lay there when the deployment first ran.
    const since = (await stack.listing.getListing())?.since ?? Number.POSITIVE_INFINITY;
    if (drop.denied !== undefined) {
      const { forMs, reason, isOfHead } = drop.denied;
      if (isOfHead && head.lastModified < since) this.note('denied:before the first listing');
      const denial = { until: this.now() + forMs, reason, isOfHead, isLater: false, refusals: 0 };
      stack.objects.deny(head, denial);
    }
    this.#queues.post('ingest', location, {
      place: drop.stack,
      isEvent: true,
      mayBeLost: head.lastModified >= since,
    });
    if (this.#scenario.shared !== undefined) {
      const otherSince = (await this.#stacks[1]!.listing.getListing())?.since ?? Number.POSITIVE_INFINITY;
      const mayBeLost = head.lastModified >= otherSince;
      this.#queues.post('ingest', location, { place: 1, isEvent: true, mayBeLost });
    }
    if (drop.destroyedAt === undefined) return;
    this.after(START_MS + drop.destroyedAt - this.now(), `${drop.key} is destroyed`, () => {
      // Older and newer versions go as well.
      stack.objects.destroy(drop.key);
      for (const job of this.#callOff(drop)) job.destroyedAt ??= this.now();
    });
  }

  /** Whether it comes after another content, and in one second with that. */
  #noteSameContent({ stack, key, sameAs }: Drop, { lastModified }: ObjectHead): void {
    this.note('fault:the same content again');
    const before = this.#jobs.findLast(({ drop }) => drop.stack === stack && drop.key === key);
    if (before === undefined || (before.drop.sameAs ?? before.drop.index) === sameAs) return;
    this.note('same content:after another');
    if (before.head.lastModified === lastModified) this.note('same content:in one second');
  }

  #operate(place: number, request: OperateInput, answered: (answer: OperateAnswer) => void): void {
    this.#scheduler.start(place, 'operate', request, ({ error, result }) => {
      if (error === undefined) answered(result as OperateAnswer);
    });
  }

  /** What stood at a key is not there any more. @returns what was dropped there. */
  #callOff({ stack, key }: Drop): ExpectedJob[] {
    const jobs = this.#jobs.filter(({ drop }) => drop.stack === stack && drop.key === key);
    for (const job of jobs) job.calledOff = true;
    return jobs;
  }
}
