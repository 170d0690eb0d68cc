import type { Tier } from '../../../contract/route.ts';
import { MINUTE_MS } from '../../../contract/time.ts';
import { CallUnansweredError } from '../../base/errors.ts';
import { withMarks } from '../../lifecycle/response-marks.ts';
import { apiKeyOf, type BatchRecord, type Calls, tierOf } from '../../model/batch.ts';
import type { CreateAnswer } from '../../ports/provider.ts';
import { operatorErrorOf, suspendFor } from '../../scheduling/operator-errors.ts';
import { CallLatency } from './call-latency.ts';
import { type CreatedResponses, createdOf } from './created.ts';
import type { CallDeps } from './deps.ts';
import { takeIfEnded } from './ended.ts';
import type { SliceProgress } from './progress.ts';
import { answerLine, bodyOf } from './requests.ts';
import { nextTierOf, rememberRefusal } from './slice-tier.ts';
import { Throttle } from './throttle.ts';
import { notOffered } from './unanswered.ts';

/** The longest wait for the answer to a create, which says only that the response is queued. */
const CREATE_MS = MINUTE_MS;
/** No wave begins with less of the worker's life left: its creates and their ids must fit. */
const MIN_LIFE_MS = 3 * MINUTE_MS;

/** Why a slice creates no further responses: see its record. */
export type Closed = NonNullable<Calls['closed']>;

/**
 * Creates the responses of a slice, wave by wave: the record says first that they may have been created, and their ids
 * are written down before the next wave.
 */
export class BackgroundCreates {
  readonly #deps: CallDeps;
  readonly #batch: BatchRecord;
  readonly #tier: Exclude<Tier, 'batch'>;
  readonly #progress: SliceProgress;
  readonly #created: CreatedResponses;
  readonly #close: (closed: Closed) => void;
  readonly #throttle: Throttle;
  readonly #latency: CallLatency;
  #isAnswered = false;

  constructor(
    deps: CallDeps,
    batch: BatchRecord,
    progress: SliceProgress,
    created: CreatedResponses,
    close: (closed: Closed) => void,
  ) {
    this.#deps = deps;
    this.#batch = batch;
    this.#tier = tierOf(batch) as Exclude<Tier, 'batch'>;
    this.#progress = progress;
    this.#created = created;
    this.#close = close;
    this.#throttle = new Throttle(deps.ambient);
    this.#latency = new CallLatency(deps, batch);
  }

  /**
   * Creates until nothing is left to be created, or none may be any more.
   * @param mayBegin asked before each wave.
   * @returns why it stopped; `undefined`: nothing is left to be created here.
   */
  async run(mayBegin: () => Promise<boolean>): Promise<'time' | 'refused' | undefined> {
    const { ambient, deadline, sleep } = this.#deps;
    let stop: 'time' | 'refused' | undefined;
    while (!this.#progress.isEmpty) {
      const now = ambient.now();
      if (deadline.remainingMs() < MIN_LIFE_MS) stop = 'time';
      if (this.#throttle.isRefusedForLong(now)) stop = 'refused';
      if (stop !== undefined || !(await mayBegin())) break;
      const room = this.#throttle.roomAt(now);
      if (room === 0) await sleep(this.#throttle.waitMs(now));
      else if (!(await this.#createWave(this.#isTrying ? 1 : room))) stop = 'refused';
    }
    await this.#latency.save();
    return this.#progress.isEmpty ? undefined : stop;
  }

  /** After a rest, one create shows first whether there is an answer again. */
  get #isTrying(): boolean {
    return this.#progress.refusals > 0 && !this.#isAnswered;
  }

  /** @returns whether any of its creates was answered; if not, others might run as well without anybody knowing them. */
  async #createWave(most: number): Promise<boolean> {
    const wave = await this.#progress.takeWave(most);
    const results = await Promise.allSettled(wave.map((request) => this.#create(request)));
    await this.#created.keep();
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    const unknown = new Set(this.#created.unknown.map(({ request }) => request));
    return wave.some((request) => !unknown.has(request));
  }

  async #create(request: number): Promise<void> {
    const { ambient, background, deadline, rules } = this.#deps;
    const { endpoint } = this.#batch;
    const sentAt = ambient.now();
    const timeoutMs = Math.min(CREATE_MS, deadline.remainingMs());
    let answer: CreateAnswer;
    try {
      const members = rules.calls.tierMembersOf(this.#tier, endpoint);
      const body = this.#marked(request, bodyOf(this.#progress.requests[request]!, members));
      answer = await background.withKey(apiKeyOf(this.#batch)).create({ endpoint, body, timeoutMs });
    } catch (error) {
      await this.#failed(request, error);
      return;
    }
    const { response } = answer;
    if (response === undefined) {
      await this.#refused(request, answer);
      return;
    }
    this.#answered();
    this.#latency.learn(ambient.now() - sentAt, answer);
    const created = createdOf(response, { request, at: sentAt });
    this.#created.add(created);
    takeIfEnded(this.#progress, created, response);
  }

  #answered(): void {
    this.#isAnswered = true;
    this.#throttle.answered(this.#deps.ambient.now());
  }

  /** Without marks where the line's own metadata leave no room: a lost create cannot be found then. */
  #marked(request: number, body: string): string {
    const { jobId, batchId } = this.#batch;
    const { stackId, ambient } = this.#deps;
    return withMarks(body, stackId, { jobId, batchId, request, nonce: ambient.nonce() }) ?? body;
  }

  async #failed(request: number, error: unknown): Promise<void> {
    const trouble = operatorErrorOf(this.#deps.rules.errors, error);
    if (trouble !== undefined) {
      this.#progress.putBack(request);
      this.#close({});
      await suspendFor(this.#deps, this.#batch, trouble, 'collected');
    } else if (error instanceof CallUnansweredError && !error.mayBeCharged) {
      this.#progress.putBack(request);
      this.#throttle.refused();
    } else {
      // Nobody knows whether it was created.
      this.#created.add({ request, at: this.#deps.ambient.now() });
      this.#throttle.refused();
    }
  }

  /** No response was made. */
  async #refused(request: number, answer: CreateAnswer): Promise<void> {
    const { rules } = this.#deps;
    const line = answerLine(this.#progress.requests[request]!.customId, answer);
    const verdict = rules.answers.verdictOf(JSON.parse(line) as Record<string, unknown>, this.#batch);
    if (rules.calls.isWithoutRoom(answer) && verdict.kind !== 'operator') {
      this.#progress.putBack(request);
      this.#throttle.refused(answer.retryAfterMs);
      return;
    }
    this.#answered();
    if (rules.calls.refusesTier(this.#tier, answer)) {
      await rememberRefusal(this.#deps, this.#batch);
      const nextTier = nextTierOf(this.#batch);
      if (nextTier === undefined) this.#progress.addUnanswered(request, notOffered(this.#tier));
      else {
        this.#progress.putBack(request);
        this.#close({ nextTier });
      }
      return;
    }
    this.#progress.add(request, line);
    // The others would be answered the same: they wait for a person, and collect suspends what it is about.
    if (verdict.kind === 'operator') this.#close({});
  }
}
