/**
 * A slice whose responses are made in the background. One worker's work at it is a visit: it creates what is to be
 * created, looks at what is due, takes what has ended, and says in the record when the next visit is.
 *
 * What is known of a response comes of its create, of a look at it, or of an arrival, which a webhook caused. Those of
 * which nobody knows whether they were created wait for an arrival, and run again only when their time is over.
 */
import { type Tier, windowMs } from '../../../contract/route.ts';
import { MINUTE_MS, SECOND_MS } from '../../../contract/time.ts';
import { sendsWebhooks } from '../../../contract/webhooks.ts';
import { memberText } from '../../base/json-members.ts';
import { listArrivals, readArrival } from '../../files/arrivals.ts';
import { workKeys } from '../../files/keys.ts';
import { readManifest } from '../../files/manifest.ts';
import { toHurried } from '../../lifecycle/batch-transitions.ts';
import type { LeasedBatch } from '../../lifecycle/leased.ts';
import { apiKeyOf, type BatchRecord, tierOf } from '../../model/batch.ts';
import type { Job } from '../../model/job.ts';
import { isExhausted, withTry } from '../../model/tries.ts';
import { MAX_DELAY_MS } from '../../ports/outbox.ts';
import { noteUnreported } from '../../scheduling/unreported.ts';
import { isHealthy } from '../../scheduling/webhook-health.ts';
import { BackgroundCreates, type Closed } from './background-creates.ts';
import { BackgroundLooks } from './background-looks.ts';
import {
  cancellingOf,
  givenUpAt,
  type Held,
  isBeyondReach,
  isCancelOverdue,
  isGone,
  isUnstoppable,
  lookAgainAt,
  lookAt,
  type Outlook,
} from './background-plan.ts';
import { CreatedResponses, createdOf, type KnownCreated } from './created.ts';
import type { CallDeps } from './deps.ts';
import { takeIfEnded } from './ended.ts';
import type { Watch } from './looks.ts';
import { isPaused } from './paused.ts';
import { type SliceKeys, SliceProgress } from './progress.ts';
import { readSlice } from './read-slice.ts';
import { readRequests } from './requests.ts';
import { SliceEnd } from './slice-end.ts';
import { continueAt, type Moments, momentsOf } from './slice-tier.ts';
import { UnreadResponses } from './unread.ts';

/** Looks that are due within this time are made together. */
const TOGETHER_MS = MINUTE_MS;
/** No visit follows another one sooner, unless there is something to be done. */
const MIN_PAUSE_MS = MINUTE_MS;
/** A wait that is too long for a delayed message ends by the sweep, which may be so late. */
const SWEEP_LATE_MS = 10 * MINUTE_MS;
/** No round of looks begins with less of the worker's life left. */
const MIN_LIFE_MS = 2 * MINUTE_MS;
/** The job and the ladder are looked at so often while responses are created. */
const LOOK_AROUND_MS = 15 * SECOND_MS;

/** What decides over what is open, as it is at one time. */
interface Situation {
  job: Job;
  moments: Moments;
  /** Nothing looks at OpenAI as often while webhooks tell of what ends there. */
  isReported: boolean;
}

/** One visit. */
export class BackgroundSlice {
  readonly #deps: CallDeps;
  readonly #leased: LeasedBatch;
  readonly #batch: BatchRecord;
  readonly #tier: Tier;
  readonly #keys: SliceKeys;
  readonly #progress: SliceProgress;
  readonly #created: CreatedResponses;
  readonly #unread: UnreadResponses;
  readonly #looks: BackgroundLooks;
  readonly #end: SliceEnd;
  #situation!: Situation;
  #lookedAroundAt = Number.NEGATIVE_INFINITY;
  #isTakenOver = false;
  /** What this worker has found among the arrivals. */
  readonly #arrived = new Set<number>();
  /** Of creates that were given up, responses that arrived all the same. */
  readonly #unwanted: KnownCreated[] = [];

  constructor(deps: CallDeps, leased: LeasedBatch) {
    this.#deps = deps;
    this.#leased = leased;
    this.#batch = leased.record;
    this.#tier = tierOf(this.#batch);
    this.#keys = workKeys(deps.settings.layout, this.#batch.jobId).calls(this.#batch.batchId);
    this.#progress = new SliceProgress(deps, leased, this.#keys, () => {
      this.#isTakenOver = true;
    });
    this.#created = new CreatedResponses(deps.objects, this.#keys, this.#progress);
    this.#unread = new UnreadResponses(deps.objects, this.#keys);
    const responses = { created: this.#created, unread: this.#unread };
    this.#looks = new BackgroundLooks(deps, this.#batch, this.#progress, responses, () => this.#hasTime());
    this.#end = new SliceEnd(deps, leased, this.#keys, this.#progress);
  }

  /** @throws the first failure of a look, after everything that is known is kept. */
  async run(): Promise<void> {
    const { ambient } = this.#deps;
    const rendered = await readSlice(this.#deps, this.#leased, this.#keys.requests);
    if (!(rendered instanceof Uint8Array)) return this.#end.withdraw(rendered);
    await this.#progress.load(readRequests(rendered));
    await this.#created.load(ambient.now());
    await this.#unread.load();
    await this.#takeArrivals();
    await this.#lookAround();
    const isResting = this.#isResting;
    const stop = isResting ? 'refused' : await this.#create();
    const isInterrupted = stop !== 'refused' && !this.#isClosed && !this.#progress.isEmpty;
    const hasLookedAtAll = await this.#look();
    await this.#created.keep();
    await this.#unread.keep();
    const { firstEnded } = this.#looks;
    if (firstEnded !== undefined)
      await noteUnreported(this.#deps, this.#batch, { responseId: firstEnded.id });
    if (this.#looks.failure !== undefined) {
      await this.#progress.keepForNext();
      throw this.#looks.failure;
    }
    if (!hasLookedAtAll || isInterrupted) return this.#end.pause('time', this.#progress.refusals, undefined);
    if (this.#isOver) return this.#complete();
    return this.#pause(stop === 'refused', isResting);
  }

  /** OpenAI had no room a short time ago: whatever this visit is for, nothing is created. */
  get #isResting(): boolean {
    const { restUntil = 0 } = this.#progress.calls;
    return this.#deps.ambient.now() < restUntil && !this.#isClosed && !this.#progress.isEmpty;
  }

  #hasTime(): boolean {
    return !this.#isTakenOver && this.#leased.isHeld && this.#deps.deadline.remainingMs() >= MIN_LIFE_MS;
  }

  /**
   * Takes in what webhooks have brought. Marks can be copied: where the id of a response is known, another one with its
   * marks is a stranger's.
   */
  async #takeArrivals(): Promise<void> {
    for (const request of await listArrivals(this.#deps, this.#batch)) {
      this.#arrived.add(request);
      const known = this.#created.of(request);
      const isAnswered = this.#progress.hasLine(request);
      if (known === undefined || (isAnswered && known.id !== undefined)) continue;
      const arrival = await readArrival(this.#deps, this.#batch, request);
      if (arrival === undefined) continue;
      if (known.id !== undefined && known.id !== arrival.id) continue;
      const created = createdOf(arrival, known);
      if (isAnswered) {
        this.#unwanted.push(created);
        continue;
      }
      // Of a create without an answer, the response is known from now on.
      if (known.id === undefined) this.#created.add(created);
      takeIfEnded(this.#progress, created, arrival);
    }
    await this.#created.keep();
  }

  /** Reads what decides over the slice, and closes it where its job was cancelled or paused, or its time has come. */
  async #lookAround(): Promise<void> {
    const { jobs, ambient } = this.#deps;
    const now = ambient.now();
    const job = (await jobs.getJob(this.#batch.jobId))!;
    const begun = this.#created.open.map(({ at }) => at);
    const beganAt = begun.length === 0 ? undefined : Math.min(...begun);
    const moments = await momentsOf(this.#deps, this.#batch, beganAt);
    this.#situation = { job, moments, isReported: await this.#isReported(now) };
    this.#lookedAroundAt = now;
    const { queuedAt, nextTier } = moments;
    if (job.cancelledAt !== undefined || (await isPaused(this.#deps, this.#batch))) this.#close({});
    else if (now >= queuedAt && nextTier !== this.#tier) this.#close({ lateAt: now, nextTier });
  }

  async #isReported(now: number): Promise<boolean> {
    const apiKey = apiKeyOf(this.#batch);
    if (!sendsWebhooks(this.#deps.settings.webhooks, apiKey)) return false;
    return isHealthy(await this.#deps.webhooks.getHealth(apiKey), now);
  }

  /** From now on nothing is created. */
  #close(closed: Closed): void {
    const before = this.#progress.calls.closed;
    const lateAt = before?.lateAt ?? closed.lateAt;
    const late = lateAt === undefined ? {} : { lateAt };
    this.#progress.note({ closed: { ...before, ...closed, ...late } });
  }

  get #isClosed(): boolean {
    return this.#progress.calls.closed !== undefined;
  }

  async #create(): Promise<'time' | 'refused' | undefined> {
    const creates = new BackgroundCreates(this.#deps, this.#batch, this.#progress, this.#created, (closed) =>
      this.#close(closed),
    );
    return creates.run(async () => {
      if (this.#isClosed || this.#isTakenOver || !this.#leased.isHeld) return false;
      if (this.#deps.ambient.now() - this.#lookedAroundAt >= LOOK_AROUND_MS) {
        await this.#lookAround();
        // Creates may go on for as long as this worker lives: until then, what OpenAI keeps for minutes would be gone.
        await this.#look();
      }
      return !this.#isClosed && this.#looks.failure === undefined;
    });
  }

  /** @returns whether there was time for all looks that are due. */
  async #look(): Promise<boolean> {
    const outlook = this.#outlook();
    const held = await this.#heldOf(this.#created.open, outlook);
    const until = outlook.now + TOGETHER_MS;
    const due = this.#created.open.filter((created) => lookAt(outlook, held(created)) <= until);
    const hasLookedAtAll = await this.#looks.look(due, (created) => ({
      cancel: cancellingOf(outlook, held(created)),
      isGone: isGone(outlook, held(created)),
      isBeyondReach: isBeyondReach(outlook, held(created)),
      isCancelOverdue: isCancelOverdue(outlook, held(created)),
      isUnstoppable: isUnstoppable(outlook, held(created)),
    }));
    for (const created of this.#created.unknown)
      if (outlook.now >= givenUpAt(outlook, created)) this.#progress.addUnanswered(created.request, null);
    if (hasLookedAtAll && this.#looks.failure === undefined) this.#progress.note({ lookedAt: until });
    return hasLookedAtAll;
  }

  #outlook(): Outlook {
    const { job, moments } = this.#situation;
    const { closed, lookedAt } = this.#progress.calls;
    return {
      queuedAt: closed?.lateAt ?? moments.queuedAt,
      allAt: moments.allAt,
      now: this.#deps.ambient.now(),
      windowMs: windowMs(this.#tier),
      deadlineAt: this.#batch.ladder?.deadlineAt,
      cancelledAt: job.cancelledAt,
      waitsWhenLate: job.route.onLate === 'wait',
      lookedAt,
    };
  }

  /** What decides over each response; how often its request was tried only once that matters. */
  async #heldOf(
    open: readonly KnownCreated[],
    { now, allAt }: Outlook,
  ): Promise<(created: KnownCreated) => Held> {
    const { job, isReported } = this.#situation;
    const isLate = now >= allAt && open.length > 0;
    const entries = isLate
      ? (await readManifest(this.#deps.objects, this.#batch.manifestKey)).entries
      : undefined;
    return ({ request, id, at }) => {
      const isShortLived = job.route.responseRetention === '10m' || this.#storeOf(request) === 'false';
      // Whether webhooks still come is known too late for answers that are kept for minutes.
      const watch: Watch = isShortLived ? 'close' : isReported ? 'reported' : 'sparing';
      const tried = entries?.tried(request);
      const isLastTry = tried !== undefined && isExhausted(withTry(tried, 'lost'), job.route);
      return { at, isShortLived, watch, isLastTry, ...this.#unread.of(id) };
    };
  }

  /** What a line says of keeping its response, as JSON. */
  #storeOf(request: number): string | undefined {
    return memberText(memberText(this.#progress.requests[request]!.line, 'body')!, 'store');
  }

  /** Whether nothing more can come of this slice. */
  get #isOver(): boolean {
    if (this.#progress.isComplete) return true;
    const isDone = this.#isClosed || this.#progress.isEmpty;
    return isDone && this.#created.open.length === 0 && this.#created.unknown.length === 0;
  }

  /** Nothing of a response is needed any more once its answer is safe, unless its line says that OpenAI is to store it. */
  async #complete(): Promise<void> {
    await this.#end.complete(this.#progress.calls.closed?.nextTier, () =>
      this.#looks.remove(
        [...this.#created.known, ...this.#unwanted].filter(
          ({ request }) => this.#storeOf(request) !== 'true',
        ),
      ),
    );
  }

  /** @param isResting it was refused by an earlier visit, whose rest is not over. */
  async #pause(isRefused: boolean, isResting: boolean): Promise<void> {
    const { ambient, jobs, outbox } = this.#deps;
    const { jobId, batchId } = this.#batch;
    const before = this.#progress.refusals;
    const refusals = isResting ? before : isRefused ? before + 1 : 0;
    if (isRefused && !isResting)
      this.#progress.note({ restUntil: await continueAt(this.#deps, this.#batch, refusals) });
    const restUntil = isRefused ? this.#progress.calls.restUntil! : Number.POSITIVE_INFINITY;
    const soonest = ambient.now() + MIN_PAUSE_MS;
    const visitAt = Math.max(soonest, Math.min(restUntil, await this.#visitAt()));
    await this.#end.pause(isRefused ? 'refused' : 'window', refusals, visitAt);
    // What arrived while this worker had the slice found it leased, and nobody was informed.
    const arrived = await listArrivals(this.#deps, this.#batch);
    if (arrived.every((request) => this.#arrived.has(request))) return;
    const now = ambient.now();
    if ((await jobs.moveBatch(this.#batch, toHurried(this.#batch, now), now)) !== undefined)
      await outbox.call({ v: 1, jobId, batchId });
  }

  /** When the next look is due, or the next moment to leave. */
  async #visitAt(): Promise<number> {
    const outlook = this.#outlook();
    const held = await this.#heldOf(this.#created.open, outlook);
    const { now, queuedAt, allAt } = outlook;
    const dueAt = Math.min(
      ...this.#created.open.map((created) => lookAgainAt(outlook, held(created))),
      ...this.#created.unknown.map((created) => givenUpAt(outlook, created)),
      ...[queuedAt, allAt].filter((moment) => moment > now),
    );
    // A longer wait than a message can have ends by the sweep, and the moment to leave must not be missed over it.
    const isSwept = dueAt - now > MAX_DELAY_MS;
    return isSwept && dueAt >= queuedAt ? Math.max(now + MAX_DELAY_MS, dueAt - SWEEP_LATE_MS) : dueAt;
  }
}
