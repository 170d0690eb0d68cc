/**
 * Runs one seed: a clock that stands still unless it is moved, and a scheduler that decides, call by call, who goes on.
 * Handlers are the real core on memory adapters. Each call of a port waits here until it is picked; between two picks every
 * handler runs until it waits again, so that the order of everything is a function of the seed.
 */

import { setImmediate as untilIdle } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { BatchMessage } from '../../src/contract/messages.ts';
import { NotYetError } from '../../src/core/errors.ts';
import { routeOf } from '../../src/core/ingest/route.ts';
import { jobIdOf } from '../../src/core/job-id.ts';
import { apiKeyOf, type BatchRecord } from '../../src/core/model.ts';
import type { Pause } from '../../src/core/ports.ts';
import { backoffSeconds } from '../../src/runtime/queue-handler.ts';
import { check, type Expectations, type ExpectedJob } from './check.ts';
import { ADOPTION_EDGES, Coverage, STATE_EDGES } from './coverage.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from './durations.ts';
import { Faults, InjectedError } from './faults.ts';
import { raiseBudgets } from './money.ts';
import type { ServiceBatch } from './openai-model.ts';
import { SimulatedOpenAI } from './openai-service.ts';
import type { CallKind, Gate } from './port-calls.ts';
import { Random } from './random.ts';
import { type Drop, drawScenario, type Scenario, START_MS } from './scenario.ts';
import { HANDLERS, type HandlerName, type QueueName, Stack, type StackWorld, type Tamper } from './stack.ts';
import type { Kind } from './weather.ts';

/** Once nothing fails any more, everything must come to its end within this time: a few rounds of a day each, and waits. */
const QUIET_WITHIN_MS = 14 * DAY_MS;
/** A seed takes a few thousand picks; this many mean that something runs in circles. */
const MAX_PICKS = 300_000;
/** `lib/work-queue.ts`: one minute more than the longest run. */
const VISIBILITY_MS = 16 * MINUTE_MS;
const MAX_RECEIVES = 10;
/** Ingest gives up on a file after four runs that never came back (`MAX_STARTS`), rightly: stay below. */
const MAX_INGEST_KILLS = 3;

export interface SimulationOptions {
  /** Keeps a line for everything that happens. */
  trace?: boolean;
  /** Takes a safety away. */
  tamper?: Tamper;
  /** These kinds of trouble, and no others: see {@link KINDS}. Default: as the seed draws them. */
  weather?: readonly Kind[];
}

export interface SimulationResult {
  seed: number;
  /** Broken promises, the first one first; the run ends at the first. */
  violations: string[];
  coverage: Coverage;
  trace: string[];
  stats: { picks: number; jobs: number; batches: number; rounds: number; virtualHours: number };
}

/** Runs one seed to its end and checks everything. Never rejects. */
export async function simulate(seed: number, options: SimulationOptions = {}): Promise<SimulationResult> {
  const simulation = new Simulation(seed, options);
  try {
    await simulation.run();
  } catch (error) {
    simulation.violation(`the simulation itself failed: ${(error as Error).stack}`);
  }
  return simulation.result();
}

interface Invocation {
  id: number;
  /** Whose it is: the place of a stack. */
  place: number;
  handler: HandlerName;
  endsAt: number;
  /** Calls that wait to be picked. */
  waiting: number;
  state: 'running' | 'ended' | 'dead';
  /** What its message names. */
  slice: BatchMessage;
}

interface PendingCall {
  invocation: Invocation;
  name: string;
  kind: CallKind;
  subject: string;
  effect: () => Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

interface Message {
  id: number;
  /** Whose it is: the place of a stack. */
  place: number;
  queue: QueueName;
  body: unknown;
  /** S3 told of an object. */
  isEvent: boolean;
  /** Whether somebody else would miss it: the sweep, or the listing of inputs. */
  mayBeLost: boolean;
  receives: number;
  isDone: boolean;
}

interface Timer {
  at: number;
  what: string;
  run: () => void;
}

class Simulation {
  readonly #seed: number;
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #faults: Faults;
  readonly #openai: SimulatedOpenAI;
  readonly #stacks: Stack[];
  readonly #coverage = new Coverage();
  readonly #violations: string[] = [];
  readonly #trace: string[] | undefined;
  readonly #running = new Set<Invocation>();
  readonly #expectations: Expectations = {
    jobs: [],
    ingestKills: 0,
    ingestErrors: 0,
    isRestored: false,
    interrupted: new Set(),
  };
  readonly #messages = new Set<Message>();
  #pending: PendingCall[] = [];
  #timers: Timer[] = [];
  #now = START_MS;
  #made = 0;
  /** Whoever made the call that has just had its effect dies. */
  #isDoomed = false;
  #picks = 0;
  #drops: number;
  #stats = { jobs: 0, batches: 0, rounds: 0 };

  constructor(seed: number, { trace, tamper, weather: chosen }: SimulationOptions) {
    this.#seed = seed;
    const random = new Random(`batchdrop ${seed}`);
    this.#scenario = drawScenario(random.fork('scenario'), chosen);
    this.#random = random.fork('schedule');
    this.#faults = new Faults(random.fork('faults'), this.#scenario.weather);
    this.#trace = trace ? [] : undefined;
    this.#openai = new SimulatedOpenAI(this, random.fork('openai'), this.#scenario);
    this.#stacks = Array.from(
      { length: this.#scenario.stacks },
      (_, place) => new Stack(this.#worldOf(place), this.#scenario, this.#openai, place, tamper),
    );
    this.#openai.calls.isKept = (id) => this.#stacks.some(({ objects }) => objects.keptAnswers.has(id));
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
    return this.#now;
  }

  isStormy(): boolean {
    return this.#now < START_MS + this.#scenario.calmAt;
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
    this.#trace?.push(`${new Date(this.#now).toISOString().slice(8, 23)} ${text}`);
  }

  after(delayMs: number, what: string, run: () => void): void {
    this.#timers.push({ at: this.#now + delayMs, what, run });
  }

  moved({ jobId, state }: BatchRecord): void {
    const expected = this.#expectations.jobs.find(({ head }) => jobIdOf(head) === jobId);
    const { cancelled } = expected?.drop ?? {};
    if (expected === undefined || expected.cancelled || cancelled?.state !== state) return;
    this.#cancelLater(expected, cancelled.delayMs);
    // Else nobody would ever find a batch in this state.
    this.#isDoomed = state === 'uploaded' && this.isStormy();
  }

  /** A person may have to act on what is held for one. */
  lost({ jobId }: ServiceBatch): void {
    const expected = this.#expectations.jobs.find(({ head }) => jobIdOf(head) === jobId);
    const { routes } = this.#scenario.settings;
    if (expected === undefined || expected.cancelled || routes[0]!.onLost !== 'hold') return;
    this.note('fault:a lost batch held');
    this.#cancelLater(expected, this.#random.spread(HOUR_MS, 4 * DAY_MS));
  }

  areSameContent(jobId: string, other: string): boolean {
    const contentOf = (id: string): number | undefined => {
      const drop = this.#expectations.jobs.find(({ head }) => jobIdOf(head) === id)?.drop;
      return drop && (drop.sameAs ?? drop.index);
    };
    return contentOf(jobId) !== undefined && contentOf(jobId) === contentOf(other);
  }

  apiKeyOfJob(jobId: string): string | undefined {
    const expected = this.#expectations.jobs.find(({ head }) => jobIdOf(head) === jobId);
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
      moved: (batch) => this.moved(batch),
      send: (queue, message) =>
        this.#post(queue, structuredClone(message), { place, isEvent: false, mayBeLost: true }),
    };
  }

  #cancelLater(expected: ExpectedJob, delayMs: number): void {
    expected.cancelled = true;
    this.after(delayMs, `the job of ${expected.drop.key} is cancelled`, () =>
      this.#cancel(expected.drop.stack, jobIdOf(expected.head)),
    );
  }

  async run(): Promise<void> {
    for (const drop of this.#scenario.drops) this.after(drop.at, '', () => void this.#drop(drop));
    this.after(this.#scenario.calmAt, 'budgets are raised', () => raiseBudgets(this.#scenario.settings));
    if (this.#scenario.restore !== undefined) this.#scheduleRestore(this.#scenario.restore);
    for (const place of this.#stacks.keys()) this.#schedulePoll(place, 0);
    if (this.#scenario.openai.apiKeys.length > 1) this.note('fault:two API keys');
    if (this.#stacks.length > 1) this.note('fault:two live stacks in one project');
    while (this.#violations.length === 0 && (await this.#pick()));
    if (this.#violations.length > 0) return;
    this.#stats = await check(this.#expectations, this.#stacks, this.#openai, (text) => this.violation(text));
  }

  /** Whoever runs while the table is restored dies: an operator stops them. */
  #scheduleRestore({ to, at }: { to: number; at: number }): void {
    let restore: (() => void) | undefined;
    this.after(to, 'the table is restored to this point', () => {
      restore = this.#stacks[0]!.snapshot();
    });
    this.after(at, 'the table is restored', () => {
      for (const invocation of [...this.#running]) this.#kill(invocation, 'for a restore');
      restore?.();
      // What no record knows any more is for the list alone to say: see `SimulatedOpenAI`.
      this.#openai.recorded.clear();
      this.#openai.seenRunning.clear();
      this.#expectations.isRestored = true;
      this.note('fault:table restored');
    });
  }

  result(): SimulationResult {
    return {
      seed: this.#seed,
      violations: this.#violations,
      coverage: this.#coverage,
      trace: this.#trace ?? [],
      stats: { ...this.#stats, picks: this.#picks, virtualHours: (this.#now - START_MS) / (60 * MINUTE_MS) },
    };
  }

  /** One step. `false`: nothing is left to do. */
  async #pick(): Promise<boolean> {
    await this.#untilAllWait();
    for (const invocation of this.#running) {
      if (this.#now < invocation.endsAt) continue;
      this.note('fault:timeout of a function');
      this.#kill(invocation, 'its time is up');
    }
    const due = this.#timers.filter(({ at }) => at <= this.#now);
    if (due.length === 0 && this.#pending.length === 0) {
      if (this.#timers.length === 0) return false;
      this.#now = Math.min(...this.#timers.map(({ at }) => at));
      return true;
    }
    if (++this.#picks > MAX_PICKS) {
      this.violation(`still busy after ${MAX_PICKS} steps`);
      return true;
    }
    const index = this.#random.whole(0, due.length + this.#pending.length - 1);
    const timer = due[index];
    if (timer === undefined) {
      this.#release(this.#pending.splice(index - due.length, 1)[0]!);
    } else {
      this.#timers.splice(this.#timers.indexOf(timer), 1);
      if (timer.what !== '') this.trace(timer.what);
      timer.run();
    }
    return true;
  }

  /** Returns once no handler can go on by itself. */
  async #untilAllWait(): Promise<void> {
    for (let turns = 0; ; turns++) {
      await untilIdle();
      // Only unpacking goes on by itself, on threads of its own.
      if (![...this.#running].some(({ waiting }) => waiting === 0)) return;
      if (turns > 1_000_000) throw new Error('a handler waits for nothing');
    }
  }

  #release(call: PendingCall): void {
    const { invocation, name, kind, effect, resolve, reject } = call;
    this.note(`called ${name}`);
    invocation.waiting--;
    this.#isDoomed = false;
    this.#now += this.#random.whole(1, 30);
    const isStormy = this.isStormy();
    if (isStormy && this.#random.chance(this.#scenario.weather.slow) && this.#mayLoseIngest()) {
      this.note('fault:slow call');
      this.#now += this.#random.spread(SECOND_MS, 10 * MINUTE_MS);
    }
    let fate = isStormy ? this.#faults.of(name, kind) : 'none';
    if (fate.startsWith('kill') && invocation.handler === 'ingest' && !this.#mayLoseIngest()) fate = 'none';
    this.trace(
      `  #${invocation.id} ${invocation.handler} ${name} ${call.subject}${fate === 'none' ? '' : ` [${fate}]`}`,
    );
    if (fate !== 'none') this.note(`${fate} ${name}`);
    if (fate === 'kill before') {
      this.#kill(invocation, '');
      return;
    }
    if (fate === 'error before') {
      reject(new InjectedError(name));
      return;
    }
    const failed = (error: unknown): void => {
      this.note(`thrown:${(error as Error).name}`);
      this.trace(`  #${invocation.id} ${name} failed: ${(error as Error).message}`);
      reject(error);
    };
    const done = fate === 'retried' ? effect().then(effect) : effect();
    if (fate === 'kill after') {
      done.then(
        () => this.#kill(invocation, ''),
        () => this.#kill(invocation, ''),
      );
    } else if (fate === 'error after') done.then(() => reject(new InjectedError(name)), failed);
    else {
      done.then((value) => {
        if (!this.#isDoomed) resolve(value);
        else this.#kill(invocation, 'after that');
      }, failed);
    }
  }

  /** Whether an ingest may still be killed: see {@link MAX_INGEST_KILLS}. */
  #mayLoseIngest(): boolean {
    return this.#expectations.ingestKills < MAX_INGEST_KILLS;
  }

  /** From here on, nothing of this invocation happens any more, except what is on its way already. */
  #kill(invocation: Invocation, why: string): void {
    if (invocation.state !== 'running') return;
    this.trace(`  #${invocation.id} ${invocation.handler} is killed ${why}`);
    invocation.state = 'dead';
    this.#running.delete(invocation);
    if (invocation.handler === 'ingest') this.#expectations.ingestKills++;
    this.#interrupted(invocation);
    const isOf = (call: PendingCall): boolean => call.invocation === invocation;
    const onTheWay = this.#pending.filter(isOf).filter(() => this.#random.chance(0.3));
    this.#pending = this.#pending.filter((call) => !isOf(call));
    for (const { effect } of onTheWay) effect().catch(() => {});
  }

  /** A slice whose worker is lost: what was called, and what was only about to be, may have been charged. */
  #interrupted({ handler, slice }: Invocation): void {
    if (handler === 'call') this.#expectations.interrupted.add(slice.jobId);
  }

  #start(
    place: number,
    handler: HandlerName,
    message: unknown,
    ended: (outcome: { error?: Error }) => void,
  ): void {
    const { minutes, run } = HANDLERS[handler];
    const invocation: Invocation = {
      id: ++this.#made,
      place,
      handler,
      endsAt: this.#now + this.#drawTime(handler, minutes * MINUTE_MS),
      waiting: 0,
      state: 'running',
      slice: (message ?? {}) as BatchMessage,
    };
    for (const other of this.#running)
      if (other.handler === 'call' && isDeepStrictEqual(other.slice, invocation.slice))
        this.#interrupted(other);
    this.#running.add(invocation);
    this.trace(`#${invocation.id} ${handler} begins ${JSON.stringify(message ?? '')}`);
    const end = (outcome: { error?: Error }): void => {
      if (invocation.state !== 'running') return;
      invocation.state = 'ended';
      this.#running.delete(invocation);
      const { error } = outcome;
      if (error !== undefined) this.note(`thrown:${error.name}`);
      if (error !== undefined) this.#interrupted(invocation);
      if (error !== undefined && handler === 'ingest') this.#expectations.ingestErrors++;
      this.trace(
        `#${invocation.id} ${handler} ${error === undefined ? 'ends' : `fails: ${error.name} ${error.message}`}`,
      );
      if (error !== undefined && !isExpected(error)) this.violation(`${handler} failed: ${error.stack}`);
      ended(outcome);
    };
    const deadline = { remainingMs: () => Math.max(0, invocation.endsAt - this.#now) };
    run(this.#stacks[place]!.depsFor(handler, this.#gateOf(invocation), deadline), message).then(
      () => end({}),
      (error: Error) => end({ error }),
    );
  }

  /** Some have less time than others: what takes long in earnest is over in an instant here. */
  #drawTime(handler: HandlerName, most: number): number {
    const mayBeKilled = handler !== 'ingest' || this.#mayLoseIngest();
    if (!this.isStormy() || !mayBeKilled || !this.#random.chance(this.#scenario.weather.hurry)) return most;
    this.note('fault:little time');
    return this.#random.spread(50, most);
  }

  #gateOf(invocation: Invocation): Gate {
    return {
      call: <Result>(name: string, kind: CallKind, subject: string, effect: () => Promise<Result>) =>
        new Promise<Result>((resolve, reject) => {
          // Nobody hears of it.
          if (invocation.state === 'dead') return;
          invocation.waiting++;
          const pending = { invocation, name, kind, subject, effect, resolve, reject };
          this.#pending.push(pending as PendingCall);
        }),
      breakAfter: (name) => {
        if (!this.isStormy() || !this.#random.chance(this.#scenario.weather.error)) return undefined;
        this.note('fault:stream broke off');
        this.trace(`  #${invocation.id} ${name} will break off`);
        return this.#random.spread(1, 2_000);
      },
      lag: (_name, items) => {
        if (!this.isStormy() || this.#scenario.weather.lagIndex === 0) return items;
        const seen = items.filter(() => !this.#random.chance(this.#scenario.weather.lagIndex));
        if (seen.length < items.length) this.note('fault:index lags');
        return seen;
      },
      pause: this.#pauseOf(invocation, 1),
      // Whoever only waits to renew a lease still goes on by himself.
      heartbeat: this.#pauseOf(invocation, 0),
      failure: (name) => new InjectedError(name),
    };
  }

  /** @param weight what a pause counts as among the things that the invocation waits for. */
  #pauseOf(invocation: Invocation, weight: number): Pause {
    return (ms, signal) =>
      new Promise((resolve) => {
        if (invocation.state === 'dead') return;
        if (signal?.aborted) {
          resolve();
          return;
        }
        invocation.waiting += weight;
        const timer: Timer = { at: this.#now + ms, what: '', run: () => wake() };
        const wake = (): void => {
          this.#timers = this.#timers.filter((other) => other !== timer);
          signal?.removeEventListener('abort', wake);
          if (invocation.state === 'dead') return;
          invocation.waiting -= weight;
          resolve();
        };
        signal?.addEventListener('abort', wake, { once: true });
        this.#timers.push(timer);
      });
  }

  #post(queue: QueueName, body: unknown, of: Pick<Message, 'place' | 'isEvent' | 'mayBeLost'>): void {
    const { isEvent, mayBeLost } = of;
    const { dropMessage, duplicateMessage, delayMessage } = this.#scenario.weather;
    const isStormy = this.isStormy();
    if (mayBeLost && isStormy && this.#random.chance(dropMessage)) {
      this.note(isEvent ? 'fault:event lost' : 'fault:message dropped');
      this.trace(`      ${isEvent ? 'an event' : `a message to ${queue}`} is lost`);
      return;
    }
    const isTwice = isStormy && this.#random.chance(duplicateMessage);
    if (isTwice) this.note(isEvent ? 'fault:event twice' : 'fault:message twice');
    for (let copy = 0; copy < (isTwice ? 2 : 1); copy++) {
      const message: Message = { id: ++this.#made, queue, body, ...of, receives: 0, isDone: false };
      this.#messages.add(message);
      const isLate = isStormy && this.#random.chance(delayMessage);
      if (isLate) this.note('fault:message delayed');
      this.after(
        isLate ? this.#random.spread(SECOND_MS, 90 * MINUTE_MS) : this.#random.whole(5, 500),
        '',
        () => this.#deliver(message),
      );
    }
  }

  #deliver(message: Message): void {
    if (message.isDone) return;
    const { queue, place } = message;
    const isOfQueue = (one: Invocation): boolean => one.handler === queue && one.place === place;
    if ([...this.#running].filter(isOfQueue).length >= this.#scenario.concurrency) {
      this.after(this.#random.spread(100, 20 * SECOND_MS), '', () => this.#deliver(message));
      return;
    }
    if (message.receives >= MAX_RECEIVES && message.mayBeLost) {
      this.note('fault:dead letter');
      this.#done(message);
      return;
    }
    const receive = ++message.receives;
    // It comes back when nobody has said anything of it.
    this.after(VISIBILITY_MS, '', () => {
      if (message.isDone || message.receives !== receive) return;
      this.note('fault:message back after 16 minutes');
      this.#bringBack(message);
    });
    this.#start(place, queue, message.body, ({ error }) => {
      if (error === undefined) {
        // Once in a while a message cannot be deleted.
        if (!this.isStormy() || !this.#random.chance(0.05)) this.#done(message);
        return;
      }
      const delay = error instanceof NotYetError ? Math.ceil(error.delayMs / 1000) : backoffSeconds(receive);
      this.after(Math.max(0, delay) * SECOND_MS, '', () => {
        if (message.receives === receive) this.#deliver(message);
      });
    });
  }

  #bringBack(message: Message): void {
    const mayBeLost = message.isEvent && message.mayBeLost && this.isStormy();
    if (!mayBeLost || !this.#random.chance(0.5)) {
      this.#deliver(message);
      return;
    }
    this.note('fault:event lost');
    this.#done(message);
  }

  #done(message: Message): void {
    message.isDone = true;
    this.#messages.delete(message);
  }

  #schedulePoll(place: number, delayMs: number): void {
    this.after(delayMs, '', () => void this.#poll(place));
  }

  async #poll(place: number): Promise<void> {
    const { restore } = this.#scenario;
    const isRestoreDue = restore !== undefined && this.#now <= START_MS + restore.at;
    if (!isRestoreDue && this.#drops === 0 && this.#messages.size === 0 && this.#running.size === 0) {
      const live = await this.#live();
      if (live.length === 0) {
        this.trace('all is quiet');
        return;
      }
    }
    if (this.#now > START_MS + this.#scenario.calmAt + QUIET_WITHIN_MS) {
      const live = await this.#live();
      const queues = [...this.#messages].map(({ queue }) => `a message to ${queue}`);
      this.violation(`in flight for ever: ${[...live, ...queues].join('; ')}`);
      return;
    }
    this.#schedulePoll(place, this.isStormy() ? this.#scenario.pollEveryMs : 30 * MINUTE_MS);
    this.#start(place, 'poll', undefined, () => {});
    if (this.isStormy() && this.#random.chance(0.05)) {
      this.note('fault:poll twice');
      this.#start(place, 'poll', undefined, () => {});
    }
  }

  /** What has not come to its end: records that need something, and objects that have no record. */
  async #live(): Promise<string[]> {
    const live = (await Promise.all(this.#stacks.map((stack) => stack.live()))).flat();
    for (const { drop, head, calledOff } of this.#expectations.jobs) {
      if (!calledOff && (await this.#stacks[drop.stack]!.jobs.getJob(jobIdOf(head))) === undefined)
        live.push(`drop ${drop.index} (${drop.key}), of which nobody knows`);
    }
    for (const { id } of this.#stacks) {
      const left = this.#openai.inputFilesLeft(id);
      if (left > 0) live.push(`${left} input files of ${id} at OpenAI`);
    }
    if (live.length === 1 && live[0]!.includes('input files')) this.note('fault:input file left behind');
    return live;
  }

  async #drop(drop: Drop): Promise<void> {
    const stack = this.#stacks[drop.stack]!;
    await stack.objects.put(drop.key, drop.body);
    const head = (await stack.objects.head(stack.bucket, drop.key))!;
    this.#drops--;
    if (!this.#scenario.isVersioned) this.#callOff(drop);
    if (drop.sameAs !== undefined) this.note('fault:the same content again');
    this.#expectations.jobs.push({ drop, head, calledOff: false, cancelled: false });
    this.trace(`drop ${drop.index}: ${drop.key}, ${drop.lines.length} lines`);
    const { versionId } = head;
    const location = {
      bucket: stack.bucket,
      key: drop.key,
      ...(versionId === undefined ? {} : { versionId }),
    };
    // The listing leaves alone what lay there when the deployment first ran.
    const since = (await stack.listing.getListing())?.since ?? Number.POSITIVE_INFINITY;
    this.#post('ingest', location, {
      place: drop.stack,
      isEvent: true,
      mayBeLost: head.lastModified >= since,
    });
    if (drop.destroyedAt === undefined) return;
    this.after(START_MS + drop.destroyedAt - this.#now, `${drop.key} is destroyed`, () => {
      // Older and newer versions go as well.
      stack.objects.destroy(drop.key);
      this.#callOff(drop);
    });
  }

  /** Whoever cancels a job tries until it is done. */
  #cancel(place: number, jobId: string): void {
    let isDone = false;
    this.note('fault:job cancelled');
    this.#start(place, 'cancel', { v: 1, jobId }, ({ error }) => {
      isDone = error === undefined;
    });
    this.after(20 * MINUTE_MS, '', () => {
      if (!isDone) this.#cancel(place, jobId);
    });
  }

  /** What stood at a key is not there any more. */
  #callOff({ stack, key }: Drop): void {
    for (const job of this.#expectations.jobs) {
      if (job.drop.stack === stack && job.drop.key === key) job.calledOff = true;
    }
  }
}

/** What a handler may throw: the queue brings the message back. Anything else points to a mistake of ours. */
function isExpected({ name }: Error): boolean {
  return [
    'InjectedError',
    'NotYetError',
    'LeaseLostError',
    'OutOfTimeError',
    'OpenAIRequestError',
    'IncompleteDownloadError',
    'CreateRefusedError',
    'ApiKeyMissingError',
    'KeyUnusableError',
  ].includes(name);
}
