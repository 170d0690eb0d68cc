/**
 * In which service tier requests continue: the cheapest one that can still meet the deadline. Pure.
 *
 * A tier is left at the last moment at which every tier below it, one after the other, could still do all the
 * remaining work with room to spare; so a tier that turns out to be slow or refused leaves enough time for the next
 * one, and nothing continues in a more expensive tier while a cheaper one can still meet the deadline. In the last
 * tier work continues past the deadline: late answers are better than none.
 */

import { readDuration } from '../../contract/durations.ts';
import { isWindowTier, type Route, type Tier, windowMs } from '../../contract/route.ts';
import { MINUTE_MS } from '../../contract/time.ts';
import { type BatchRecord, type Ladder, tokensOf } from '../model/batch.ts';
import type { Job } from '../model/job.ts';
import { type StatedError, TIER_NOT_OFFERED } from '../model/outcome-codes.ts';
import type { EndpointRules, ProviderRules } from '../ports/provider-rules.ts';

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
const SLACK_MS = 15 * 60_000;
/** OpenAI takes up to 10 minutes to cancel (API reference, "Cancel batch"); a poll comes every 5. */
const CANCEL_MS = 15 * 60_000;
/** A batch that has less time than this before it would be cancelled is not begun. */
const MIN_BATCH_MS = 30 * 60_000;

/** Whether an endpoint has a tier: each has batch and standard. */
export function isServed(
  tier: Tier,
  endpoint: Pick<EndpointRules, 'hasFlex' | 'hasBackground'> | undefined,
): boolean {
  if (tier === 'flex') return endpoint?.hasFlex === true;
  return !isWindowTier(tier) || endpoint?.hasBackground === true;
}

/** In which tiers a request of this route may go to this endpoint; `undefined`: in none. */
export function ladderOf(
  route: Pick<Route, 'tiers' | 'deadline'>,
  endpoint: Pick<EndpointRules, 'hasFlex' | 'hasBackground'> | undefined,
  droppedAt: number,
): Ladder | undefined {
  const tiers = route.tiers.filter((tier) => isServed(tier, endpoint));
  if (tiers.length === 0) return undefined;
  const deadlineMs = route.deadline === undefined ? undefined : readDuration(route.deadline);
  return { tiers, ...(deadlineMs === undefined ? {} : { deadlineAt: droppedAt + deadlineMs }) };
}

/** For requests that {@link ladderOf} has no tier for. */
function tierNotOffered(endpoints: ProviderRules['endpoints']): StatedError {
  const urlsWith = (tier: Tier): string =>
    [...endpoints.values()]
      .filter((endpoint) => isServed(tier, endpoint))
      .map(({ url }) => url)
      .join(' and ') || 'no endpoint';
  return {
    code: TIER_NOT_OFFERED,
    message: `No tier of the route serves this endpoint; flex is offered for ${urlsWith('flex')}, background windows for ${urlsWith('background-8h')}.`,
  };
}

/** What its ladder makes of a new batch: with one tier, batch, there is nothing to decide; with none, it cannot run. */
export function onLadder(
  ladder: Ladder | undefined,
  endpoints: ProviderRules['endpoints'],
  now: number,
): Partial<BatchRecord> {
  if (ladder === undefined)
    return {
      state: 'ended',
      ending: { status: 'failed', errors: [tierNotOffered(endpoints)], endedAt: now },
    };
  return ladder.tiers.length === 1 && ladder.tiers[0] === 'batch' ? {} : { ladder };
}

/** When the deadline of a job counts from: S3's time of the drop. */
export function droppedAt({ input }: Pick<Job, 'input'>): number {
  return input.lastModified;
}

/** How long a tier in which requests are called one by one needs for the work. */
export function needMs(work: Work, pace: Pace): number {
  const minutes = Math.max(work.requests / pace.requestsPerMinute, work.tokens / pace.tokensPerMinute);
  return Math.ceil(minutes * MINUTE_MS * SLACK) + SLACK_MS;
}

export interface StepQuestion {
  ladder: Ladder;
  /** Where the work is, or is to begin. */
  tier: Tier;
  /** Everything of the job that wants the same model. */
  work: Work;
  paceOf: (tier: Tier) => Pace;
  now: number;
}

/** The tier to begin work in: `tier`, or one further down. */
export function tierToBegin(question: StepQuestion): Tier {
  return stepDown(question, CANCEL_MS + MIN_BATCH_MS);
}

/** The tier that work which has begun in `tier` is to be in now. */
export function tierToStay(question: StepQuestion): Tier {
  return stepDown(question, CANCEL_MS);
}

function stepDown({ ladder, tier, work, paceOf, now }: StepQuestion, toLeaveBatchMs: number): Tier {
  const { tiers, deadlineAt } = ladder;
  let at = Math.max(0, tiers.indexOf(tier));
  if (deadlineAt === undefined) return tiers[at]!;
  const left = deadlineAt - now;
  for (; at < tiers.length - 1; at++) {
    const below = tiers
      .slice(at + 1)
      .reduce((sum, next) => sum + needMs(work, paceOf(next)) + windowMs(next), 0);
    if (left > below + (tiers[at] === 'batch' ? toLeaveBatchMs : 0)) break;
  }
  return tiers[at]!;
}

/**
 * Whether a batch at OpenAI is better left alone although its time has come: one that is finalizing has been
 * executed, and one that will end in time by itself, as far as it has come, would lose the requests that are being
 * executed. That counts as long as the last tier alone could still do what is left.
 */
export function isWorthWaitingFor(
  batch: Pick<BatchRecord, 'remote'>,
  { ladder, work, paceOf, now }: Omit<StepQuestion, 'tier'>,
): boolean {
  if (batch.remote?.status === 'finalizing' || batch.remote?.status === 'cancelling') return true;
  const progress = batch.remote?.progress;
  const statusAt = batch.remote?.statusAt;
  if (ladder.deadlineAt === undefined || batch.remote?.status !== 'in_progress') return false;
  if (progress === undefined || statusAt === undefined || progress.completed === 0) return false;
  const left = ladder.deadlineAt - now;
  const perRequestMs = (now - statusAt) / progress.completed;
  const endMs = (progress.total - progress.completed - progress.failed) * perRequestMs * SLACK + SLACK_MS;
  const last = ladder.tiers.at(-1)!;
  return endMs <= left && left > needMs(work, paceOf(last)) + CANCEL_MS;
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
