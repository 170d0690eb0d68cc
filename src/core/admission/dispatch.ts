/**
 * Admits waiting batches: the only way from `planned` to `admitted`. It runs whenever there may be something to admit
 * (after ingest, after collect, with each poll). What it decides on may be stale; the transaction that admits a batch
 * checks everything again, so two dispatchers at once do no harm, and the lease only saves the work.
 */
import type { Settings } from '../../contract/settings.ts';
import type { BatchRecord, Ledger, Park, Reservation } from '../model.ts';
import type { Ambient, BatchChanges, JobStore, Log, Outbox, ParkStore, QuotaStore } from '../ports.ts';
import { type Admission, admit, ageOf, type Recut } from './admit.ts';
import { EXCEEDS_LIMIT } from './limit-codes.ts';
import { CREATE_TURNS, parkScopesOf, tokensLedgerOf } from './scopes.ts';

export interface DispatchDeps {
  settings: Pick<Settings, 'quota'>;
  jobs: JobStore;
  quota: QuotaStore;
  parks: ParkStore;
  outbox: Pick<Outbox, 'submit'>;
  ambient: Ambient;
  log: Log;
}

/** A run ends before its lease does. Short: while the lease of one that died holds, nobody else admits. */
const LEASE_MS = 2 * 60_000;
/** How often reservations are held against their batches. */
const HEAL_EVERY_MS = 60 * 60_000;

/**
 * @param known batches that wait although the index may not show them yet.
 */
export async function dispatch(deps: DispatchDeps, known: readonly BatchRecord[] = []): Promise<void> {
  const now = deps.ambient.now();
  const until = now + LEASE_MS;
  const token = await deps.jobs.acquireLease('dispatch', now, until);
  if (token === undefined) return;
  try {
    await dispatchWaiting(deps, known, until);
  } finally {
    await deps.jobs.releaseLease('dispatch', token);
  }
}

async function dispatchWaiting(
  deps: DispatchDeps,
  known: readonly BatchRecord[],
  until: number,
): Promise<void> {
  const { jobs, quota, ambient } = deps;
  const found = new Map(known.map((batch) => [`${batch.jobId}/${batch.batchId}`, batch]));
  for await (const batch of jobs.listWaiting()) found.set(`${batch.jobId}/${batch.batchId}`, batch);
  const waiting = [...found.values()].sort((one, other) => ageOf(one) - ageOf(other));
  if (waiting.length === 0) return;
  const now = ambient.now();
  const decisions = admit({
    waiting,
    held: await Array.fromAsync(quota.listReservations()),
    ledgers: await ledgersOf(deps, waiting),
    parks: await parksOf(deps, waiting),
    turnsLeft: await quota.turnsLeft(CREATE_TURNS, deps.settings.quota.createsPerHour, now),
    quota: deps.settings.quota,
    now,
  });
  for (const recut of decisions.recuts) await endForRecut(deps, recut);
  const full = new Set<string>();
  let admitted = 0;
  for (const admission of decisions.admissions) {
    if (ambient.now() >= until) break;
    const { ledger } = admission.demands[0]!;
    // What was next on a ledger keeps its place there.
    if (full.has(ledger)) continue;
    const verdict = await admitOne(deps, admission);
    if (verdict === 'full') full.add(ledger);
    if (verdict === 'admitted') admitted++;
  }
  deps.log.info('dispatched', {
    waiting: waiting.length,
    admitted,
    recut: decisions.recuts.length,
    waitingFor: Object.fromEntries(decisions.waitingFor),
    oldestWaitingMs: now - ageOf(waiting[0]!),
  });
}

async function ledgersOf(
  { quota }: DispatchDeps,
  waiting: readonly BatchRecord[],
): Promise<Map<string, Ledger>> {
  const ledgers = new Map<string, Ledger>();
  for (const name of new Set(waiting.map(tokensLedgerOf))) {
    const ledger = await quota.getLedger(name);
    if (ledger !== undefined) ledgers.set(name, ledger);
  }
  return ledgers;
}

async function parksOf(
  { parks, log }: DispatchDeps,
  waiting: readonly BatchRecord[],
): Promise<Map<string, Park>> {
  const found = new Map<string, Park>();
  for (const scope of new Set(waiting.flatMap(parkScopesOf))) {
    const park = await parks.getPark(scope);
    if (park === undefined) continue;
    found.set(scope, park);
    const { reason, parkedAt, probeAt, probes } = park;
    log.warn('parked: batches wait for a person', { scope, reason, parkedAt, probeAt, probes });
  }
  return found;
}

async function admitOne(
  deps: DispatchDeps,
  { batch, demands, probes }: Admission,
): Promise<'admitted' | 'full' | 'moved'> {
  const { jobId, batchId } = batch;
  for (const scope of probes) {
    if (!(await deps.parks.takeProbe(scope, deps.ambient.now()))) return 'moved';
  }
  const verdict = await deps.quota.admit(batch, deps.ambient.nonce(), demands, deps.ambient.now());
  if (verdict === 'admitted') await deps.outbox.submit({ v: 1, jobId, batchId });
  return verdict;
}

/** Ends a batch that was never sent; collect makes smaller ones of it, or states why its one request cannot run. */
async function endForRecut(deps: DispatchDeps, { batch, tokens, limit }: Recut): Promise<void> {
  const now = deps.ambient.now();
  const message = `The request has about ${batch.tokens ?? 'a quarter of its bytes in'} tokens; the limit of enqueued tokens is ${limit}.`;
  const ended = {
    state: 'ended',
    status: 'failed',
    recutTokens: tokens,
    errors: [{ code: EXCEEDS_LIMIT, message }],
    endedAt: now,
  } satisfies BatchChanges;
  if ((await deps.jobs.updateBatch(batch, { state: 'planned' }, ended, now)) === undefined) return;
  deps.log.info('too large for the enqueued-token limit', {
    jobId: batch.jobId,
    batchId: batch.batchId,
    requests: batch.requests,
    tokens,
    limit,
  });
}

/**
 * Gives back what is held for batches that are not on their way any more: whoever moved them died before it could. Once
 * an hour, whoever asks.
 */
export async function healReservations(
  deps: Pick<DispatchDeps, 'jobs' | 'quota' | 'ambient' | 'log'>,
): Promise<void> {
  const now = deps.ambient.now();
  // Not given back: it is the clock.
  if ((await deps.jobs.acquireLease('reservations', now, now + HEAL_EVERY_MS)) === undefined) return;
  for await (const reservation of deps.quota.listReservations()) {
    const { reservationId, jobId, batchId } = reservation;
    const batch = await deps.jobs.getBatch(jobId, batchId);
    if (isHeldFor(reservation, batch)) continue;
    if (await deps.quota.settle(reservationId, deps.ambient.now()))
      deps.log.warn('gave back what a batch had left reserved', { jobId, batchId, reservationId });
  }
}

const ON_ITS_WAY: ReadonlySet<BatchRecord['state']> = new Set([
  'admitted',
  'uploaded',
  'submitting',
  'submitted',
]);

function isHeldFor({ reservationId }: Reservation, batch: BatchRecord | undefined): boolean {
  return batch?.reservation === reservationId && ON_ITS_WAY.has(batch.state);
}
