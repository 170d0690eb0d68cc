/** What persons do to a stack while it works, through the step that production runs: see {@link KINDS}. */
import type { OperateAnswer, OperateInput } from '../../../src/contract/operate.ts';
import type { Settings } from '../../../src/contract/settings.ts';
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import type { Random } from './random.ts';

/** An act is sent again after this time if nothing was heard of it; the function of operators lives less. */
const REPEAT_MS = 20 * MINUTE_MS;
/** So often somebody asks for what a job that is live does not allow. */
const MAX_ASKED = 8;
/** New inputs in a seed that are dropped from retry files. */
const MAX_RETRIES = 3;

/** A time after the start in which nothing is to be sent of a route, or of the whole stack. */
interface PlannedPause {
  from: number;
  until: number;
  route?: string;
}

/** What somebody does to one of the jobs that there are by then. */
interface PlannedAct {
  at: number;
  action: 'cancel' | 'resume' | 'retry' | 'forget';
  /** Which job, as a part of all of them. */
  part: number;
}

/** What persons do in a seed. */
export interface Operations {
  pauses: readonly PlannedPause[];
  acts: readonly PlannedAct[];
  /** How likely a job that has ended is retried, and forgotten, soon afterwards. */
  retries: number;
  forgets: number;
}

/** @param of.mayRetry whether it can be told which job sends a request. */
export function drawOperations(
  random: Random,
  of: { calmAt: number; routes: Settings['routes']; mayRetry: boolean },
): Operations {
  const pauses = Array.from({ length: random.whole(0, 3) }, (): PlannedPause => {
    const from = random.spread(SECOND_MS, of.calmAt);
    const until = Math.min(of.calmAt, from + random.spread(MINUTE_MS, 12 * HOUR_MS));
    return { from, until, ...(random.chance(0.4) ? {} : { route: random.pick(of.routes).name }) };
  });
  const acts = Array.from({ length: random.whole(2, 8) }, (): PlannedAct => {
    const action = random.weighted({ retry: 5, forget: 4, cancel: 1, resume: 2 });
    return { action, at: random.spread(MINUTE_MS, of.calmAt + 12 * HOUR_MS), part: random.fraction() };
  });
  return {
    pauses,
    acts: of.mayRetry ? acts : acts.filter(({ action }) => action !== 'retry'),
    retries: of.mayRetry ? random.pick([0, 0.5, 0.9]) : 0,
    forgets: random.pick([0, 0.3, 0.7]),
  };
}

/** What the operators need of the simulation. */
interface OperatorsWorld {
  note(what: string): void;
  trace(text: string): void;
  after(delayMs: number, what: string, run: () => void): void;
  /** Jobs of what was dropped so far, and the stack of each. */
  jobs(): readonly { jobId: string; place: number }[];
  /** How many stacks there are. */
  places(): readonly number[];
  /** Somebody tries to cancel a job. */
  cancels(jobId: string): void;
  /** Runs the step; what it answers comes unless its worker dies or fails. */
  operate(place: number, request: OperateInput, answered: (answer: OperateAnswer) => void): void;
}

export class Operators {
  readonly #world: OperatorsWorld;
  readonly #random: Random;
  /** Retries of jobs for which somebody has said that requests may be paid for twice, as `<job> <number>`. */
  readonly acknowledged = new Set<string>();
  #retried = 0;
  /** Acts that are planned or not answered yet. */
  #open = 0;

  constructor(world: OperatorsWorld, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  /** Whether everything that was to be done is answered. */
  get isDone(): boolean {
    return this.#open === 0;
  }

  /** Has all that is planned come in its time. */
  begin({ pauses, acts }: Operations): void {
    for (const { from, until, route } of pauses) {
      const of = route === undefined ? {} : { route };
      for (const place of this.#world.places())
        this.#later(from, place, { v: 1, action: 'pause', ...of, reason: 'the weather' }, () =>
          // Not before the pause is known to be in force: it would last for ever.
          this.#later(until - from, place, { v: 1, action: 'unpause', ...of }),
        );
    }
    for (const { at, action, part } of acts) {
      this.#open++;
      this.#world.after(at, '', () => {
        this.#open--;
        const jobs = this.#world.jobs();
        const job = jobs[Math.floor(part * jobs.length)];
        if (job !== undefined) this.#act(job.place, { v: 1, action, jobId: job.jobId });
      });
    }
  }

  /** A job has its receipt. */
  ended({ retries, forgets }: Operations, place: number, jobId: string): void {
    // Often while the last worker of the job is still at it.
    const soon = (): number =>
      this.#random.chance(0.5) ? this.#random.whole(0, 2_000) : this.#random.spread(SECOND_MS, 3 * HOUR_MS);
    if (this.#random.chance(retries)) this.#later(soon(), place, { v: 1, action: 'retry', jobId });
    if (this.#random.chance(forgets)) this.#later(soon(), place, { v: 1, action: 'forget', jobId });
  }

  #later(delayMs: number, place: number, request: OperateInput, then: () => void = () => {}): void {
    this.#open++;
    this.#world.after(delayMs, '', () => {
      this.#open--;
      this.#act(place, request, 1, then);
    });
  }

  /** A request, also of somebody else; it is sent again until it is answered. */
  #act(place: number, request: OperateInput, asked = 1, then: () => void = () => {}): void {
    if (request.action === 'retry' && request.acknowledge === undefined && asked === 1) {
      if (this.#retried >= MAX_RETRIES) return;
      this.#retried++;
    }
    if (request.action === 'cancel') this.#world.cancels(request.jobId);
    if (request.action === 'retry' && request.acknowledge !== undefined)
      this.acknowledged.add(`${request.jobId} ${request.number ?? 1}`);
    this.#open++;
    this.send(place, request, (answer) => {
      this.#open--;
      this.#answered(place, request, answer, asked);
      then();
    });
  }

  /** Sends a request until it is answered. */
  send(place: number, request: OperateInput, answered: (answer: OperateAnswer) => void): void {
    let isAnswered = false;
    this.#world.operate(place, request, (answer) => {
      if (isAnswered) return;
      isAnswered = true;
      answered(answer);
    });
    this.#world.after(REPEAT_MS, '', () => {
      if (isAnswered) return;
      isAnswered = true;
      this.#world.note(`operator:${request.action} repeated`);
      this.send(place, request, answered);
    });
  }

  #answered(place: number, request: OperateInput, answer: OperateAnswer, asked: number): void {
    const { action } = request;
    if (answer.ok) {
      this.#world.note(`operator:${action} ${'state' in answer ? answer.state : 'done'}`);
      return;
    }
    const { code } = answer;
    this.#world.note(`operator:${action} refused, ${code}`);
    this.#world.trace(`${action} is refused: ${code}`);
    if (code === 'busy') this.#again(this.#random.spread(3 * MINUTE_MS, HOUR_MS), place, request, asked);
    // Nobody knows of it yet, or ever will, as its object is gone.
    if (code === 'no_such_job' && action === 'cancel' && asked < 2 * MAX_ASKED)
      this.#again(this.#random.spread(10 * MINUTE_MS, 6 * HOUR_MS), place, request, asked);
    if (code === 'job_is_live' && asked < MAX_ASKED)
      this.#again(this.#random.spread(HOUR_MS, 12 * HOUR_MS), place, request, asked + 1);
    if (code === 'needs_acknowledgement' && request.action === 'retry' && this.#random.chance(0.8))
      this.#again(MINUTE_MS, place, { ...request, acknowledge: 'may_pay_twice' }, asked);
  }

  #again(delayMs: number, place: number, request: OperateInput, asked: number): void {
    this.#open++;
    this.#world.after(delayMs, '', () => {
      this.#open--;
      this.#act(place, request, asked + 1);
    });
  }
}
