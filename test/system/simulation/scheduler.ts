/**
 * A clock that stands still unless it is moved, and the choice, call by call, of who continues. Each call of a port
 * waits here until it is picked; between two picks every handler runs until it waits again, so that the order of
 * everything is a function of the seed.
 */

import { setImmediate as untilIdle } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { BatchMessage } from '../../../src/contract/messages.ts';
import { MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import type { Deadline, Sleep } from '../../../src/core/ports/ambient.ts';
import { OpenAIRequestError } from '../../../src/providers/openai/request-error.ts';
import { type Faults, InjectedError } from './faults.ts';
import { givenUpAfterMs, Hangs } from './hangs.ts';
import type { CallKind, Gate } from './port-calls.ts';
import type { Random } from './random.ts';
import { type Scenario, START_MS } from './scenario.ts';
import { HANDLERS, type HandlerName } from './stack.ts';

/** A seed takes a few thousand picks; this many mean that something runs in circles. */
const MAX_PICKS = 300_000;
/** Pages of one list that an invocation may ask for: a scenario has some dozen, each a few times over. */
const MAX_PAGES = 400;
/** Calls of ingest that few seeds make, or that come after many others. */
const SELDOM_OF_INGEST = new Set(['objects.pin', 'jobs.addDuplicate', 'writer.suspend', 'jobs.renewJob']);
/** Ingest gives up on a file after four runs that never came back (`MAX_STARTS`), rightly: stay below. */
const MAX_INGEST_KILLS = 3;

export interface Invocation {
  id: number;
  /** Whose it is: the place of a stack. */
  place: number;
  handler: HandlerName;
  endsAt: number;
  /** Whether it has the time that Lambda gives it. */
  hasFullTime: boolean;
  /** Calls that wait to be picked or answered. */
  waiting: number;
  /** Requests to OpenAI's endpoints that answer at once, without an answer so far. */
  unanswered: number;
  pages: number;
  /** Whether it writes the plain names of an input. */
  isPublishing: boolean;
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
  /** It is given up then. */
  box: Deadline | undefined;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

interface Timer {
  at: number;
  what: string;
  run: () => void;
}

/** What the scheduler takes from the simulation. */
export interface SchedulerWorld {
  note(what: string, times?: number): void;
  violation(text: string): void;
  trace(text: string): void;
  /** Runs a handler of a stack. */
  run(invocation: Invocation, message: unknown, gate: Gate, deadline: Deadline): Promise<unknown>;
  /** A handler of a stack has ended or died, so that there is room for another one. */
  freed(invocation: Invocation): void;
}

/** What came of a handler that was not killed. */
interface Outcome {
  error?: Error;
  /** What it gives. */
  result?: unknown;
}

/** What the end has to allow for. */
export interface Losses {
  /** How many runs of ingest never came back. */
  ingestKills: number;
  /** How many ended with an error; what they report of it may get lost as well. */
  ingestErrors: number;
  /** Jobs of which a worker was lost while it called requests one by one. */
  interrupted: Set<string>;
}

export class Scheduler {
  readonly losses: Losses = { ingestKills: 0, ingestErrors: 0, interrupted: new Set() };
  readonly #world: SchedulerWorld;
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #faults: Faults;
  readonly #hangs: Hangs;
  readonly #running = new Set<Invocation>();
  #pending: PendingCall[] = [];
  #timers: Timer[] = [];
  #now = START_MS;
  #made = 0;
  /** The worker whose call has just had its effect dies. */
  #isDoomed = false;
  picks = 0;

  constructor(
    world: SchedulerWorld,
    scenario: Scenario,
    { random, faults }: { random: Random; faults: Faults },
  ) {
    this.#world = world;
    this.#scenario = scenario;
    this.#random = random;
    this.#faults = faults;
    this.#hangs = new Hangs(random.fork('hangs'), scenario);
  }

  now(): number {
    return this.#now;
  }

  isStormy(): boolean {
    return this.#now < START_MS + this.#scenario.calmAt;
  }

  after(delayMs: number, what: string, run: () => void): void {
    this.#timers.push({ at: this.#now + delayMs, what, run });
  }

  /** Kills the worker whose call is being answered, after its effect. */
  doom(): void {
    this.#isDoomed = true;
  }

  /** A number that nothing else has. */
  nextId(): number {
    return ++this.#made;
  }

  countRunning(isCounted: (invocation: Invocation) => boolean = () => true): number {
    return [...this.#running].filter(isCounted).length;
  }

  killAll(why: string): void {
    for (const invocation of [...this.#running]) this.#kill(invocation, why);
  }

  /** One step. `false`: nothing is left to do. */
  async pick(): Promise<boolean> {
    await this.#untilAllWait();
    for (const invocation of this.#running) {
      if (this.#now < invocation.endsAt) continue;
      this.#world.note('fault:timeout of a function');
      if (this.#scenario.weather.slow === 0 && invocation.hasFullTime && invocation.unanswered > 0)
        this.#world.note('long call:cut by the end of its worker', invocation.unanswered);
      this.#kill(invocation, 'its time is up');
    }
    const due = this.#timers.filter(({ at }) => at <= this.#now);
    if (due.length === 0 && this.#pending.length === 0) {
      // A worker dies when its time is up, not at the next timer: the visibility timeout of its message is a minute
      // longer.
      const next = [...this.#timers.map(({ at }) => at), ...[...this.#running].map(({ endsAt }) => endsAt)];
      if (next.length === 0) return false;
      this.#now = Math.min(...next);
      return true;
    }
    if (++this.picks > MAX_PICKS) {
      this.#world.violation(`still busy after ${MAX_PICKS} steps`);
      return true;
    }
    const index = this.#random.whole(0, due.length + this.#pending.length - 1);
    const timer = due[index];
    if (timer === undefined) {
      this.#release(this.#pending.splice(index - due.length, 1)[0]!);
    } else {
      this.#timers.splice(this.#timers.indexOf(timer), 1);
      if (timer.what !== '') this.#world.trace(timer.what);
      timer.run();
    }
    return true;
  }

  /** Returns once no handler can continue by itself. */
  async #untilAllWait(): Promise<void> {
    await untilPromisesWait();
    for (let turns = 0; this.#isAnyBusy(); turns++) {
      // Only unpacking continues by itself, on threads of its own.
      await untilIdle();
      if (turns > 1_000_000) throw new Error('a handler waits for nothing');
    }
  }

  #isAnyBusy(): boolean {
    for (const { waiting } of this.#running) if (waiting === 0) return true;
    return false;
  }

  #release(call: PendingCall): void {
    const { invocation, name, kind, effect, resolve, reject } = call;
    this.#world.note(`called ${name}`);
    this.#isDoomed = false;
    this.#now += this.#random.whole(1, 30);
    const fate = this.#fateOf(call);
    if (fate === 'hang') {
      this.#hang(call);
      return;
    }
    // An answer may take its time.
    if (kind !== 'answer') invocation.waiting--;
    if (fate === 'kill before') {
      this.#kill(invocation, '');
      return;
    }
    if (fate === 'error before') {
      reject(new InjectedError(name));
      return;
    }
    const failed = (error: unknown): void => {
      this.#world.note(`thrown:${(error as Error).name}`);
      this.#world.trace(`  #${invocation.id} ${name} failed: ${(error as Error).message}`);
      reject(error);
    };
    const done = fate === 'retried' ? effect().then(effect) : effect();
    if (kind === 'answer') this.#awaitAnswer(call, done, fate === 'kill after', failed);
    else if (fate === 'kill after') {
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

  /** Nothing comes back. Whether anything was done, nobody can know. */
  #hang({ invocation, name, effect, box, reject }: PendingCall): void {
    if (this.#random.chance(0.5)) effect().catch(() => {});
    const leftMs = box?.remainingMs() ?? invocation.endsAt - this.#now;
    this.after(givenUpAfterMs(name, leftMs), '', () => {
      if (invocation.state === 'dead') return;
      invocation.waiting--;
      this.#world.note('fault:a hanging call given up');
      reject(new OpenAIRequestError(`${name} took too long`));
    });
  }

  /** Draws what becomes of a call, and lets it take its time. */
  #fateOf({ invocation, name, kind, subject }: PendingCall): ReturnType<Faults['of']> | 'hang' {
    const isStormy = this.isStormy();
    // A publication is short: few calls of it would be slow.
    const slow = this.#scenario.weather.slow * (invocation.isPublishing ? 20 : 1);
    if (isStormy && this.#random.chance(slow) && this.#mayLoseIngest()) {
      this.#world.note('fault:slow call');
      // Some of them longer than a lease lasts.
      this.#now += this.#random.spread(10 * SECOND_MS, 10 * MINUTE_MS);
    }
    if (name.endsWith('Publication')) invocation.isPublishing = name === 'jobs.acquirePublication';
    let fate: ReturnType<Faults['of']> | 'hang' = isStormy ? this.#faults.of(name, kind) : 'none';
    if (fate.startsWith('kill') && invocation.handler === 'ingest' && !this.#mayLoseIngest(name))
      fate = 'none';
    if (fate === 'none' && this.#hangs.isHanging(name, this.#now - START_MS, invocation.handler))
      fate = 'hang';
    this.#world.trace(
      `  #${invocation.id} ${invocation.handler} ${name} ${subject}${fate === 'none' ? '' : ` [${fate}]`}`,
    );
    if (fate !== 'none') this.#world.note(`${fate} ${name}`);
    if (name === 'batches.listBatches' && ++invocation.pages === MAX_PAGES)
      this.#world.violation(
        `${invocation.handler} has asked for ${MAX_PAGES} pages of a list in one invocation`,
      );
    return fate;
  }

  #awaitAnswer(
    { invocation, resolve }: PendingCall,
    done: Promise<unknown>,
    isKilled: boolean,
    failed: (error: unknown) => void,
  ): void {
    invocation.unanswered++;
    if (isKilled) this.after(0, '', () => this.#kill(invocation, ''));
    const settle = (then: () => void): void => {
      if (invocation.state === 'dead') return;
      invocation.waiting--;
      invocation.unanswered--;
      then();
    };
    done.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => failed(error)),
    );
  }

  /**
   * Whether an ingest may still be killed: see {@link MAX_INGEST_KILLS}. The last time is kept for a call that comes
   * late in a seed, if at all.
   */
  #mayLoseIngest(name?: string): boolean {
    const isSeldom = name !== undefined && SELDOM_OF_INGEST.has(name);
    return this.losses.ingestKills < MAX_INGEST_KILLS - (isSeldom ? 0 : 1);
  }

  /** From here on, nothing of this invocation happens any more, except what is on its way already. */
  #kill(invocation: Invocation, why: string): void {
    if (invocation.state !== 'running') return;
    this.#world.trace(`  #${invocation.id} ${invocation.handler} is killed ${why}`);
    invocation.state = 'dead';
    this.#running.delete(invocation);
    this.#world.freed(invocation);
    if (invocation.handler === 'ingest') this.losses.ingestKills++;
    this.#interrupted(invocation);
    const isOf = (call: PendingCall): boolean => call.invocation === invocation;
    const onTheWay = this.#pending.filter(isOf).filter(() => this.#random.chance(0.3));
    this.#pending = this.#pending.filter((call) => !isOf(call));
    for (const { effect } of onTheWay) effect().catch(() => {});
  }

  /** A slice whose worker is lost: what was called, and what was only about to be, may have been charged. */
  #interrupted({ handler, slice }: Invocation): void {
    if (handler === 'call') this.losses.interrupted.add(slice.jobId);
  }

  /** Starts a handler of a stack. */
  start(place: number, handler: HandlerName, message: unknown, ended: (outcome: Outcome) => void): void {
    const fullMs = HANDLERS[handler].minutes * MINUTE_MS;
    const ms = this.#drawTime(handler, fullMs);
    const invocation: Invocation = {
      id: this.nextId(),
      place,
      handler,
      endsAt: this.#now + ms,
      hasFullTime: ms === fullMs,
      waiting: 0,
      unanswered: 0,
      pages: 0,
      isPublishing: false,
      state: 'running',
      slice: (message ?? {}) as BatchMessage,
    };
    for (const other of this.#running)
      if (other.handler === 'call' && isDeepStrictEqual(other.slice, invocation.slice))
        this.#interrupted(other);
    this.#running.add(invocation);
    this.#world.trace(`#${invocation.id} ${handler} begins ${JSON.stringify(message ?? '')}`);
    const end = (outcome: Outcome): void => {
      if (invocation.state !== 'running') return;
      invocation.state = 'ended';
      this.#running.delete(invocation);
      this.#world.freed(invocation);
      const { error } = outcome;
      if (error !== undefined) this.#failed(invocation, error);
      else this.#world.trace(`#${invocation.id} ${handler} ends`);
      ended(outcome);
    };
    const deadline = { remainingMs: () => Math.max(0, invocation.endsAt - this.#now) };
    this.#world.run(invocation, message, this.#gateOf(invocation), deadline).then(
      (result) => end({ result }),
      (error: Error) => end({ error }),
    );
  }

  #failed(invocation: Invocation, error: Error): void {
    const { id, handler } = invocation;
    this.#world.note(`thrown:${error.name}`);
    this.#interrupted(invocation);
    if (handler === 'ingest') this.losses.ingestErrors++;
    this.#world.trace(`#${id} ${handler} fails: ${error.name} ${error.message}`);
    if (!isExpected(error)) this.#world.violation(`${handler} failed: ${error.stack}`);
  }

  /** Some have less time than others: what takes long in earnest is over in an instant here. */
  #drawTime(handler: HandlerName, most: number): number {
    const mayBeKilled = handler !== 'ingest' || this.#mayLoseIngest();
    if (!this.isStormy() || !mayBeKilled || !this.#random.chance(this.#scenario.weather.hurry)) return most;
    this.#world.note('fault:little time');
    return this.#random.spread(50, most);
  }

  #gateOf(invocation: Invocation): Gate {
    return {
      call: <Result>(
        name: string,
        kind: CallKind,
        subject: string,
        effect: () => Promise<Result>,
        box?: Deadline,
      ) =>
        new Promise<Result>((resolve, reject) => {
          // Nobody hears of it.
          if (invocation.state === 'dead') return;
          invocation.waiting++;
          const pending = { invocation, name, kind, subject, effect, box, resolve, reject };
          this.#pending.push(pending as PendingCall);
        }),
      breakAfter: (name) => {
        if (!this.isStormy() || !this.#random.chance(this.#scenario.weather.error)) return undefined;
        this.#world.note('fault:stream broke off');
        this.#world.trace(`  #${invocation.id} ${name} will break off`);
        return this.#random.spread(1, 2_000);
      },
      lag: (_name, items) => {
        if (!this.isStormy() || this.#scenario.weather.lagIndex === 0) return items;
        const seen = items.filter(() => !this.#random.chance(this.#scenario.weather.lagIndex));
        if (seen.length < items.length) this.#world.note('fault:index lags');
        return seen;
      },
      sleep: this.#sleepOf(invocation, 1),
      // A worker that only waits to renew a lease still continues by itself.
      heartbeat: this.#sleepOf(invocation, 0),
      failure: (name) => new InjectedError(name),
    };
  }

  /** @param weight what a sleep counts as among the things that the invocation waits for. */
  #sleepOf(invocation: Invocation, weight: number): Sleep {
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
}

/** Returns once no promise is left to be continued: without the turn of the event loop that an immediate takes. */
function untilPromisesWait(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/** What a handler may throw: the queue brings the message back. Anything else points to a mistake of ours. */
function isExpected({ name }: Error): boolean {
  return [
    'InjectedError',
    'LeaseLostError',
    'OutOfTimeError',
    'UploadIncompleteError',
    'OpenAIRequestError',
    'IncompleteDownloadError',
    'CreateRefusedError',
    'ApiKeyMissingError',
    'KeyUnusableError',
    'ObjectUnreadableError',
  ].includes(name);
}
