/**
 * Calls the requests of a slice one by one, in flex or standard.
 *
 * What may be paid for is written down twice: before requests are called, the record says up to which one they may have
 * been; as answers come, they are kept as numbered segments in `work/`. So whoever takes a slice up again knows which
 * requests are answered, which surely were never called, and which may have been called without an answer that anybody
 * has: those count as lost, are tried again as the route allows, and appear in the receipt as possibly billed twice.
 *
 * No call begins under a lease that is about to run out.
 */

import { crc32 } from 'node:zlib';
import type { BatchMessage } from '../../../contract/messages.ts';
import type { Tier } from '../../../contract/route.ts';
import type { Settings } from '../../../contract/settings.ts';
import { MINUTE_MS, SECOND_MS } from '../../../contract/time.ts';
import { type Backoff, waitAfter } from '../../base/backoff.ts';
import {
  CallUnansweredError,
  NotYetError,
  ObjectGoneError,
  ObjectUnreadableError,
} from '../../base/errors.ts';
import { errorName } from '../../base/own-text.ts';
import { workKeys } from '../../files/keys.ts';
import { readManifest } from '../../files/manifest.ts';
import { toCalled, toCalling, toCallsPaused, toWithdrawn } from '../../lifecycle/batch-transitions.ts';
import { LeasedBatch, TakenOverError } from '../../lifecycle/leased.ts';
import { isGivenUp } from '../../lifecycle/unreadable-source.ts';
import { apiKeyOf, type BatchRecord, type Calls, isSlice, tierOf } from '../../model/batch.ts';
import type { LearnedPace, Ledger } from '../../model/ledger.ts';
import {
  ANSWER_TOO_SLOW,
  CANCELLED,
  INPUT_UNREADABLE,
  NOT_SENT,
  OBJECT_GONE,
  type StatedError,
  TIER_NOT_OFFERED,
} from '../../model/outcome-codes.ts';
import type { BatchTransition } from '../../model/transition.ts';
import type { Ambient, Deadline, Pause } from '../../ports/ambient.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { Outbox } from '../../ports/outbox.ts';
import type { ByKey, CallAnswer, CallApi } from '../../ports/provider.ts';
import type { ProviderRules } from '../../ports/provider-rules.ts';
import type { QuotaStore, SuspensionStore } from '../../ports/quota.ts';
import type { JobStore } from '../../ports/records.ts';
import type { Telemetry } from '../../ports/telemetry.ts';
import { tierToStay, workOf } from '../../scheduling/ladder.ts';
import {
  type BeginAnswer,
  isTooSlow,
  mayBegin,
  recentLatencies,
  rememberLatencies,
} from '../../scheduling/latency.ts';
import { operatorErrorOf, suspendFor } from '../../scheduling/operator-errors.ts';
import { CALLS_OF_A_SLICE, learn } from '../../scheduling/pace.ts';
import { callsLedgerOf } from '../../scheduling/scopes.ts';
import { readPaces } from '../../scheduling/step-down.ts';
import {
  answerLine,
  bodyOf,
  type CallRequest,
  readRequests,
  renderSlice,
  unansweredLine,
} from './requests.ts';

export interface CallDeps {
  settings: Pick<Settings, 'layout' | 'quota' | 'inputs'>;
  objects: ObjectStore;
  jobs: JobStore;
  quota: QuotaStore;
  suspensions: SuspensionStore;
  calls: ByKey<CallApi>;
  rules: ProviderRules;
  outbox: Pick<Outbox, 'call' | 'collect'>;
  ambient: Ambient;
  pause: Pause;
  heartbeat: Pause;
  deadline: Deadline;
  telemetry: Telemetry;
}

/** Answers are kept this often, or as soon as so many answers have come. */
const KEEP_EVERY_MS = 15 * SECOND_MS;
const KEEP_EVERY_ANSWERS = 64;
/** How many requests ahead of the calls the record says that they may have been called. */
const STRIDE = 32;
/** Longest wait for an answer. Flex may take 15 minutes (guide "Flex processing"); a Lambda lives no longer. */
const MAX_CALL_MS = 13 * MINUTE_MS;
/** What is kept of the worker's life after the last call must have ended: for the last segment and the record. */
const RESERVE_MS = MINUTE_MS;
/** A call that has less time than this is not begun. */
const MIN_CALL_MS = MINUTE_MS;
/** So many calls must have shown that a model is too slow before a request fails for it: one may just have hung. */
const MIN_TO_CONDEMN = 3;
/** How much of a worker's life its longest call may take: the rest is for reading the slice and for starting late. */
const SHARE_OF_LIFE = 0.9;
/** After this long without a single answer, the worker ends, and the slice rests. */
const MAX_REFUSED_MS = 2 * MINUTE_MS;
const REST_BACKOFF: Backoff = { firstMs: 2 * MINUTE_MS, maxMs: 30 * MINUTE_MS };
/** Back-off between refused calls. Source: guide "Flex processing" (exponential back-off). */
const CALL_BACKOFF: Backoff = { firstMs: SECOND_MS, maxMs: 30 * SECOND_MS };

/** For a call whose answer never came; `request_timeout` is OpenAI's own code for that. */
const NO_ANSWER = { code: 'request_timeout', message: 'No answer came; the call may have been charged.' };
/** For a call that was waited for as long as any worker can, of a model that needs longer, in the last tier. */
function tooSlow(waitedMs: number): { code: string; message: string } {
  const minutes = Math.floor(waitedMs / MINUTE_MS);
  return {
    code: ANSWER_TOO_SLOW,
    message: `No answer came within ${minutes} minutes, the longest that a function can wait. The call may have been charged. Send this request in the batch tier, or ask for a shorter answer.`,
  };
}

/** For a request whose model has no flex, on a route that ends there. */
const MODEL_WITHOUT_FLEX = {
  code: TIER_NOT_OFFERED,
  message:
    'OpenAI does not serve this model in flex, the last tier of the route. Add "standard" to its tiers, or name another model.',
};

/** Works off a slice as far as one invocation can. */
export async function call(deps: CallDeps, { jobId, batchId }: BatchMessage): Promise<void> {
  const found = await deps.jobs.getBatch(jobId, batchId);
  if (found === undefined || found.state !== 'admitted' || !isSlice(found)) return;
  if ((found.wait?.notBefore ?? 0) > deps.ambient.now()) return;
  const batch = await LeasedBatch.lease(deps, found, 'admitted');
  if (batch === undefined) return;
  try {
    // Without guarded ports: an answer that was paid for is kept, also once the lease is lost.
    await batch.work(deps, () => new Slice(deps, batch).run());
  } catch (error) {
    const isDone = await batch.fail(deps, error, (delivery) =>
      deps.outbox.call({ v: 1, jobId, batchId }, delivery),
    );
    if (!isDone) throw error;
  }
}

/** Why no further call of this slice begins. */
type Stop =
  /** The worker's time is over: another one goes on. */
  | { why: 'time' }
  /** OpenAI has no room: the slice rests. */
  | { why: 'refused' }
  /** What was not called goes on elsewhere: in another tier, or when a person has acted; or the job was cancelled. */
  | { why: 'over'; nextTier?: Tier };

/** One worker's turn at a slice. */
class Slice {
  readonly #deps: CallDeps;
  readonly #leased: LeasedBatch;
  readonly #batch: BatchRecord;
  readonly #tier: Exclude<Tier, 'batch'>;
  readonly #keys: ReturnType<ReturnType<typeof workKeys>['calls']>;
  #requests: CallRequest[] = [];
  /** By request; what is in segments already, or will be. */
  readonly #lines = new Map<number, string>();
  /** Of those, what no segment holds yet. */
  #unkept: number[] = [];
  #calls: Calls;
  #next: number;
  /** Surely not executed, although the record says that they may have been called: to be called. */
  readonly #again: number[];
  #stop: Stop | undefined;
  #isTakenOver = false;
  readonly #stopped = new AbortController();
  /** Writes to the record happen one after the other. */
  #writing: Promise<void> = Promise.resolve();
  #active = 0;
  /** How many calls may be under way: halved when OpenAI refuses one, and grown back by answers. */
  #allowed = CALLS_OF_A_SLICE;
  #refusals = 0;
  #pausedUntil = 0;
  #answeredAt: number;
  #pace: LearnedPace | undefined;
  /** How long calls took: as the ledger says, then as this worker measured. */
  #recentMs: readonly number[] = [];
  readonly #measuredMs: number[] = [];
  /** When each call that is under way began. */
  readonly #begunAt = new Map<number, number>();
  #hasBegun = false;
  /** The longest that a call of a fresh worker can wait for its answer. */
  readonly #fullMs: number;

  constructor(deps: CallDeps, leased: LeasedBatch) {
    const batch = leased.record;
    this.#deps = deps;
    this.#leased = leased;
    this.#batch = batch;
    this.#tier = tierOf(batch) as Exclude<Tier, 'batch'>;
    this.#keys = workKeys(deps.settings.layout, batch.jobId).calls(batch.batchId);
    this.#calls = batch.calls ?? { started: 0, segments: 0, done: 0 };
    this.#next = this.#calls.started;
    this.#again = [...(this.#calls.again ?? [])];
    this.#answeredAt = deps.ambient.now();
    const lifeMs = (deps.deadline.remainingMs() - RESERVE_MS) * SHARE_OF_LIFE;
    this.#fullMs = Math.min(MAX_CALL_MS, Math.max(MIN_CALL_MS, lifeMs));
  }

  async run(): Promise<void> {
    const rendered = await this.#readSlice();
    if (!(rendered instanceof Uint8Array)) {
      const { ambient } = this.#deps;
      await this.#end(toWithdrawn(this.#batch, { errors: [rendered] }, ambient.now()));
      return;
    }
    this.#requests = readRequests(rendered);
    await this.#readSegments();
    // Another worker may have called these, and nobody has an answer.
    for (let index = 0; index < this.#calls.started; index++)
      if (!this.#lines.has(index) && !this.#again.includes(index))
        this.#add(index, unansweredLine(this.#customId(index), null));
    const { pace } = (await this.#deps.quota.getLedger(callsLedgerOf(this.#batch))) ?? {};
    this.#recentMs = recentLatencies(pace?.latencies, this.#deps.ambient.now());
    await this.#lookAround();
    // From here on, these may have been called.
    if (this.#again.length > 0 && this.#stop === undefined)
      await this.#write(() => this.#record(this.#calls));
    await this.#callAll();
    await this.#finish();
  }

  /**
   * The requests of the slice: from a copy, once one stands, so that a slice which has begun is brought to its end even if
   * the input is deleted. Or why there is none: it was deleted, or not given for long, before anything was called.
   */
  async #readSlice(): Promise<Uint8Array | StatedError> {
    const { objects } = this.#deps;
    const copy = await objects.get(this.#keys.requests);
    if (copy !== undefined) return copy;
    const manifest = await readManifest(objects, this.#batch.manifestKey);
    try {
      const rendered = await renderSlice(objects, manifest);
      await objects.put(this.#keys.requests, rendered);
      return rendered;
    } catch (error) {
      if (this.#batch.calls !== undefined) throw error;
      if (error instanceof ObjectGoneError) return OBJECT_GONE;
      if (!(error instanceof ObjectUnreadableError)) throw error;
      const job = await this.#deps.jobs.getJob(this.#batch.jobId);
      if (job?.cancelledAt !== undefined) return CANCELLED;
      if (await isGivenUp(this.#deps, this.#leased)) return INPUT_UNREADABLE;
      throw error;
    }
  }

  /** Segments that stand although the record does not know them hold answers, too: their worker died before it could say so. */
  async #readSegments(): Promise<void> {
    const places = new Map(this.#requests.map(({ customId }, index) => [customId, index]));
    for (let segment = 0; ; segment++) {
      const bytes = await this.#deps.objects.get(this.#keys.segment(segment));
      if (bytes === undefined) {
        if (segment < this.#calls.segments)
          throw new ObjectGoneError(
            `${this.#keys.segment(segment)} is missing; answers that were paid for stood in it`,
          );
        this.#calls = { ...this.#calls, segments: segment };
        return;
      }
      for (const line of Buffer.from(bytes).toString('utf8').split('\n')) {
        if (line === '') continue;
        const index = places.get((JSON.parse(line) as { custom_id: string }).custom_id);
        if (index === undefined) continue;
        this.#lines.set(index, line);
        // The record may be of an earlier time than the answers, if its table was restored.
        const again = this.#again.indexOf(index);
        if (again >= 0) this.#again.splice(again, 1);
        if (index < this.#calls.started) continue;
        this.#calls = { ...this.#calls, started: index + 1 };
        this.#next = index + 1;
      }
    }
  }

  async #callAll(): Promise<void> {
    const workers = Array.from({ length: Math.min(CALLS_OF_A_SLICE, this.#requests.length) }, () =>
      this.#work(),
    );
    const ended = new AbortController();
    const keeper = this.#keepWhile(ended.signal);
    const results = await Promise.allSettled(
      workers.map((worker) =>
        worker.catch((error: unknown) => {
          // The others need not go on: what they have is kept all the same.
          this.#halt({ why: 'time' });
          throw error;
        }),
      ),
    );
    ended.abort();
    await keeper;
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return;
    await this.#keep(this.#unsent()).catch(() => {});
    throw failed.reason;
  }

  /** One call after the other, until nothing is left. */
  async #work(): Promise<void> {
    while (await this.#turn()) {
      try {
        const index = await this.#take();
        if (index === undefined) return;
        await this.#callOne(index);
      } finally {
        this.#active--;
      }
    }
  }

  /** Waits until a call may begin, which is counted at once, or none may any more (`false`). */
  async #turn(): Promise<boolean> {
    for (;;) {
      const { ambient, pause } = this.#deps;
      const now = ambient.now();
      const begins = this.#mayBegin(now);
      if (begins === 'continue_later') this.#halt({ why: this.#refusals > 0 ? 'refused' : 'time' });
      if (this.#isTooSlow()) this.#goToNextTier();
      if (this.#refusals > 0 && now - this.#answeredAt > MAX_REFUSED_MS) this.#halt({ why: 'refused' });
      if (this.#stop !== undefined || this.#isEmpty()) return false;
      const mayCall = now >= this.#pausedUntil && this.#active < Math.floor(this.#allowed);
      if (begins === 'begin' && mayCall && this.#leased.isHeld) {
        this.#active++;
        this.#hasBegun = true;
        return true;
      }
      // However long OpenAI wants to be left alone: the worker's own time and patience go on.
      const waitMs = Math.min(Math.max(SECOND_MS, this.#pausedUntil - now), CALL_BACKOFF.maxMs);
      await pause(waitMs, this.#stopped.signal);
    }
  }

  #mayBegin(now: number): BeginAnswer {
    const availableMs = this.#deps.deadline.remainingMs() - RESERVE_MS;
    // Whatever is known: a worker that begins nothing would hand the slice on for ever.
    if (!this.#hasBegun && availableMs >= MIN_CALL_MS) return 'begin';
    const begun = [...this.#begunAt.values()];
    return mayBegin({
      recentMs: this.#recentMs,
      underWayMs: Array.from({ length: this.#active }, (_, at) => now - (begun[at] ?? now)),
      availableMs,
      fullMs: this.#fullMs,
      minMs: MIN_CALL_MS,
    });
  }

  #isTooSlow(): boolean {
    return isTooSlow(this.#recentMs, this.#fullMs);
  }

  /** Notes how long a call took. */
  #measured(ms: number): void {
    this.#measuredMs.push(ms);
    this.#recentMs = [...this.#recentMs, ms];
  }

  /** Requests that the record counts as called, and that surely were not. Only while no call is under way. */
  #unsent(): number[] {
    const announced = Math.max(0, this.#calls.started - this.#next);
    return [...this.#again, ...Array.from({ length: announced }, (_, index) => this.#next + index)];
  }

  #isEmpty(): boolean {
    return this.#again.length === 0 && this.#next >= this.#requests.length;
  }

  /** The next request; the record says first that it may have been called. */
  async #take(): Promise<number | undefined> {
    const again = this.#again.shift();
    if (again !== undefined) return again;
    if (this.#next >= this.#requests.length) return undefined;
    const index = this.#next++;
    if (index >= this.#calls.started) await this.#announce(index);
    return index;
  }

  async #announce(index: number): Promise<void> {
    await this.#write(async () => {
      if (index < this.#calls.started) return;
      await this.#record({ ...this.#calls, started: Math.min(index + STRIDE, this.#requests.length) });
    });
  }

  async #callOne(index: number): Promise<void> {
    const { ambient, deadline, rules } = this.#deps;
    const calls = this.#deps.calls.withKey(apiKeyOf(this.#batch));
    const request = this.#requests[index]!;
    const body = bodyOf(request, rules.calls.tierMembersOf(this.#tier, this.#batch.endpoint));
    const begunAt = ambient.now();
    this.#begunAt.set(index, begunAt);
    const timeoutMs = Math.min(MAX_CALL_MS, deadline.remainingMs() - RESERVE_MS);
    let answer: CallAnswer;
    try {
      answer = await calls.call({
        endpoint: this.#batch.endpoint,
        body,
        timeoutMs,
      });
      this.#begunAt.delete(index);
    } catch (error) {
      this.#begunAt.delete(index);
      const trouble = operatorErrorOf(rules.errors, error);
      if (trouble !== undefined) {
        this.#again.push(index);
        await suspendFor(this.#deps, this.#batch, trouble, 'collected');
        this.#halt({ why: 'over' });
      } else if (!(error instanceof CallUnansweredError) || error.mayBeCharged) {
        this.#unanswered(index, ambient.now() - begunAt, timeoutMs);
      } else this.#refused(index, undefined);
      return;
    }
    const { requestsPerMinute, tokensPerMinute } = answer;
    const line = answerLine(request.customId, answer);
    const verdict = rules.answers.verdictOf(JSON.parse(line) as Record<string, unknown>, this.#batch);
    if (rules.calls.isWithoutRoom(answer) && verdict.kind !== 'operator') {
      this.#refused(index, answer.retryAfterMs);
      return;
    }
    const now = ambient.now();
    if (answer.status < 300) {
      this.#measured(now - begunAt);
      this.#pace = learn(this.#pace, { ms: now - begunAt, requestsPerMinute, tokensPerMinute });
    }
    const isWithoutFlex = this.#tier === 'flex' && rules.calls.refusesFlex(answer);
    if (isWithoutFlex && this.#goToNextTier()) {
      this.#again.push(index);
      return;
    }
    this.#answeredAt = now;
    this.#refusals = 0;
    this.#allowed = Math.min(CALLS_OF_A_SLICE, this.#allowed + 1 / this.#allowed);
    this.#add(index, isWithoutFlex ? unansweredLine(request.customId, MODEL_WITHOUT_FLEX) : line);
    // The others would be answered the same: they wait for a person, and collect suspends what it is about.
    if (verdict.kind === 'operator') this.#halt({ why: 'over' });
    if (this.#unkept.length >= KEEP_EVERY_ANSWERS) await this.#keep();
  }

  /** OpenAI had no room, which it does not charge: fewer calls at a time, and later. */
  #refused(index: number, retryAfterMs: number | undefined): void {
    this.#again.push(index);
    const now = this.#deps.ambient.now();
    // Calls that were under way together are refused together: that counts once.
    if (now < this.#pausedUntil) return;
    this.#refusals++;
    const backoff = waitAfter(CALL_BACKOFF, this.#refusals);
    this.#allowed = Math.max(1, this.#allowed / 2);
    const jitter = Number.parseInt(this.#deps.ambient.nonce().slice(0, 8), 16) / 2 ** 32;
    this.#pausedUntil = now + Math.ceil(Math.max(retryAfterMs ?? 0, backoff * (0.5 + jitter / 2)));
  }

  /** A call that may have been charged got no answer: for lack of time, or because its connection broke. */
  #unanswered(index: number, tookMs: number, timeoutMs: number): void {
    const isTimeout = tookMs >= timeoutMs;
    if (isTimeout) this.#measured(tookMs);
    // Another try could wait no longer than this one did.
    const isFinal =
      isTimeout &&
      tookMs >= this.#fullMs &&
      this.#recentMs.length >= MIN_TO_CONDEMN &&
      this.#isTooSlow() &&
      this.#nextTier() === undefined;
    this.#add(index, unansweredLine(this.#customId(index), isFinal ? tooSlow(tookMs) : NO_ANSWER));
  }

  #nextTier(): Tier | undefined {
    const tiers = this.#batch.ladder?.tiers ?? [];
    return tiers[tiers.indexOf(this.#tier) + 1];
  }

  /** What is left continues in the next tier, if there is one. */
  #goToNextTier(): boolean {
    const nextTier = this.#nextTier();
    if (nextTier !== undefined) this.#halt({ why: 'over', nextTier });
    return nextTier !== undefined;
  }

  #add(index: number, line: string): void {
    this.#lines.set(index, line);
    this.#unkept.push(index);
  }

  #customId(index: number): string {
    return this.#requests[index]!.customId;
  }

  #halt(stop: Stop): void {
    this.#stop ??= stop;
    this.#stopped.abort();
  }

  async #keepWhile(ended: AbortSignal): Promise<void> {
    for (;;) {
      await this.#deps.pause(KEEP_EVERY_MS, ended);
      if (ended.aborted) return;
      try {
        await this.#keep();
        if (this.#stop === undefined) await this.#lookAround();
      } catch (error) {
        // The workers find out by the lease, or by their next write.
        this.#deps.telemetry.record('save.failed', { ...this.#ids(), error: errorName(error) });
      }
    }
  }

  /** Stops if the job was cancelled, or if it is time for the next tier. */
  async #lookAround(): Promise<void> {
    const job = await this.#deps.jobs.getJob(this.#batch.jobId);
    if (job?.cancelledAt !== undefined) {
      this.#halt({ why: 'over' });
      return;
    }
    const next = await this.#tierAt(this.#deps.ambient.now());
    if (next !== this.#tier) this.#halt({ why: 'over', nextTier: next });
  }

  /** The tier that what is left as of now is to be in at a time. */
  async #tierAt(now: number): Promise<Tier> {
    const { ladder, jobId, model } = this.#batch;
    if (ladder?.deadlineAt === undefined || ladder.tiers.at(-1) === this.#tier) return this.#tier;
    const work = workOf(await this.#deps.jobs.listBatches(jobId), model);
    const paceOf = await readPaces(this.#deps, this.#batch);
    return tierToStay({ ladder, tier: this.#tier, work, paceOf, now });
  }

  /** When a slice that OpenAI had no room for is called on: ever later, but in time for the next tier. */
  async #retryAt(refusals: number): Promise<number> {
    const now = this.#deps.ambient.now();
    const restMs = waitAfter(REST_BACKOFF, refusals);
    const isInTime = (await this.#tierAt(now + restMs)) === this.#tier;
    return now + (isInTime ? restMs : REST_BACKOFF.firstMs);
  }

  /** Keeps the answers that have come, and the lease. */
  async #keep(again: readonly number[] = []): Promise<void> {
    await this.#write(async () => {
      // A copy: others are answered while these are written.
      const indexes = [...this.#unkept];
      let { segments } = this.#calls;
      if (indexes.length > 0) {
        if (this.#isTakenOver) await this.#checkLive();
        const text = `${indexes.map((index) => this.#lines.get(index)!).join('\n')}\n`;
        const body = Buffer.from(text);
        // A worker whose lease ran out while it wrote may have been first: its answers stay where they are.
        while (!(await this.#deps.objects.put(this.#keys.segment(segments++), body, { ifAbsent: true })));
        this.#unkept = this.#unkept.slice(indexes.length);
      }
      await this.#record({ ...this.#calls, segments, done: this.#lines.size - this.#unkept.length }, again);
    });
  }

  /** One write after the other; the error of one is not the next one's. */
  async #write(step: () => Promise<void>): Promise<void> {
    const turn = this.#writing.then(step);
    this.#writing = turn.catch(() => {});
    await turn;
  }

  /** @param again see {@link #unsent}; nothing is called any more after a record that names some. */
  async #record({ again: _, ...rest }: Calls, again: readonly number[] = []): Promise<void> {
    const calls: Calls = { ...rest, ...(again.length === 0 ? {} : { again: [...again] }) };
    await this.#move(toCalling(this.#batch, calls));
    this.#calls = calls;
  }

  async #move(transition: BatchTransition): Promise<void> {
    try {
      await this.#leased.move(transition);
    } catch (error) {
      throw error instanceof TakenOverError ? this.#takenOver() : error;
    }
  }

  /**
   * An answer that comes after another worker took over is kept as long as somebody may find it.
   * @throws {NotYetError} if the slice has ended: its requests were judged without that answer.
   */
  async #checkLive(): Promise<void> {
    const { jobId, batchId } = this.#batch;
    const batch = await this.#deps.jobs.getBatch(jobId, batchId);
    if (batch?.state !== 'admitted') throw this.#takenOver();
  }

  #takenOver(): NotYetError {
    this.#isTakenOver = true;
    this.#halt({ why: 'time' });
    return new NotYetError(`slice ${this.#batch.batchId} was taken over by another worker`, MINUTE_MS);
  }

  async #finish(): Promise<void> {
    const { jobId, batchId } = this.#batch;
    const { outbox, ambient, telemetry } = this.#deps;
    await this.#learn();
    const stop = this.#stop;
    const isDone = this.#lines.size === this.#requests.length;
    if (!isDone && (stop?.why === 'time' || stop?.why === 'refused')) {
      const refusals = stop.why === 'refused' ? (this.#calls.refusals ?? 0) + 1 : 0;
      this.#calls = { ...this.#calls, refusals };
      await this.#keep(this.#unsent());
      const notBefore = refusals === 0 ? undefined : await this.#retryAt(refusals);
      await this.#move(toCallsPaused(this.#batch, notBefore));
      // What rests is found by the sweep.
      if (refusals === 0) await outbox.call({ v: 1, jobId, batchId });
      telemetry.record('slice.paused', {
        ...this.#ids(),
        cause: stop.why,
        done: this.#calls.done,
      });
      return;
    }
    for (let index = 0; index < this.#requests.length; index++) {
      if (this.#lines.has(index)) continue;
      const error = { code: NOT_SENT, message: 'This request was not sent in this tier.' };
      this.#add(index, unansweredLine(this.#customId(index), error));
    }
    await this.#keep();
    const body = Buffer.from(`${this.#requests.map((_, index) => this.#lines.get(index)!).join('\n')}\n`);
    const key = this.#keys.file(this.#leased.holder);
    await this.#deps.objects.put(key, body);
    const fetchedAt = ambient.now();
    const file = { fileId: 'calls', key, bytes: body.length, crc32: crc32(body), fetchedAt };
    const nextTier = stop?.why === 'over' ? stop.nextTier : undefined;
    await this.#end(toCalled(this.#batch, file, nextTier, ambient.now()));
  }

  async #end(transition: BatchTransition): Promise<void> {
    const { quota, outbox, ambient, telemetry } = this.#deps;
    const { jobId, batchId, admission } = this.#batch;
    await this.#move(transition);
    telemetry.record('slice.completed', { ...this.#ids(), requests: this.#requests.length });
    if (admission !== undefined) await quota.giveBackTokens(admission.reservation, ambient.now());
    await outbox.collect({ v: 1, jobId, batchId });
  }

  /** What this worker found out about the pace of the model. Answers are kept and go on, whether or not it can be noted. */
  async #learn(): Promise<void> {
    const measured = this.#measuredMs;
    if (measured.length === 0) return;
    const { quota, ambient, telemetry } = this.#deps;
    const now = ambient.now();
    const rule = (ledger: Ledger | undefined) => ({
      pace: {
        ...ledger?.pace,
        ...this.#pace,
        latencies: rememberLatencies(ledger?.pace?.latencies, measured, now),
      },
    });
    try {
      await quota.changeLedger(callsLedgerOf(this.#batch), rule, ambient.now());
    } catch (error) {
      telemetry.record('pace.discarded', { ...this.#ids(), error: errorName(error) });
    }
  }

  #ids(): { jobId: string; batchId: string; tier: Tier } {
    return { jobId: this.#batch.jobId, batchId: this.#batch.batchId, tier: this.#tier };
  }
}
