import type { Tier } from '../../../contract/route.ts';
import { SECOND_MS } from '../../../contract/time.ts';
import { CallUnansweredError } from '../../base/errors.ts';
import { errorName } from '../../base/own-text.ts';
import { workKeys } from '../../files/keys.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import { apiKeyOf, type BatchRecord, tierOf } from '../../model/batch.ts';
import type { CallAnswer } from '../../ports/provider.ts';
import { operatorErrorOf, suspendFor } from '../../scheduling/operator-errors.ts';
import { CALLS_OF_A_SLICE } from '../../scheduling/pace.ts';
import { CallLatency } from './call-latency.ts';
import type { CallDeps } from './deps.ts';
import { isPaused } from './paused.ts';
import { type SliceKeys, SliceProgress } from './progress.ts';
import { readSlice } from './read-slice.ts';
import { answerLine, bodyOf, readRequests } from './requests.ts';
import { SliceEnd } from './slice-end.ts';
import { continueAt, nextTierOf, rememberRefusal, tierAt } from './slice-tier.ts';
import { Throttle } from './throttle.ts';
import { noAnswer, notOffered, tooSlow } from './unanswered.ts';

/** Answers are kept this often, or as soon as there are many: see progress.ts. */
const KEEP_EVERY_MS = 15 * SECOND_MS;

/** Why no further call of this slice begins. */
type Stop =
  /** The worker's time is over: another one continues. */
  | { why: 'time' }
  /** The provider has no room: the slice waits. */
  | { why: 'refused' }
  /** What was not called continues in another tier, or when a person has acted; or the job was cancelled. */
  | { why: 'over'; nextTier?: Tier };

/** One worker's work at a slice. */
export class Slice {
  readonly #deps: CallDeps;
  readonly #leased: LeasedBatch;
  readonly #batch: BatchRecord;
  readonly #tier: Exclude<Tier, 'batch'>;
  readonly #keys: SliceKeys;
  readonly #progress: SliceProgress;
  readonly #end: SliceEnd;
  readonly #throttle: Throttle;
  readonly #latency: CallLatency;
  #stop: Stop | undefined;
  readonly #stopped = new AbortController();

  constructor(deps: CallDeps, leased: LeasedBatch) {
    this.#deps = deps;
    this.#leased = leased;
    this.#batch = leased.record;
    this.#tier = tierOf(this.#batch) as Exclude<Tier, 'batch'>;
    this.#keys = workKeys(deps.settings.layout, this.#batch.jobId).calls(this.#batch.batchId);
    this.#progress = new SliceProgress(deps, leased, this.#keys, () => this.#halt({ why: 'time' }));
    this.#end = new SliceEnd(deps, leased, this.#keys, this.#progress);
    this.#throttle = new Throttle(deps.ambient);
    this.#latency = new CallLatency(deps, this.#batch);
  }

  /** Calls what can be called in the worker's time, and says in the record what is left. */
  async run(): Promise<void> {
    const rendered = await readSlice(this.#deps, this.#leased, this.#keys.requests);
    if (!(rendered instanceof Uint8Array)) {
      await this.#end.withdraw(rendered);
      return;
    }
    await this.#progress.load(readRequests(rendered));
    // Another worker may have called these, and no answer is kept.
    for (const index of this.#progress.unaccounted) this.#progress.addUnanswered(index, null);
    await this.#latency.load();
    await this.#lookAround();
    if (this.#stop === undefined) await this.#progress.announceAgain();
    await this.#callAll();
    await this.#latency.save();
    const { why } = this.#stop ?? {};
    if (!this.#progress.isComplete && (why === 'time' || why === 'refused')) await this.#continueLater(why);
    else await this.#finish();
  }

  async #callAll(): Promise<void> {
    const workers = Array.from({ length: Math.min(CALLS_OF_A_SLICE, this.#progress.requests.length) }, () =>
      this.#callWhilePossible(),
    );
    const ended = new AbortController();
    const keeper = this.#keepWhile(ended.signal);
    const results = await Promise.allSettled(
      workers.map((worker) =>
        worker.catch((error: unknown) => {
          // The others end, too: what they have is kept all the same.
          this.#halt({ why: 'time' });
          throw error;
        }),
      ),
    );
    ended.abort('every call has ended');
    await keeper;
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return;
    await this.#progress.keepForNext().catch(() => {});
    throw failed.reason;
  }

  /** One call after the other, until nothing is left. */
  async #callWhilePossible(): Promise<void> {
    while (await this.#waitForRoom()) {
      try {
        const index = await this.#progress.take();
        if (index === undefined) return;
        await this.#callOne(index);
      } finally {
        this.#throttle.end();
      }
    }
  }

  /** Waits until a call may begin, which is counted at once, or none may any more (`false`). */
  async #waitForRoom(): Promise<boolean> {
    for (;;) {
      const { ambient, sleep } = this.#deps;
      const now = ambient.now();
      const begins = this.#latency.mayBegin(now, this.#throttle.active);
      if (begins === 'continue_later') this.#halt({ why: this.#throttle.isRefused ? 'refused' : 'time' });
      if (this.#latency.isTooSlow) this.#continueInNextTier();
      if (this.#throttle.isRefusedForLong(now)) this.#halt({ why: 'refused' });
      if (this.#stop !== undefined || this.#progress.isEmpty) return false;
      if (begins === 'begin' && this.#throttle.hasRoom(now) && this.#leased.isHeld) {
        this.#throttle.begin();
        this.#latency.begin();
        return true;
      }
      await sleep(this.#throttle.waitMs(now), this.#stopped.signal);
    }
  }

  async #callOne(index: number): Promise<void> {
    const { ambient, rules } = this.#deps;
    const { endpoint } = this.#batch;
    const calls = this.#deps.calls.withKey(apiKeyOf(this.#batch));
    const request = this.#progress.requests[index]!;
    const body = bodyOf(request, rules.calls.tierMembersOf(this.#tier, endpoint));
    const sentAt = ambient.now();
    const timeoutMs = this.#latency.sent(index, sentAt);
    let answer: CallAnswer;
    try {
      answer = await calls.call({ endpoint, body, timeoutMs });
      this.#latency.ended(index);
    } catch (error) {
      this.#latency.ended(index);
      const tookMs = ambient.now() - sentAt;
      await this.#failed(index, error, { tookMs, isTimeout: tookMs >= timeoutMs });
      return;
    }
    await this.#answered(index, answer, ambient.now() - sentAt);
  }

  /** A call got no answer: because nothing was sent, for lack of time, or because its connection broke. */
  async #failed(
    index: number,
    error: unknown,
    { tookMs, isTimeout }: { tookMs: number; isTimeout: boolean },
  ): Promise<void> {
    const trouble = operatorErrorOf(this.#deps.rules.errors, error);
    if (trouble !== undefined) {
      this.#progress.putBack(index);
      await suspendFor(this.#deps, this.#batch, trouble, 'collected');
      this.#halt({ why: 'over' });
      return;
    }
    if (error instanceof CallUnansweredError && !error.mayBeCharged) {
      this.#refused(index, undefined);
      return;
    }
    if (isTimeout) this.#latency.measured(tookMs);
    const isFinal = isTimeout && this.#latency.isFinal(tookMs) && nextTierOf(this.#batch) === undefined;
    this.#progress.addUnanswered(index, isFinal ? tooSlow(tookMs) : noAnswer(this.#deps.rules.errors));
  }

  async #answered(index: number, answer: CallAnswer, tookMs: number): Promise<void> {
    const { ambient, rules } = this.#deps;
    const line = answerLine(this.#progress.requests[index]!.customId, answer);
    const verdict = rules.answers.verdictOf(JSON.parse(line) as Record<string, unknown>, this.#batch);
    if (rules.calls.isWithoutRoom(answer) && verdict.kind !== 'operator') {
      this.#refused(index, answer.retryAfterMs);
      return;
    }
    if (answer.status < 300) this.#latency.learn(tookMs, answer);
    const isNotOffered = rules.calls.refusesTier(this.#tier, answer);
    if (isNotOffered) await rememberRefusal(this.#deps, this.#batch);
    if (isNotOffered && this.#continueInNextTier()) {
      this.#progress.putBack(index);
      return;
    }
    this.#throttle.answered(ambient.now());
    if (isNotOffered) this.#progress.addUnanswered(index, notOffered(this.#tier));
    else this.#progress.add(index, line);
    // The others would be answered the same: they wait for a person, and collect suspends what it is about.
    if (verdict.kind === 'operator') this.#halt({ why: 'over' });
    if (this.#progress.isToBeKept) await this.#progress.keep();
  }

  #refused(index: number, retryAfterMs: number | undefined): void {
    this.#progress.putBack(index);
    this.#throttle.refused(retryAfterMs);
  }

  /** What is left continues in the next tier, if there is one. */
  #continueInNextTier(): boolean {
    const nextTier = nextTierOf(this.#batch);
    if (nextTier !== undefined) this.#halt({ why: 'over', nextTier });
    return nextTier !== undefined;
  }

  #halt(stop: Stop): void {
    this.#stop ??= stop;
    this.#stopped.abort('the slice stops');
  }

  async #keepWhile(ended: AbortSignal): Promise<void> {
    for (;;) {
      await this.#deps.sleep(KEEP_EVERY_MS, ended);
      if (ended.aborted) return;
      try {
        await this.#progress.keep();
        if (this.#stop === undefined) await this.#lookAround();
      } catch (error) {
        // The workers find out by the lease, or by their next write.
        this.#deps.telemetry.record('save.failed', { ...this.#ids(), error: errorName(error) });
      }
    }
  }

  /** Stops if the job was cancelled, if it is paused, or if it is time for the next tier. */
  async #lookAround(): Promise<void> {
    const job = await this.#deps.jobs.getJob(this.#batch.jobId);
    // What is left of a paused one waits as a new batch, which nothing is reserved for.
    if (job?.cancelledAt !== undefined || (await isPaused(this.#deps, this.#batch))) {
      this.#halt({ why: 'over' });
      return;
    }
    const next = await tierAt(this.#deps, this.#batch, this.#deps.ambient.now());
    if (next !== this.#tier) this.#halt({ why: 'over', nextTier: next });
  }

  /** Gives the slice to the next worker: at once, or after a rest. */
  async #continueLater(cause: 'time' | 'refused'): Promise<void> {
    const refusals = cause === 'refused' ? this.#progress.refusals + 1 : 0;
    const notBefore = refusals === 0 ? undefined : await continueAt(this.#deps, this.#batch, refusals);
    await this.#end.pause(cause, refusals, notBefore);
  }

  /** Every request has a line now, be it that it was not sent. */
  async #finish(): Promise<void> {
    await this.#end.complete(this.#stop?.why === 'over' ? this.#stop.nextTier : undefined);
  }

  #ids(): { jobId: string; batchId: string; tier: Tier } {
    return { jobId: this.#batch.jobId, batchId: this.#batch.batchId, tier: this.#tier };
  }
}
