/**
 * Admits waiting batches: the only way from `planned` to `admitted`. It runs whenever there may be something to admit
 * (after ingest, after collect, with each poll). What it decides on may be stale; the transaction that admits a batch
 * checks everything again, so two dispatchers at once do no harm, and the lease only saves the work.
 */

import type { Settings } from '../../contract/settings.ts';
import { serviceCode } from '../base/own-text.ts';
import { toReasonRecorded, toWithdrawn } from '../lifecycle/batch-transitions.ts';
import { LEASE_MS } from '../lifecycle/lease.ts';
import { apiKeyOf, type BatchRecord, isSlice } from '../model/batch.ts';
import type { Ledger } from '../model/ledger.ts';
import { BUDGET_EXCEEDED, BUDGET_EXHAUSTED, EXCEEDS_LIMIT } from '../model/outcome-codes.ts';
import type { Suspension } from '../model/suspension.ts';
import type { Ambient } from '../ports/ambient.ts';
import type { Outbox } from '../ports/outbox.ts';
import type { PauseStore } from '../ports/pauses.ts';
import type { ProviderRules } from '../ports/provider-rules.ts';
import type { QuotaStore, SuspensionStore } from '../ports/quota.ts';
import type { JobStore, ShutdownStore } from '../ports/records.ts';
import type { Telemetry } from '../ports/telemetry.ts';
import type { Prices } from '../pricing/prices.ts';
import { type Admission, admit, type Decisions, type Recut, type Refused } from './admit.ts';
import { dayBudgetPercent, type MoneyRules, moneyLedgersOf } from './budget.ts';
import { ageOf } from './queues.ts';
import { retiredScopes } from './retirement.ts';
import { backlogScopesOf, createTurnsOf, ledgerOf, suspensionScopesOf } from './scopes.ts';
import { stepDown } from './step-down.ts';
import { NOTHING_WAITS, type Waiting, waitingAfter } from './waiting.ts';

export interface DispatchDeps {
  settings: Pick<Settings, 'quota' | 'routes'>;
  prices: Prices;
  jobs: JobStore;
  quota: QuotaStore;
  suspensions: SuspensionStore;
  pauses: Pick<PauseStore, 'getPauses'>;
  shutdowns: Pick<ShutdownStore, 'getShutdowns'>;
  rules: Pick<ProviderRules, 'shutdowns' | 'quota' | 'createSettles' | 'cancelMs' | 'errors'>;
  outbox: Pick<Outbox, 'submit' | 'call' | 'collect'>;
  ambient: Ambient;
  telemetry: Telemetry;
}

/**
 * Admits what may go.
 * @param known batches that have just been recorded. If nothing waits before them, they are admitted without a look
 * at all that waits, so that a job costs as much with thousands of others as alone; otherwise the next poll admits
 * them. Default: all that waits is looked at.
 * @returns what waits after a look at all of it.
 */
export async function dispatch(
  deps: DispatchDeps,
  known?: readonly BatchRecord[],
): Promise<Waiting | undefined> {
  if (known === undefined) return dispatchAll(deps);
  await dispatchKnown(deps, known);
  return undefined;
}

/** One at a time looks at all that waits. @returns `undefined`: another one does. */
async function dispatchAll(deps: DispatchDeps): Promise<Waiting | undefined> {
  const { jobs, quota } = deps;
  const backlog = await quota.getBacklog();
  const found = new Map<string, BatchRecord>();
  for await (const batch of jobs.listWaiting()) found.set(nameOf(batch), batch);
  if (found.size === 0 && backlog.length === 0) return NOTHING_WAITS;
  const now = deps.ambient.now();
  const until = now + LEASE_MS;
  const token = await jobs.acquireLease('dispatch', now, until);
  if (token === undefined) return undefined;
  try {
    await stepDownWaiting(deps, found);
    const waiting = [...found.values()].sort((one, other) => ageOf(one) - ageOf(other));
    const { left, after } =
      waiting.length === 0
        ? { left: new Set<string>(), after: NOTHING_WAITS }
        : await dispatchFound(deps, waiting, until, 'all');
    // What others have added meanwhile stays: it may not have been among what was looked at.
    await quota.changeBacklog((current) => {
      const next = new Set([...current.filter((scope) => !backlog.includes(scope)), ...left]);
      return isSame(next, current) ? undefined : [...next].sort();
    });
    return after;
  } finally {
    await jobs.releaseLease('dispatch', token);
  }
}

/** No lease: what was recorded by one worker is dispatched by it, and the transaction decides. */
async function dispatchKnown(deps: DispatchDeps, known: readonly BatchRecord[]): Promise<void> {
  const { quota, ambient, telemetry } = deps;
  const found = new Map(known.map((batch) => [nameOf(batch), batch]));
  await addOfJobs(deps, found);
  await stepDownWaiting(deps, found);
  if (found.size === 0) return;
  const backlog = new Set(await quota.getBacklog());
  const isBehind = (batch: BatchRecord): boolean =>
    backlogScopesOf(batch).some((scope) => backlog.has(scope));
  const { behind = [], first = [] } = Object.groupBy(found.values(), (batch) =>
    isBehind(batch) ? 'behind' : 'first',
  );
  if (behind.length > 0)
    telemetry.record('dispatch.deferred', {
      jobId: behind[0]!.jobId,
      waiting: behind.length,
    });
  if (first.length === 0) return;
  const { left } = await dispatchFound(deps, first, ambient.now() + LEASE_MS, 'known');
  if ([...left].every((scope) => backlog.has(scope))) return;
  await quota.changeBacklog((current) => {
    const next = new Set([...current, ...left]);
    return isSame(next, current) ? undefined : [...next].sort();
  });
}

function isSame(scopes: ReadonlySet<string>, current: readonly string[]): boolean {
  return scopes.size === current.length && current.every((scope) => scopes.has(scope));
}

function nameOf({ jobId, batchId }: BatchRecord): string {
  return `${jobId}/${batchId}`;
}

/** Batches on a ladder share what time is left with all others of their job. */
async function addOfJobs({ jobs }: DispatchDeps, found: Map<string, BatchRecord>): Promise<void> {
  const onLadder = [...found.values()].filter(({ ladder }) => ladder !== undefined);
  for (const jobId of new Set(onLadder.map((batch) => batch.jobId)))
    for (const batch of await jobs.listBatches(jobId)) {
      if (batch.state === 'planned') found.set(nameOf(batch), batch);
      else found.delete(nameOf(batch));
    }
}

/**
 * Decides on batches, and carries it out.
 * @param what `all`: these are all that wait, so that the amounts on their way decide; `known`: some of them, which
 *   block no others.
 * @returns the scopes that what is left waits for, and what that is.
 */
async function dispatchFound(
  deps: DispatchDeps,
  waiting: readonly BatchRecord[],
  until: number,
  what: 'all' | 'known',
): Promise<{ left: Set<string>; after: Waiting }> {
  const { quota, ambient } = deps;
  const now = ambient.now();
  const rulesOf = await moneyRulesOf(deps, waiting);
  const suspensions = await suspensionsOf(deps, waiting);
  const situation = {
    waiting,
    reservations: [],
    ledgers: await ledgersOf(deps, waiting, rulesOf, now),
    suspensions,
    pauses: await deps.pauses.getPauses(),
    retired: await retiredScopes(deps, waiting, suspensions, now),
    turnsLeft: await turnsLeftOf(deps, waiting, now),
    quota: deps.settings.quota,
    rulesOf,
    quotaRules: deps.rules.quota,
    prices: deps.prices,
    now,
  };
  let decisions = admit(situation);
  // Whose turn it is matters only where not all may go.
  if (what === 'all' && (decisions.waitingFor.has('tokens') || decisions.waitingFor.has('turns')))
    decisions = admit({ ...situation, reservations: await Array.fromAsync(quota.listReservations()) });
  const { admitted, left } = await carryOut(deps, decisions, until);
  deps.telemetry.record('dispatch.completed', {
    waiting: waiting.length,
    admitted,
    recut: decisions.recuts.length + decisions.cuts.length,
    refused: decisions.refused.length,
    waitingFor: Object.fromEntries(decisions.waitingFor),
    oldestWaitingMs: now - ageOf(waiting[0]!),
    overBudget: decisions.exhausted.length + decisions.refused.filter(isOverBudget).length,
    budgetPercent: dayBudgetPercent(situation, decisions.admissions),
  });
  return { left, after: waitingAfter(decisions, situation, deps.rules.errors) };
}

function isOverBudget({ code }: Refused): boolean {
  return code === BUDGET_EXCEEDED;
}

/** @returns how many were admitted, and the scopes that what is left waits for. */
async function carryOut(
  deps: DispatchDeps,
  decisions: Decisions,
  until: number,
): Promise<{ admitted: number; left: Set<string> }> {
  const { ambient } = deps;
  const left = new Set(decisions.backlog);
  for (const recut of decisions.recuts) await endForRecut(deps, recut);
  for (const { batch, microdollars } of decisions.cuts) {
    // Not the requests' own error: none of them fails of it.
    const message = 'The batch costs more than its budget has left, and is cut.';
    await withdraw(deps, { batch, code: BUDGET_EXHAUSTED, message }, { microdollars });
  }
  const full = new Set<string>();
  let admitted = 0;
  for (const admission of decisions.admissions) {
    const { ledger } = admission.demands[0]!;
    // What was next on a ledger keeps its place there.
    if (full.has(ledger) || ambient.now() >= until) {
      left.add(ledger);
      continue;
    }
    const verdict = await admitOne(deps, admission);
    if (verdict === 'full') full.add(ledger);
    if (verdict === 'full') left.add(ledger);
    if (verdict === 'admitted') admitted++;
  }
  // After those that go: of a large job these are many. What is left of them is decided on again.
  for (const refused of decisions.refused) {
    if (ambient.now() >= until) break;
    await withdraw(deps, refused);
  }
  for (const batch of decisions.exhausted) {
    if (ambient.now() >= until) break;
    await markExhausted(deps, batch);
  }
  return { admitted, left };
}

/**
 * What the routes of batches say of money: as the settings have it now, so that a budget that was raised is there for
 * what waits; for a route that they have no more, as its job has it.
 */
async function moneyRulesOf(
  { settings, jobs }: DispatchDeps,
  waiting: readonly BatchRecord[],
): Promise<(batch: BatchRecord) => MoneyRules> {
  const byName = new Map(settings.routes.map((route): [string, MoneyRules] => [route.name, route]));
  const byJob = new Map<string, MoneyRules>();
  for (const { jobId, route } of waiting) {
    if ((route !== undefined && byName.has(route)) || byJob.has(jobId)) continue;
    const frozen = (await jobs.getJob(jobId))?.route ?? NO_RULES;
    byJob.set(jobId, byName.get(frozen.name) ?? frozen);
  }
  return ({ jobId, route }) => (route === undefined ? undefined : byName.get(route)) ?? byJob.get(jobId)!;
}

/** For a batch without a job, which no worker will submit. */
const NO_RULES: MoneyRules = { name: '', budget: 'unlimited', overBudget: 'wait', allowUnpriced: true };

/** Batches that have no time to wait for their tier continue in another one. */
async function stepDownWaiting(deps: DispatchDeps, found: Map<string, BatchRecord>): Promise<void> {
  const byJob = Map.groupBy(found.values(), ({ jobId }) => jobId);
  for (const batches of byJob.values()) {
    for (const batch of await stepDown(deps, batches)) {
      const key = `${batch.jobId}/${batch.batchId}`;
      if (batch.state === 'planned') found.set(key, batch);
      else found.delete(key);
    }
  }
}

async function ledgersOf(
  { quota }: DispatchDeps,
  waiting: readonly BatchRecord[],
  rulesOf: (batch: BatchRecord) => MoneyRules,
  now: number,
): Promise<Map<string, Ledger>> {
  const ledgers = new Map<string, Ledger>();
  const names = waiting.flatMap((batch) => [ledgerOf(batch), ...moneyLedgersOf(batch, rulesOf(batch), now)]);
  for (const name of new Set(names)) {
    const ledger = await quota.getLedger(name);
    if (ledger !== undefined) ledgers.set(name, ledger);
  }
  return ledgers;
}

/** By the keys of what waits. */
async function turnsLeftOf(
  { quota, settings }: DispatchDeps,
  waiting: readonly BatchRecord[],
  now: number,
): Promise<Map<string, number>> {
  const left = new Map<string, number>();
  for (const apiKey of new Set(waiting.map(apiKeyOf)))
    left.set(apiKey, await quota.turnsLeft(createTurnsOf(apiKey), settings.quota.createsPerHour, now));
  return left;
}

async function suspensionsOf(
  { suspensions, telemetry }: DispatchDeps,
  waiting: readonly BatchRecord[],
): Promise<Map<string, Suspension>> {
  const scopes = new Set(waiting.flatMap(suspensionScopesOf));
  const found = new Map<string, Suspension>();
  for (const apiKey of new Set(waiting.map(apiKeyOf)))
    for (const suspension of await suspensions.getSuspensions(apiKey)) {
      const { scope, reason, suspendedAt, probeAt, probes } = suspension;
      if (!scopes.has(scope)) continue;
      found.set(scope, suspension);
      telemetry.record('suspension.continued', {
        scope,
        code: serviceCode(reason),
        suspendedAt,
        probeAt,
        probes,
      });
    }
  return found;
}

async function admitOne(
  deps: DispatchDeps,
  { batch, demands, probes }: Admission,
): Promise<'admitted' | 'full' | 'moved'> {
  for (const scope of probes) {
    if (!(await deps.suspensions.takeProbe(scope, deps.ambient.now()))) return 'moved';
  }
  const verdict = await deps.quota.admit(batch, deps.ambient.nonce(), demands, deps.ambient.now());
  if (verdict !== 'admitted') return verdict;
  await sendOn(deps.outbox, batch);
  return verdict;
}

/** Sends the message of an admitted batch: to submit it as a batch, or to call its requests one by one. */
export async function sendOn(
  outbox: Pick<Outbox, 'submit' | 'call'>,
  batch: Pick<BatchRecord, 'jobId' | 'batchId' | 'tier'>,
): Promise<void> {
  const message = { v: 1, jobId: batch.jobId, batchId: batch.batchId } as const;
  await (isSlice(batch) ? outbox.call(message) : outbox.submit(message));
}

/** Ends a batch that is too large; collect makes smaller ones of it, or states why its one request cannot run. */
async function endForRecut(deps: DispatchDeps, { batch, tokens, limit }: Recut): Promise<void> {
  const message = `The request has about ${batch.tokens ?? 'a quarter of its bytes in'} tokens; the limit of enqueued tokens is ${limit}.`;
  await withdraw(deps, { batch, code: EXCEEDS_LIMIT, message }, { tokens });
}

/** Ends a batch that was never sent, and sends collect its message; should that be lost, the sweep sends it again. */
async function withdraw(
  deps: DispatchDeps,
  { batch, code, message }: Refused,
  recut?: BatchRecord['recut'],
): Promise<void> {
  const now = deps.ambient.now();
  const withdrawn = toWithdrawn(batch, { errors: [{ code, message }], recut }, now);
  if ((await deps.jobs.moveBatch(batch, withdrawn, now)) === undefined) return;
  const { jobId, batchId, requests } = batch;
  deps.telemetry.record('batch.withdrawn', {
    jobId,
    batchId,
    requests,
    code,
    recutTokens: recut?.tokens,
    recutMicrodollars: recut?.microdollars,
  });
  await deps.outbox.collect({ v: 1, jobId, batchId });
}

/** For a person to see: only a new day or a larger budget makes room. */
async function markExhausted(deps: DispatchDeps, batch: BatchRecord): Promise<void> {
  if (batch.hold?.reason === BUDGET_EXHAUSTED) return;
  const { jobId, batchId } = batch;
  await deps.jobs.moveBatch(batch, toReasonRecorded(batch, BUDGET_EXHAUSTED), deps.ambient.now());
  deps.telemetry.record('budget.exhausted', {
    jobId,
    batchId,
  });
}
