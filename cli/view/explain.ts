/** Why a job waits: from its records, the ledgers and the suspensions. Pure. */
import type { JobRecords } from '../../local/stack/pipeline.ts';
import { isWindowTier } from '../../src/contract/route.ts';
import { defined } from '../../src/core/base/defined.ts';
import { dayIn, nextDayIn } from '../../src/core/base/zoned-day.ts';
import { apiKeyOf, type BatchRecord, isSlice, tierOf, tokensOf } from '../../src/core/model/batch.ts';
import { waitsForTurn } from '../../src/core/model/drop-turn.ts';
import type { Job } from '../../src/core/model/job.ts';
import type { Ledger } from '../../src/core/model/ledger.ts';
import { BUDGET_EXHAUSTED, CANCELLED } from '../../src/core/model/outcome-codes.ts';
import type { Pause } from '../../src/core/model/pause.ts';
import type { Suspension } from '../../src/core/model/suspension.ts';
import type { Prices } from '../../src/core/pricing/prices.ts';
import { judgeMoney, moneyLedgersOf } from '../../src/core/scheduling/budget.ts';
import { backlogScopeOf, ledgerOf, suspensionScopesOf } from '../../src/core/scheduling/scopes.ts';
import { isEndedUnsent, type JobPhase, jobView } from './job-view.ts';
import { describeTurn, format } from './progress.ts';
import { count } from './text.ts';
import { timeText } from './time.ts';
import { WAITS, type WaitCode, type WaitFacts, type WaitText } from './wait-reasons.ts';

/** What was read of the stack. */
export interface ExplainFacts {
  /** The dropped key. */
  key: string;
  records: JobRecords;
  ledgers: ReadonlyMap<string, Ledger>;
  suspensions: readonly Suspension[];
  pauses: readonly Omit<Pause, 'v' | 'isPaused'>[];
  backlog: readonly string[];
  /** Work queues with dead letters, by short name. */
  deadLetters: readonly { queue: string; messages: number }[];
  /** What the stack says sets an API key. */
  setKeyCommandOf: (apiKey: string) => string | undefined;
  /** For what a batch may cost: see `judgeMoney`. */
  prices: Prices;
  now: number;
}

/** One reason, with what it holds up. */
export interface Wait {
  code: WaitCode;
  /** A code of the provider or of ours, where there is one. */
  reason?: string;
  /** What it holds up; 0 for the job as a whole. */
  batches: number;
  requests: number;
  text: string;
  moves: string;
  /** Without the options that name the stack. */
  command?: string;
  /** A second one, after the first or in its place, as `moves` says. */
  otherCommand?: string;
  /** Epoch milliseconds. Absent: not recorded. */
  since?: number;
  until?: number;
}

/** What there is to say of what a job waits for. */
export interface Explanation {
  jobId: string | undefined;
  key: string;
  phase: JobPhase;
  hasEnded: boolean;
  requests: { total: number; done: number };
  /** When results must be there, epoch milliseconds. Absent: there is no deadline. */
  deadlineAt?: number;
  /** What is in the way first; then what takes its time. */
  waits: Wait[];
}

/** What is found of one batch, or of the job, before texts are made of it. */
interface Finding {
  code: WaitCode;
  reason?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
  detail?: string | undefined;
}

/** Pure. */
export function explain(facts: ExplainFacts): Explanation {
  const { job, batches } = facts.records;
  const view = jobView(facts.records);
  const { jobId, phase, hasEnded, requests } = view;
  const deadlines = batches.flatMap(({ ladder }) => ladder?.deadlineAt ?? []);
  return defined({
    jobId,
    key: facts.key,
    phase,
    hasEnded,
    requests,
    deadlineAt: deadlines.length === 0 ? undefined : Math.min(...deadlines),
    waits: hasEnded ? [] : [...waitsOfJob(facts, job), ...waitsOfBatches(facts), ...waitsOfStack(facts)],
  });
}

function waitsOfJob(facts: ExplainFacts, job: Job | undefined): Wait[] {
  if (job === undefined) return [toWait(facts, { code: 'not_seen' }, [])];
  const { failing, ingest, state } = job;
  const { owner, batches } = facts.records;
  const found: Finding[] = [];
  if (waitsForTurn(job)) {
    const { since, nextAt, waitsFor } = job.turn!;
    found.push({ code: 'turn', reason: waitsFor, detail: describeTurn(job.turn!), since, until: nextAt });
  } else if (state === 'ingesting' && ingest?.unreadable !== undefined) {
    const { code: reason, reason: detail, since, nextAt } = ingest.unreadable;
    found.push({ code: 'unreadable', reason, detail, since, until: nextAt });
  } else if (state === 'ingesting' && failing === undefined)
    found.push({ code: 'checking', since: job.createdAt });
  if (state === 'duplicate')
    found.push({ code: 'owner', reason: owner?.jobId ?? job.duplicateOf, since: job.createdAt });
  if (failing !== undefined) {
    const { reason, since, nextAt } = failing;
    found.push({ code: 'step_of_job', reason, since, until: nextAt });
  }
  const isCollected = batches.length > 0 && batches.every((batch) => batch.state === 'collected');
  if (state === 'running' && isCollected && failing === undefined)
    found.push({ code: 'merging', since: Math.max(...batches.map(({ updatedAt }) => updatedAt)) });
  return found.map((finding) => toWait(facts, finding, []));
}

function waitsOfBatches(facts: ExplainFacts): Wait[] {
  const open = facts.records.batches.filter(({ state }) => state !== 'collected');
  const found = open.map((batch) => ({ batch, finding: findingOf(facts, batch) }));
  // Alike in all that is said of them.
  const groups = Map.groupBy(found, ({ batch, finding: { code, reason } }) =>
    JSON.stringify([code, reason, batch.model, tierOf(batch), apiKeyOf(batch)]),
  );
  const waits = [...groups.values()].map((group) => {
    const first = group[0]!.finding;
    const times = (name: 'since' | 'until') => group.flatMap(({ finding }) => finding[name] ?? []);
    const since = times('since');
    const until = times('until');
    const earliest = {
      ...first,
      since: since.length === 0 ? undefined : Math.min(...since),
      until: until.length === 0 ? undefined : Math.min(...until),
    };
    return toWait(
      facts,
      earliest,
      group.map(({ batch }) => batch),
    );
  });
  const order = Object.keys(WAITS);
  return waits.sort((one, other) => rankOf(one, order) - rankOf(other, order));
}

/** What a person must fix comes first. */
const FOR_A_PERSON: ReadonlySet<WaitCode> = new Set<WaitCode>([
  'paused',
  'held',
  'suspended',
  'lost_batch',
  'unknown_create',
  'results_key',
  'step_of_batch',
  'unreachable',
]);

const rankOf = ({ code }: Wait, order: readonly string[]): number =>
  order.indexOf(code) - (FOR_A_PERSON.has(code) ? order.length : 0);

function waitsOfStack(facts: ExplainFacts): Wait[] {
  return facts.deadLetters.map(({ queue, messages }) => {
    const code = queue === 'notifications' ? 'dead_notifications' : 'dead_letters';
    return toWait(facts, { code, reason: queue, detail: count(messages, 'message') }, []);
  });
}

function findingOf(facts: ExplainFacts, batch: BatchRecord): Finding {
  switch (batch.state) {
    case 'planned':
      return plannedFinding(facts, batch);
    case 'submitting':
      return submittingFinding(batch);
    case 'submitted':
      return submittedFinding(batch);
    case 'ended':
      return endedFinding(facts, batch);
    default:
      return sendingFinding(facts, batch);
  }
}

/** In the order in which dispatch decides, see scheduling/admit.ts. */
function plannedFinding(facts: ExplainFacts, batch: BatchRecord): Finding {
  const { now, suspensions, pauses } = facts;
  const { hold, wait, updatedAt } = batch;
  const pause = pauses.find(({ route }) => route === undefined || route === batch.route);
  if (pause !== undefined) return pausedFinding(pause);
  if (hold?.at !== undefined) return { code: 'held', reason: hold.reason, since: hold.at };
  if ((wait?.notBefore ?? 0) > now)
    return { code: 'retry', reason: wait!.lastError, since: updatedAt, until: wait!.notBefore };
  const scopes = suspensionScopesOf(batch);
  const suspension = suspensions.find(({ scope }) => scopes.includes(scope));
  if (suspension !== undefined) {
    const { reason, scope: detail, suspendedAt: since, probeAt: until } = suspension;
    return { code: 'suspended', reason, detail, since, until };
  }
  return roomFinding(facts, batch);
}

function pausedFinding({ route, by, at, reason }: ExplainFacts['pauses'][number]): Finding {
  const what = route === undefined ? 'the stack' : `route "${route}"`;
  const why = reason === undefined ? '' : `: ${reason}`;
  return { code: 'paused', reason: route ?? '', since: at, detail: `${what} is paused by ${by}${why}` };
}

/** A batch that may go once there is room. */
function roomFinding(facts: ExplainFacts, batch: BatchRecord): Finding {
  const { now, ledgers, backlog } = facts;
  const since = batch.updatedAt;
  const isShortOf = (what: 'tokens' | 'turns' | 'budget'): boolean =>
    backlog.includes(backlogScopeOf(batch, what));
  if (batch.hold?.reason === BUDGET_EXHAUSTED || (isShortOf('budget') && !fitsBudget(facts, batch)))
    return { code: 'budget', reason: batch.hold?.reason, since, ...dayOfBudget(facts) };
  const ledger = ledgers.get(ledgerOf(batch));
  const { pausedUntil = 0, reserved = 0, ceiling } = ledger ?? {};
  if (pausedUntil > now) return { code: 'tokens_rest', since, until: pausedUntil };
  if (!isSlice(batch) && isShortOf('turns')) return { code: 'turns', since };
  if (!isShortOf('tokens')) return { code: 'next_poll', since };
  if (isSlice(batch)) return { code: 'slices', since, detail: `${reserved} on their way` };
  const limit = ceiling ?? ledger?.limit;
  const of = limit === undefined ? '' : ` of ${format(limit)}`;
  return {
    code: 'tokens',
    since,
    detail: `${format(reserved)}${of} are reserved, each of these needs about ${format(tokensOf(batch))}`,
  };
}

/** Of a budget a day: which day it is for, and when the next one begins. */
function dayOfBudget({ records, now }: ExplainFacts): Pick<Finding, 'detail' | 'until'> {
  const { budget } = (records.owner ?? records.job)!.route;
  if (budget === 'unlimited' || budget.perDayUsd === undefined) return {};
  const { perDayUsd, timeZone = 'UTC' } = budget;
  const detail = `${perDayUsd} USD for ${dayIn(timeZone, now)} in ${timeZone}`;
  return { detail, until: nextDayIn(timeZone, now) };
}

function fitsBudget({ records, ledgers, prices, now }: ExplainFacts, batch: BatchRecord): boolean {
  const { job, owner } = records;
  const { route } = (owner ?? job)!;
  return judgeMoney(batch, route, ledgers, prices, now).kind === 'fits';
}

function sendingFinding({ now }: ExplainFacts, batch: BatchRecord): Finding {
  const { wait = {}, updatedAt: since } = batch;
  const until = (wait.notBefore ?? 0) > now ? wait.notBefore : undefined;
  if ((wait.failures ?? 0) > 0) return { code: 'step_of_batch', reason: wait.lastError, since, until };
  if (isWindowTier(tierOf(batch)) && batch.calls !== undefined) return { code: 'background', since, until };
  if (isSlice(batch)) return { code: until === undefined ? 'calling' : 'retry', since, until };
  return until === undefined
    ? { code: 'sending', since }
    : { code: 'retry', reason: wait.lastError, since, until };
}

function submittingFinding({ hold, wait, attempt, stop, updatedAt }: BatchRecord): Finding {
  const until = wait?.notBefore;
  const since = attempt?.intentAt ?? updatedAt;
  if (hold?.reason === 'unknown_create') return { code: 'unknown_create', since, until };
  if (stop?.nextTier !== undefined) return { code: 'deadline', reason: stop.nextTier, since, until };
  return { code: 'looking_up', since, until };
}

function submittedFinding({ hold, remote, stop, requests }: BatchRecord): Finding {
  const { status, statusAt, submittedAt, expiresAt, unreachableSince, progress } = remote!;
  if (hold?.reason === 'lost_batch') return { code: 'lost_batch', since: unreachableSince ?? expiresAt };
  if (unreachableSince !== undefined) return { code: 'unreachable', since: unreachableSince };
  if (stop?.nextTier !== undefined)
    return { code: 'deadline', reason: stop.nextTier, since: stop.cancelRequestedAt };
  if (stop?.cancelRequestedAt !== undefined) return { code: 'cancelling', since: stop.cancelRequestedAt };
  const done = (progress?.completed ?? 0) + (progress?.failed ?? 0);
  const detail = progress === undefined ? undefined : `${format(done)} of ${format(requests)} done`;
  const since = status === 'in_progress' ? submittedAt : statusAt;
  return { code: 'at_openai', reason: status, since, until: expiresAt, detail };
}

function endedFinding(facts: ExplainFacts, batch: BatchRecord): Finding {
  const { hold, wait, ending, download, requests } = batch;
  const since = ending!.endedAt;
  const until = wait?.notBefore;
  if (hold !== undefined) return { code: 'results_key', reason: hold.reason, since, until };
  if (download?.lateResults !== undefined) {
    const detail = `${format(download.lateResults)} of ${format(requests)}`;
    return { code: 'late_results', since, until, detail };
  }
  if ((wait?.failures ?? 0) > 0) return { code: 'step_of_batch', reason: wait!.lastError, since, until };
  return isEndedUnsent(batch) ? withdrawnFinding(facts, batch) : { code: 'collecting', since, until };
}

/** OpenAI never saw it. */
function withdrawnFinding({ records }: ExplainFacts, batch: BatchRecord): Finding {
  const { ending, wait, recut, stop, requests } = batch;
  // What was to be cut, or continued, when the job was cancelled ends as well.
  const { cancelledAt } = (records.owner ?? records.job)!;
  const reason = ending!.errors?.[0]?.code;
  const at = { since: ending!.endedAt, until: wait?.notBefore };
  const found = (detail: string): Finding => ({ code: 'withdrawn', reason, detail, ...at });
  if (cancelledAt !== undefined || reason === CANCELLED.code)
    return found('it was cancelled before it was sent, and is being closed');
  if (stop?.nextTier !== undefined)
    return found(`it was taken out before it was sent, and is being continued in ${stop.nextTier}`);
  if (recut !== undefined && requests > 1)
    return found('it is too large to be sent, and is being cut into smaller ones');
  return found(
    `it was ended before it was sent${reason === undefined ? '' : ` [${reason}]`}, and is being closed`,
  );
}

/** @param batches that it holds up; none: the job as a whole. */
function toWait(facts: ExplainFacts, finding: Finding, batches: readonly BatchRecord[]): Wait {
  const { code, reason, since, until, detail = '' } = finding;
  const { job } = facts.records;
  const first = batches[0];
  const apiKey = apiKeyOf(first ?? job?.route ?? {});
  const of: WaitFacts = {
    // Of a duplicate, these are those of its owner.
    jobId: first?.jobId ?? job?.jobId ?? facts.key,
    key: facts.key,
    reason: reason ?? '',
    model: first?.model ?? '',
    apiKey,
    route: first?.route ?? job?.route.name ?? '',
    tier: tierOf(first ?? {}),
    until: until === undefined ? '' : timeText(until),
    detail,
    setKeyCommand: facts.setKeyCommandOf(apiKey) ?? '',
  };
  const entry: WaitText = WAITS[code];
  return defined({
    code,
    reason,
    batches: batches.length,
    requests: batches.reduce((sum, { requests }) => sum + requests, 0),
    text: entry.text(of),
    moves: entry.moves(of),
    command: entry.command?.(of),
    otherCommand: entry.otherCommand?.(of),
    since,
    until,
  });
}

/** Names of the ledgers that {@link explain} looks at. */
export function ledgersToRead({ job, owner, batches }: JobRecords, now: number): string[] {
  const { route } = owner ?? job ?? {};
  const waiting = batches.filter(({ state }) => state === 'planned');
  return [
    ...new Set(
      waiting.flatMap((batch) => [ledgerOf(batch), ...(route ? moneyLedgersOf(batch, route, now) : [])]),
    ),
  ];
}
