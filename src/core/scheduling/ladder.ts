/**
 * In which tier requests continue: the cheapest one that can still meet the deadline. Pure.
 *
 * Time is reserved for the dearest path still needed: the next tier that fits, and then the last one, each for all the
 * remaining work with room to spare. A tier is left at the last moment for that path. So a tier that turns out to be
 * slow or refused leaves enough time, and nothing continues in a more expensive tier while a cheaper one can still meet
 * the deadline. A window fits if it and the last tier can do all of the work one after the other. In the last tier work
 * continues past the deadline: late answers are better than none.
 */

import { isWindowTier, type Tier, windowMs } from '../../contract/route.ts';
import { MINUTE_MS } from '../../contract/time.ts';
import { type BatchRecord, type Ladder, tokensOf } from '../model/batch.ts';
import type { Job } from '../model/job.ts';

/** What is not answered yet. */
export interface Work {
  requests: number;
  /** Input tokens. */
  tokens: number;
}

/** How much of a model's work can be done in a minute, request by request. */
export interface Pace {
  requestsPerMinute: number;
  tokensPerMinute: number;
}

/** Work is given half as long again as its pace says, and a quarter of an hour for what comes before and after it. */
const SLACK = 1.5;
const SLACK_MS = 15 * MINUTE_MS;
/** What leaving batch takes beside the cancel: ours, a poll comes every 5 minutes. */
const POLL_MS = 5 * MINUTE_MS;
/** A batch that has less time than this before it would be cancelled is not begun. */
const MIN_BATCH_MS = 30 * MINUTE_MS;
/** What takes work from one tier to the next when nothing has to be cancelled as a batch: collect, and a dispatch. */
const HAND_ON_MS = 5 * MINUTE_MS;
/** A moment may be seen so much late, beside that: two polls. */
const LOOK_MS = 10 * MINUTE_MS;

/** When the deadline of a job counts from: S3's time of the drop. */
export function droppedAt({ input }: Pick<Job, 'input'>): number {
  return input.lastModified;
}

/** How long a tier in which requests are called one by one needs for the work. */
export function needMs(work: Work, pace: Pace): number {
  const minutes = Math.max(work.requests / pace.requestsPerMinute, work.tokens / pace.tokensPerMinute);
  return withSlack(minutes * MINUTE_MS);
}

/** How long work is given that takes so long by its pace; both in ms. */
export function withSlack(ms: number): number {
  return Math.ceil(ms * SLACK) + SLACK_MS;
}

export interface StepQuestion {
  ladder: Ladder;
  /** Where the work is, or is to begin. */
  tier: Tier;
  /** Everything of the job that wants the same model. */
  work: Work;
  paceOf: (tier: Tier) => Pace;
  /** Whether the provider has not said that the model is not served in a tier. */
  isOffered: (tier: Tier) => boolean;
  /**
   * Since when the work is in `tier` at the provider: a batch, or responses in the background. Absent: it is not there,
   * or answered at once.
   */
  beganAt?: number | undefined;
  /** How long the provider takes at most to cancel a batch (ms). */
  cancelMs: number;
  now: number;
}

/** The tier to begin work in: `tier`, or one further down. */
export function tierToBegin(question: StepQuestion): Tier {
  return beginIn(wayOf(question, tiersFrom(question)));
}

/** The tier that work which has begun in `tier` is to be in now. A refusal that other work got does not move it. */
export function tierToStay(question: StepQuestion): Tier {
  const { ladder, tier, isOffered } = question;
  const at = ladder.tiers.indexOf(tier);
  if (at === -1) return tierToBegin(question);
  const below = ladder.tiers.slice(at + 1).filter(isOffered);
  const way = wayOf(question, [tier, ...below]);
  return mayStay(way, tier) ? tier : beginIn({ ...way, tiers: below });
}

/**
 * When work that has begun in `tier` is to leave it, if nothing changes but the time: at the earliest `now`; `undefined`:
 * never.
 */
export function leavesAt(question: StepQuestion): number | undefined {
  const { ladder, tier, isOffered, beganAt, now } = question;
  const { deadlineAt } = ladder;
  if (deadlineAt === undefined) return undefined;
  const below = ladder.tiers.slice(ladder.tiers.indexOf(tier) + 1).filter(isOffered);
  const way = wayOf(question, [tier, ...below]);
  const moments = below.map((next) => deadlineAt - pathMs(way, next) - marginMs(way, tier, next));
  if (beganAt !== undefined) moments.push(beganAt + minMs(tier));
  return [now, ...moments.filter((at) => at > now)]
    .sort((one, other) => one - other)
    .find((at) => tierToStay({ ...question, now: at }) !== tier);
}

/** What decides about tiers: those that are left, and the time. */
interface Way {
  /** From the present one on. */
  tiers: readonly Tier[];
  /** The tier that all work ends up in at the latest. */
  last: Tier;
  /** Until the deadline, in ms. */
  leftMs: number;
  /** What leaving batch takes, in ms. */
  leaveBatchMs: number;
  /** How much of `leftMs` passes until what leaves the present tier can begin in another one. */
  freeMs: number;
  needMs: (tier: Tier) => number;
  /** Whether the present tier is to have its time first, before a window is thought of. */
  isYoung: boolean;
}

/** The tiers of a ladder that are offered, from the present one on; the last one is always tried. */
function tiersFrom({ ladder, tier, isOffered }: StepQuestion): Tier[] {
  const tiers = ladder.tiers.slice(Math.max(0, ladder.tiers.indexOf(tier)));
  const offered = tiers.filter(isOffered);
  return offered.length === 0 ? [tiers.at(-1)!] : offered;
}

function wayOf(question: StepQuestion, tiers: readonly Tier[]): Way {
  const { ladder, tier, work, paceOf, beganAt, now } = question;
  const leaveMs = leaveBatchMs(question);
  return {
    tiers,
    last: tiers.at(-1)!,
    leftMs: (ladder.deadlineAt ?? Number.POSITIVE_INFINITY) - now,
    leaveBatchMs: leaveMs,
    freeMs: ladder.tiers.includes(tier) ? freeMs(leaveMs, tier) : 0,
    needMs: (each) => needMs(work, paceOf(each)) + windowMs(each),
    isYoung: beganAt !== undefined && now < beganAt + minMs(tier),
  };
}

/** What a tier is given before it is left for a window: OpenAI aims to answer within a window, so before that none is late. */
function minMs(tier: Tier): number {
  return tier === 'batch' ? MIN_BATCH_MS : windowMs(tier);
}

/** Until the work of a batch that is to be left can begin in another tier. */
function leaveBatchMs({ cancelMs }: Pick<StepQuestion, 'cancelMs'>): number {
  return cancelMs + POLL_MS;
}

function freeMs(leaveMs: number, tier: Tier): number {
  return tier === 'batch' ? leaveMs : HAND_ON_MS;
}

/** The dearest path that work in a tier may still need: all of the tier, and then the last one for all of it. */
function pathMs({ needMs: need, last }: Way, tier: Tier): number {
  return need(tier) + (tier === last ? 0 : need(last));
}

/**
 * Whether work that leaves the present tier may enter another one. Only a window has to be over before its answers are
 * late; flex answers one by one, and what it does not reach continues in the last tier.
 */
function fits(way: Way, tier: Tier): boolean {
  if (tier === way.last) return true;
  const leftMs = way.leftMs - way.freeMs;
  return isWindowTier(tier) ? pathMs(way, tier) <= leftMs : way.leftMs > way.needMs(way.last);
}

/** How long before the last moment for a tier another one is left. */
function marginMs(way: Way, from: Tier, to: Tier): number {
  if (isWindowTier(from) || isWindowTier(to)) return freeMs(way.leaveBatchMs, from) + LOOK_MS;
  return from === 'batch' ? way.leaveBatchMs : 0;
}

/** Whether there is time until the last moment for the next tier that fits. */
function mayStay(way: Way, tier: Tier): boolean {
  if (tier === way.last) return true;
  const below = way.tiers.slice(way.tiers.indexOf(tier) + 1);
  const next = below.find(
    (each) => each === way.last || (fits(way, each) && !(way.isYoung && isWindowTier(each))),
  )!;
  return way.leftMs > pathMs(way, next) + marginMs(way, tier, next);
}

function mayBegin(way: Way, tier: Tier): boolean {
  if (tier === way.last) return true;
  if (isWindowTier(tier)) return fits(way, tier);
  if (tier === 'flex') return fits(way, tier) && mayStay(way, tier);
  // Flex costs as much as a batch: where it is the way out, a batch is to leave time for it.
  const out = way.tiers.includes('flex') ? 'flex' : way.last;
  const leastMs = pathMs(way, out) + way.leaveBatchMs + MIN_BATCH_MS;
  return mayStay({ ...way, isYoung: false }, tier) && way.leftMs > leastMs;
}

function beginIn(way: Way): Tier {
  return way.tiers.find((tier) => mayBegin(way, tier))!;
}

/**
 * Whether a batch at OpenAI is better left alone although its time has come: one that is finalizing has been
 * executed, and one that will end in time by itself, as far as it has come, would lose the requests that are being
 * executed. That counts as long as the last tier alone could still do what is left.
 */
export function isWorthWaitingFor(
  batch: Pick<BatchRecord, 'remote'>,
  question: Pick<StepQuestion, 'ladder' | 'work' | 'paceOf' | 'cancelMs' | 'now'>,
): boolean {
  const { ladder, work, paceOf, now } = question;
  if (batch.remote?.status === 'finalizing' || batch.remote?.status === 'cancelling') return true;
  const progress = batch.remote?.progress;
  const statusAt = batch.remote?.statusAt;
  if (ladder.deadlineAt === undefined || batch.remote?.status !== 'in_progress') return false;
  if (progress === undefined || statusAt === undefined || progress.completed === 0) return false;
  const left = ladder.deadlineAt - now;
  const perRequestMs = (now - statusAt) / progress.completed;
  const endMs = (progress.total - progress.completed - progress.failed) * perRequestMs * SLACK + SLACK_MS;
  const last = ladder.tiers.at(-1)!;
  return endMs <= left && left > needMs(work, paceOf(last)) + leaveBatchMs(question);
}

/** What of a job's batches of one model is not answered yet, as far as OpenAI reports. */
export function workOf(batches: readonly BatchRecord[], model: string): Work {
  const work: Work = { requests: 0, tokens: 0 };
  for (const batch of batches) {
    if (batch.model !== model || batch.state === 'collected' || batch.requests === 0) continue;
    const done =
      batch.calls?.done ?? (batch.remote?.progress?.completed ?? 0) + (batch.remote?.progress?.failed ?? 0);
    const requests = Math.max(0, batch.requests - done);
    work.requests += requests;
    work.tokens += Math.ceil((tokensOf(batch) * requests) / batch.requests);
  }
  return work;
}
